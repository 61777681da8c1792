"""The table of the procedural motions, made of the key poses of `key_poses.py`.

Three kinds of movement: `Keyed` plays key poses by name, `Gait` steps along a path, `Gesture` moves
the arms freely. Whoever adds an action adds rows here.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Keyed:
    """Key poses one after another. Of one side: written for the left, mirrored for the right."""

    text: str  # {side} is the side that moves, {other} the other one
    # "pose:seconds from the pose before" each, with "(...)" around what is repeated; the first one
    # follows on standing, unless its 0 seconds say that it is where the motion begins
    keys: str
    cycles: tuple[int, int] = (1, 1)  # how often the repeated part is played
    amplitude: tuple[float, float] = (0.85, 1.1)  # of the way from standing to a key pose
    tempo: tuple[float, float] = (0.75, 1.3)  # factor on the seconds
    rest: str = "stand"


@dataclass(frozen=True)
class Gesture:
    """The arms go from one random posture to the next, the torso goes along."""

    text: str
    low: tuple[float, float, float, float] = (10, 0, -40, 40)  # arm_fwd, arm_out, arm_twist, elbow
    high: tuple[float, float, float, float] = (65, 40, 30, 115)
    seconds: tuple[float, float] = (0.35, 1.0)  # from one posture to the next
    torso_deg: float = 6.0
    moving: float = 0.75  # probability of an arm to move on, rather than hold
    rest: str = "stand"
    step: float = 0.0  # probability of the feet to step, too
    sink: float = 0.01  # how far the pelvis comes down, leg lengths


@dataclass(frozen=True)
class Gait:
    """Steps along a path. Speeds are ranges, in m/s and degrees/s; {side} is left for positive."""

    text: str
    speed: tuple[float, float] = (0.0, 0.0)  # forward
    sideways: tuple[float, float] = (0.0, 0.0)
    turn: tuple[float, float] = (-4.0, 4.0)
    strides_hz: tuple[float, float] | None = None  # None: from the speed, as people walk
    duty: float = 0.62  # the fraction of a stride for which a foot is on the floor
    lift: float = 0.09  # of the foot in the air, leg lengths
    heel: float = 60.0  # when the toes leave the floor, degrees
    height: float = 0.955  # of the pelvis, leg lengths
    bob: float = 0.018  # of the pelvis, leg lengths; positive is highest over the foot
    pitch: float = 3.0
    bend: float = 3.0
    arm_swing: float = 20.0
    elbow: float = 22.0
    in_place: bool = False  # steps even if it gets nowhere
    ramp: float = 0.35  # probability of starting, and of ending, at rest
    arms: Gesture | None = None  # what the arms and the torso do instead of swinging
    carry: str = ""  # a pose whose arms, where they differ from standing, stay like that


# fmt: off
_RUN = Gait(
    "run forward", speed=(2.8, 4.2), turn=(-6, 6), strides_hz=(1.25, 1.5), duty=0.28, heel=55,
    lift=0.36, height=0.925, bob=-0.045, pitch=9, bend=8, arm_swing=36, elbow=92, ramp=0.2,
)
_JOG = replace(_RUN, text="jog forward", speed=(1.9, 2.7), duty=0.35, lift=0.22, pitch=5)
_DANCE = Gesture(
    "dance with the arms", low=(-25, 0, -60, 8), high=(150, 110, 80, 125), seconds=(0.35, 0.8),
    torso_deg=14, moving=0.9, step=0.5, sink=0.06,
)
_WHOLE = (1.0, 1.0)  # poses on the floor do not bear scaling

MOVEMENTS: dict[str, tuple[Keyed | Gait | Gesture, ...]] = {
    "walk": (
        Gait("walk forward", speed=(1.0, 1.5)),
        Gait("walk forward slowly", speed=(0.45, 0.85), heel=45, arm_swing=12),
        Gait("walk forward quickly", speed=(1.55, 2.0), duty=0.59, heel=64, arm_swing=32, elbow=40),
        Gait("walk backward", speed=(-0.9, -0.45), heel=30, height=0.94, arm_swing=10),
        Gait("walk and talk with the hands", speed=(0.5, 1.3), turn=(-20, 20), arms=Gesture("")),
        Gait("walk in a circle to the {side}", speed=(0.8, 1.3), turn=(25, 60)),
        Gait("sneak forward", speed=(0.35, 0.8), strides_hz=(0.55, 0.8), lift=0.1, height=0.88,
             pitch=14, bend=24, arm_swing=14, elbow=60, heel=30),
        Gait("walk and talk on the phone", speed=(0.5, 1.2), turn=(-25, 25), carry="phone"),
        Gait("walk and look at the phone", speed=(0.4, 1.0), carry="phone_look"),
    ),
    "march": (
        Gait("march on the spot", strides_hz=(0.75, 1.05), lift=0.32, heel=25, bob=0.006,
             arm_swing=35, elbow=60, in_place=True),
        Gait("march forward", speed=(0.6, 1.1), lift=0.28, heel=25, arm_swing=38, elbow=45),
    ),
    "run": (
        _RUN,
        _JOG,
        replace(_JOG, text="jog in a circle to the {side}", speed=(1.6, 2.4), turn=(45, 90)),
        replace(_JOG, text="run on the spot", speed=(0, 0), duty=0.4, pitch=3, in_place=True),
    ),
    "sidestep": (
        Gait("step sideways to the {side}", sideways=(0.25, 0.5), strides_hz=(0.8, 1.15), heel=12,
             height=0.95, bob=0.008, arm_swing=3, elbow=45),
    ),
    "turn": (
        Gait("turn to the {side}", turn=(40, 95), strides_hz=(0.8, 1.2), heel=15, arm_swing=6,
             ramp=1.0),
    ),
    "wave": (
        Keyed("wave with the {side} hand",
              "wave_in:.6 (wave_out:.3 wave_in:.3) stand:.7", cycles=(2, 6)),
        Keyed("wave with the {side} hand high in the air",
              "wave_high_in:.7 (wave_high_out:.35 wave_high_in:.35) stand:.7", cycles=(2, 5)),
        Keyed("wave with both hands",
              "wave_both_in:.7 (wave_both_out:.35 wave_both_in:.35) stand:.7", cycles=(2, 5)),
    ),
    "clap": (
        Keyed("clap hands", "clap_open:.5 (clap_shut:.16 clap_open:.2) stand:.6", cycles=(3, 9)),
        Keyed("clap hands above the head",
              "clap_high_open:.8 (clap_high_shut:.2 clap_high_open:.25) stand:.8", cycles=(3, 7)),
    ),
    "sit down": (
        Keyed("sit down on a chair", "stand:.3 sit_lean:.7 sit:.7 sit:.6", amplitude=(0.9, 1.1)),
    ),
    "stand up": (
        Keyed("stand up from a chair", "sit:0 sit:.4 sit_lean:.6 stand:.8 stand:.4",
              amplitude=(0.9, 1.1)),
    ),
    "sit": (
        Gesture("sit on a chair and talk", rest="sit", torso_deg=7),
        Gesture("sit still on a chair", low=(22, 2, -35, 45), high=(40, 14, -10, 75),
                seconds=(1, 2.5), rest="sit", moving=0.3, torso_deg=4),
        Keyed("lean forward on a chair", "sit:0 sit:.3 sit_forward:.9 sit_forward:.6 sit:.9",
              rest="sit"),
        Gesture("sit on a low seat", rest="sit_low", torso_deg=6, moving=0.5),
        Gesture("sit on a high stool", rest="sit_high", torso_deg=5, moving=0.5),
        Gesture("sit at a table and talk", rest="sit_table", torso_deg=7),
        Gesture("sit leaning back", low=(0, 6, -30, 45), high=(30, 30, 0, 95), rest="sit_back_lean",
                seconds=(0.8, 2.5), moving=0.4, torso_deg=4),
        Keyed("cross the legs while sitting",
              "sit:0 sit:.5 sit_crossed:.8 sit_crossed:1.5 sit:.8", rest="sit", amplitude=_WHOLE),
        Keyed("put the {side} ankle on the {other} knee while sitting",
              "sit:0 sit:.5 sit_ankle_on_knee:1 sit_ankle_on_knee:1.5 sit:.9", rest="sit",
              amplitude=_WHOLE),
        Keyed("lean the elbows on the knees while sitting",
              "sit:0 sit:.4 sit_elbows:.9 sit_elbows:1.4 sit:.9", rest="sit"),
        Keyed("turn around to the {side} while sitting",
              "sit:0 sit:.4 sit_turn:.8 sit_turn:.8 sit:.8", rest="sit"),
        Keyed("tie the shoes while sitting",
              "sit:0 sit:.3 sit_shoe:1 (sit_shoe:.4 sit_shoe:.4) sit:1", rest="sit",
              cycles=(1, 4), amplitude=(0.85, 1.0)),
    ),
    "work at a desk": (
        Keyed("type on a keyboard", "sit_table:0 (sit_type_a:.18 sit_type_b:.18) sit_table:.5",
              cycles=(6, 16), rest="sit_table"),
        Keyed("write at a table with the {side} hand",
              "sit_table:0 sit_write_a:.6 (sit_write_b:.3 sit_write_a:.35) sit_table:.7",
              cycles=(4, 10), rest="sit_table"),
        Keyed("reach for something on the table with the {side} hand",
              "sit_table:0 sit_table:.4 sit_reach:.7 sit_reach:.25 sit_table:.8",
              rest="sit_table"),
    ),
    "use the phone": (
        Keyed("talk on the phone with the {side} hand at the ear",
              "stand:0 stand:.3 phone:.7 phone:2.5 stand:.8"),
        Keyed("talk on the phone while sitting", "sit:0 sit:.3 sit_phone:.8 sit_phone:2.5 sit:.8",
              rest="sit"),
        Keyed("look at the phone and tap",
              "stand:0 phone_look:.7 (phone_tap:.3 phone_look:.35) stand:.7", cycles=(2, 6)),
        Keyed("look at the phone while sitting",
              "sit:0 sit:.2 sit_phone_look:.8 sit_phone_look:2.2 sit:.8", rest="sit"),
    ),
    "eat and drink": (
        Keyed("eat with the {side} hand", "stand:0 stand:.2 (bite:.6 bite:.2 hold:.6) stand:.7",
              cycles=(1, 4)),
        Keyed("eat from a plate while standing", "plate:0 (plate_bite:.6 plate_bite:.2 plate:.7)",
              cycles=(2, 4)),
        Keyed("eat at a table with the {side} hand",
              "sit_table:0 sit_fork:.5 (sit_bite:.6 sit_bite:.2 sit_fork:.6) sit_table:.6",
              cycles=(2, 5), rest="sit_table"),
        Keyed("drink from a glass at a table",
              "sit_table:0 sit_reach:.7 sit_table:.5 sit_glass:.7 sit_glass:.8 sit_reach:.9"
              " sit_table:.6", rest="sit_table", amplitude=(0.9, 1.05)),
    ),
    "squat": (
        Keyed("squat", "squat_wide:.4 (squat:.9 squat:.15 squat_wide:.8) stand:.4",
              cycles=(1, 3), amplitude=(0.6, 1.05)),
        Keyed("squat with crossed arms",
              "squat_wide:.4 (squat_crossed:.9 squat_crossed:.15 squat_wide:.8) stand:.4",
              cycles=(1, 3), amplitude=(0.6, 1.05)),
    ),
    "kick": (
        Keyed("kick to the front with the {side} leg",
              "kick_ready:.4 (kick_chamber:.35 kick_front:.18 kick_chamber:.22 kick_ready:.4)",
              cycles=(1, 3), amplitude=(0.7, 1.12), tempo=(0.85, 1.3)),
        Keyed("kick a ball with the {side} foot",
              "kick_ready:.3 kick_load:.4 kick_ball:.26 kick_ball:.1 stand:.55",
              amplitude=(0.8, 1.1), tempo=(0.9, 1.3)),
        Keyed("kick to the side with the {side} leg",
              "kick_ready:.4 (kick_chamber:.4 kick_side:.22 kick_chamber:.3 kick_ready:.4)",
              cycles=(1, 2), amplitude=(0.75, 1.0), tempo=(0.85, 1.3)),
    ),
    "punch": (
        Keyed("punch with the {other} fist", "guard:0 guard:.3 (punch:.2 guard:.32) guard:.2",
              cycles=(2, 5)),
        Keyed("jab with the {side} fist", "guard:0 guard:.3 (jab:.18 guard:.3) guard:.2",
              cycles=(2, 5)),
        Keyed("box with both fists", "guard:0 guard:.3 (jab:.2 guard:.2 punch:.22 guard:.25)",
              cycles=(1, 4)),
        Keyed("uppercut with the {other} fist", "guard:0 guard:.3 (dip:.3 uppercut:.22 guard:.35)",
              cycles=(1, 3)),
    ),
    "jump": (
        Keyed("jump up", "stand:.2 (crouch:.45 takeoff:.22 air:.2 land:.2 absorb:.2 stand:.5)",
              cycles=(1, 2), amplitude=(0.8, 1.1), tempo=(0.92, 1.12)),
        Keyed("jump forward",
              "stand:.2 (crouch:.5 leap_takeoff:.22 leap_air:.18 leap_land:.2 absorb:.2 stand:.5)",
              cycles=(1, 2), amplitude=(0.8, 1.1), tempo=(0.92, 1.15)),
        Keyed("hop on both legs",
              "hop_load:.3 (hop_takeoff:.14 hop_air:.14 hop_land:.14 hop_load:.12) stand:.4",
              cycles=(3, 7), tempo=(0.92, 1.15)),
        Keyed("jumping jacks",
              "jack_in:.3 (jack_mid:.2 jack_out:.2 jack_mid:.22 jack_in:.2) stand:.3",
              cycles=(2, 5), tempo=(0.9, 1.3)),
    ),
    "bow": (
        Keyed("bow", "stand:.2 bow:.9 bow:.4 stand:.9", amplitude=(0.5, 1.05)),
        Keyed("bow with folded hands", "stand:.2 bow_hands:.9 bow_hands:.4 stand:.9"),
    ),
    "reach": (
        Keyed("reach up high with the {side} hand", "stand:.2 reach_up:.9 reach_up:.4 stand:.9",
              amplitude=(0.9, 1.05)),
        Keyed("reach up with both hands", "stand:.2 reach_up_both:1 reach_up_both:.4 stand:1"),
        Keyed("reach forward with the {side} hand", "stand:.2 reach_out:.8 reach_out:.3 stand:.8"),
        Keyed("reach to the {side}", "stand:.2 reach_side:.8 reach_side:.3 stand:.8"),
    ),
    "pick up": (
        Keyed("bend down and pick something up from the floor with the {side} hand",
              "stand:.2 pick_stoop:1 pick_stoop:.25 hold:1 hold:.3", amplitude=(0.85, 1.05)),
        Keyed("squat down and pick something up from the floor with the {side} hand",
              "stand:.2 pick_squat:1 pick_squat:.3 hold:1 hold:.3", amplitude=(0.9, 1.05)),
        Keyed("bend down and put something on the floor with the {side} hand",
              "hold:0 hold:.4 pick_stoop:1 pick_stoop:.25 stand:1", amplitude=(0.85, 1.05)),
        Keyed("lift a box from the floor with both hands",
              "stand:.2 box_low:1.1 box_low:.3 box_carry:1.2 box_carry:.4", amplitude=_WHOLE),
        Keyed("put a box down on the floor",
              "box_carry:0 box_carry:.3 box_low:1.2 box_low:.25 stand:1.1", amplitude=_WHOLE),
    ),
    "handle things": (
        Keyed("put a box on a table",
              "box_carry:0 box_carry:.3 box_table:.8 box_table:.3 stand:.8"),
        Keyed("take a box from a table",
              "stand:0 stand:.3 box_table:.8 box_table:.3 box_carry:.8 box_carry:.4"),
        Keyed("put a box on a shelf", "box_carry:0 box_carry:.3 box_shelf:1 box_shelf:.3 stand:.9"),
        Keyed("take a box from a shelf",
              "stand:0 stand:.2 box_shelf:.9 box_shelf:.3 box_carry:1 box_carry:.3"),
        Keyed("open a door with the {side} hand", "stand:0 open_near:.6 open_far:.9 stand:.8"),
        Keyed("push something heavy", "push_ready:.7 (push_lean:1 push_lean:.4 push_ready:.8)",
              cycles=(1, 2)),
        Keyed("pull something heavy", "pull_far:.7 (pull_near:1 pull_near:.3 pull_far:.9)",
              cycles=(1, 3)),
        Keyed("sweep the floor", "sweep_in:.6 (sweep_out:.5 sweep_in:.5)", cycles=(2, 5)),
        Keyed("wipe a table with the {side} hand", "wipe_left:.6 (wipe_right:.45 wipe_left:.45)",
              cycles=(2, 6)),
        Keyed("wipe a window with the {side} hand",
              "wipe_high_left:.6 (wipe_high_right:.45 wipe_high_left:.45) stand:.8",
              cycles=(2, 6)),
        Keyed("hammer with the {side} hand", "hammer_up:.6 (hammer_down:.2 hammer_up:.4) stand:.7",
              cycles=(2, 6)),
        Keyed("stir in a bowl with the {side} hand",
              "stir_a:.5 (stir_b:.25 stir_c:.25 stir_a:.25) stand:.7", cycles=(3, 8)),
        Keyed("write on a wall with the {side} hand",
              "write_wall_a:.7 (write_wall_b:.4 write_wall_a:.3) stand:.7", cycles=(3, 7)),
    ),
    "carry": (
        Gait("carry a box", speed=(0.6, 1.2), carry="box_carry", bend=-2),
        Gait("carry a bag in the {side} hand", speed=(0.7, 1.3), carry="bag"),
        Gait("carry a tray", speed=(0.5, 1.0), carry="tray"),
    ),
    "exercise": (
        Keyed("touch the toes", "stand:.2 touch_toes:1.1 touch_toes:.5 stand:1.1"),
        Keyed("lunge forward with the {side} leg", "stand:.2 (lunge:.8 lunge:.3 stand:.8)",
              cycles=(1, 2), amplitude=(0.85, 1.05)),
        Keyed("rotate both arms backward",
              "circle_down:0 (circle_front:.3 circle_up:.3 circle_back:.28 circle_down:.28)",
              cycles=(2, 4)),
        Keyed("rotate both arms forward",
              "circle_front:0 (circle_down:.28 circle_back:.28 circle_up:.3 circle_front:.3)",
              cycles=(2, 4)),
        Keyed("touch the {side} knee with the {other} elbow",
              "hands_head:.6 (knee_touch:.5 hands_head:.5)", cycles=(1, 3), amplitude=(0.9, 1.05)),
        Keyed("twist the trunk to the {side}", "hips:.5 (twist:.7 twist:.2 hips:.7)",
              cycles=(1, 2)),
    ),
    "stretch": (
        Keyed("stretch sideways to the {side}", "stand:.2 side_bend:1 side_bend:.8 stand:1"),
        Keyed("stretch the arms wide", "hug_self:.8 (open_chest:.8 open_chest:.3 hug_self:.8)",
              cycles=(1, 2)),
        Keyed("stretch the arms overhead", "stand:.3 reach_up_both:1.1 reach_up_both:.9 stand:1.1"),
    ),
    "kneel": (
        Keyed("kneel down", "stand:.2 half_kneel:1 kneel:.8 kneel:.5", amplitude=_WHOLE),
        Keyed("get up from the knees", "kneel:0 kneel:.4 half_kneel:.8 stand:1 stand:.3",
              amplitude=_WHOLE),
        Keyed("kneel on the {other} knee", "stand:.2 half_kneel:1 half_kneel:.6", amplitude=_WHOLE),
        Gesture("kneel and gesture", rest="kneel"),
        Keyed("kneel and reach for something on the floor with the {side} hand",
              "kneel:0 kneel:.3 kneel_reach:.9 kneel_reach:.4 kneel:.9", rest="kneel"),
        Keyed("sit down on the heels", "kneel:0 kneel:.3 kneel_sit:.9 kneel_sit:1 kneel:.9",
              rest="kneel", amplitude=_WHOLE),
        Keyed("bow on the knees", "kneel_sit:0 kneel_sit:.4 kneel_bow:1.1 kneel_bow:.6 kneel_sit:1",
              rest="kneel", amplitude=(0.9, 1.0)),
        Keyed("scrub the floor on the knees",
              "all_fours:0 (kneel_scrub_a:.4 kneel_scrub_b:.4) all_fours:.5", cycles=(2, 6),
              rest="all_fours"),
    ),
    "crawl": (
        Keyed("crawl on hands and knees",
              "all_fours:0 all_fours:.2 (crawl_left:.55 crawl_right:.55) all_fours:.5",
              cycles=(2, 5), amplitude=(0.8, 1.1), rest="all_fours"),
        Keyed("get down and crawl",
              "stand:.2 half_kneel:.9 kneel:.7 all_fours:.9 (crawl_left:.6 crawl_right:.6)",
              cycles=(1, 3), amplitude=_WHOLE),
    ),
    "lie down": (
        Keyed("lie down on the floor",
              "stand:.1 sit_back:.9 floor_sit:.7 half_supine:.8 supine:.8 supine:.6",
              amplitude=_WHOLE),
        Keyed("lie down on the stomach", "kneel:0 all_fours:.9 prone:1 prone:.8", amplitude=_WHOLE),
        Keyed("lie down on the back from sitting",
              "floor_long:0 floor_long:.4 half_supine:.9 supine:.9 supine:.8", amplitude=_WHOLE),
        Keyed("kneel down and lie on the stomach",
              "stand:.2 half_kneel:.9 kneel:.7 all_fours:.9 prone:1.1 prone:.6",
              amplitude=_WHOLE),
    ),
    "get up": (
        Keyed("get up from the floor",
              "supine:0 supine:.4 half_supine:.8 floor_sit:.7 sit_back:.8 stand:.9 stand:.3",
              amplitude=_WHOLE),
        Keyed("sit up on the floor",
              "supine:0 supine:.4 half_supine:.8 floor_long:.7 floor_long:.4", amplitude=_WHOLE),
        Keyed("push up from the stomach", "prone:0 prone:.3 all_fours:1 kneel:.9",
              amplitude=_WHOLE),
        Keyed("get up from the stomach",
              "prone:0 prone:.4 all_fours:1.1 kneel:.9 half_kneel:.8 stand:1 stand:.3",
              amplitude=_WHOLE),
        Keyed("get up from all fours", "all_fours:0 all_fours:.3 hands_floor:.9 squat:.8 stand:1",
              amplitude=_WHOLE),
        Keyed("stand up from sitting on the floor",
              "floor_sit:0 floor_sit:.5 side_sit:.6 sit_back:.9 stand:1 stand:.3",
              amplitude=_WHOLE),
    ),
    "on the floor": (
        Keyed("lie on the back and bend the knees",
              "supine:0 supine:.4 supine_knees:.9 supine_knees:.4 supine:.9", amplitude=_WHOLE),
        Keyed("get on all fours", "kneel:0 kneel:.3 all_fours:.9 all_fours:.8 kneel:.9",
              amplitude=_WHOLE),
        Gesture("sit on the floor and talk", rest="floor_knees"),
        Gesture("lie on the back", low=(-10, 10, -40, 5), high=(30, 60, 20, 80), rest="supine",
                seconds=(0.8, 2.5), moving=0.5, torso_deg=2),
        Gesture("lie on the stomach", low=(30, 30, 10, 90), high=(80, 70, 60, 140), rest="prone",
                seconds=(0.8, 2.5), moving=0.4, torso_deg=2),
        Gesture("sit on the floor with straight legs", low=(-40, 8, -30, 5),
                high=(40, 25, 10, 60), rest="floor_long", seconds=(0.7, 2), moving=0.5),
        Keyed("sit ups", "supine_knees:0 supine_knees:.3 (crunch:.8 crunch:.2 supine_knees:.9)",
              cycles=(1, 4), amplitude=(0.85, 1.0), rest="supine_knees"),
        Keyed("raise the hips while lying on the back",
              "supine_knees:0 supine_knees:.3 (bridge:.9 bridge:.5 supine_knees:.9)",
              cycles=(1, 3), amplitude=(0.8, 1.0), rest="supine_knees"),
        Keyed("hug the knees while lying on the back",
              "supine:0 supine:.3 supine_hug:1 supine_hug:.8 supine:1", amplitude=_WHOLE),
        Keyed("push ups", "plank:0 plank:.3 (push_low:.8 push_low:.15 plank:.8)", cycles=(1, 4),
              amplitude=(0.85, 1.0), rest="plank"),
        Keyed("lie on the side", "side_lying:0 side_lying:1.5 side_lying:1.5", rest="side_lying"),
    ),
    "throw": (
        Keyed("throw with the {side} hand",
              "stand:.3 throw_load:.7 throw_release:.3 throw_follow:.25 throw_follow:.15 stand:.7",
              tempo=(0.9, 1.3)),
        Keyed("throw a basketball", "stand:.2 toss_load:.6 toss:.3 toss:.25 stand:.7"),
    ),
    "gesture": (
        Keyed("drink from a cup with the {side} hand", "hold:.5 drink:.8 drink:.8 hold:.8"),
        Keyed("point forward with the {side} hand", "stand:.2 point:.6 point:.7 stand:.7"),
        Keyed("hold a phone to the {side} ear", "stand:.3 phone:.8 phone:1.5"),
        Keyed("put the hands on the hips", "stand:.3 hips:.8 hips:1"),
        Keyed("fold the arms", "stand:.3 folded:.8 folded:1"),
    ),
    "talk": (Gesture("stand and talk with the hands", step=0.05),),
    "stand": (
        Gesture("stand still", low=(-12, 4, -25, 8), high=(14, 16, 10, 40), seconds=(0.8, 2.0),
                moving=0.3, torso_deg=4, step=0.1),
    ),
    "dance": (
        _DANCE,
        Gait("dance around", speed=(-0.5, 0.6), sideways=(-0.3, 0.3), turn=(-80, 80), heel=30,
             strides_hz=(0.8, 1.3), height=0.93, in_place=True, arms=_DANCE),
    ),
    "free": (
        Gesture("move freely", low=(-45, -20, -75, 6), high=(165, 120, 90, 135), seconds=(0.5, 1.2),
                torso_deg=24, moving=0.9, step=0.4, sink=0.22),
    ),
}
# fmt: on
