"""The table of key poses that procedural motions are made of. Whoever adds a pose adds a line."""

KeyPose = dict[str, float]  # a value for every channel, or for some

# A pose a line: its channels (see body.py), all others as in standing or the pose it's like.
# {left,right}_arm is arm_fwd,arm_out,arm_twist,elbow; {left,right}_foot is foot_x,foot_lift,heel;
# arms and feet are both of them; wide moves both feet outward; advance moves everything forward,
# from this pose on.
_POSES = """
stand:
wave_in:  left_arm 25,78,78,112  turn 4
wave_out:  left_arm 20,82,84,55  turn 4  side -3
wave_high_in:  left_arm 80,110,40,62  side 4
wave_high_out:  left_arm 45,145,40,18  side -3
wave_both_in:  arms 70,110,40,62
wave_both_out:  arms 40,140,40,18
clap_open:  arms 52,24,-10,72
clap_shut:  arms 52,-10,-28,72
clap_high_open:  arms 140,50,0,25
clap_high_shut:  arms 164,14,-20,22
sit_lean:  x -0.28  z 0.72  pitch 28  bend 22  nod -12  arms 38,6,-10,40
sit:  x -0.42  z 0.5  pitch -8  bend 10  arms 28,8,-20,60
squat:  z 0.36  x -0.14  pitch 32  bend 18  nod -22  wide 0.06  left_knee_out 22
     right_knee_out 22  arms 85,8,-10,12
squat_crossed like squat:  arms 70,-18,-60,112
squat_wide:  wide 0.06  arms 20,10,-10,20
kick_ready:  z 0.95  right_arm 40,15,-20,90  left_arm 30,15,-20,90
kick_load:  left_foot -0.42,0.24,40  pitch 8  arms 25,22,-10,75  y -0.05
kick_chamber:  left_foot 0.22,0.52,15  y -0.08  arms 35,18,-20,95  pitch -4
kick_front:  left_foot 0.84,0.84,10  y -0.08  x 0.04  z 0.97  pitch -16  bend 14
     left_arm -25,20,0,70  right_arm 50,15,-20,90  twist 12
kick_ball:  left_foot 0.55,0.24,5  y -0.06  pitch -6  bend 12  twist 14  left_arm -35,25,0,30
     right_arm 45,35,0,35
kick_side:  left_foot 0.05,0.62,5  left_foot_out 0.85  y -0.1  roll 16  side 12  arms 35,25,-20,95
     left_knee_out 40
guard:  z 0.95  arms 45,5,-15,125  bend 8  left_foot 0.2,0,0  right_foot -0.15,0,0  twist -15
     turn 10
punch like guard:  twist 32  turn -20  right_arm 92,-8,-40,8  x 0.06
jab like guard:  twist -34  turn 25  left_arm 92,-2,-40,8  x 0.05
uppercut like guard:  z 0.97  twist 35  turn -20  right_arm 80,-12,5,95
dip like guard:  z 0.86  twist -28  side 14
crouch:  z 0.72  x -0.08  pitch 30  bend 15  nod -15  arms -38,12,0,20
takeoff:  z 1.06  feet 0,0,55  arms 55,18,0,35
air:  z 1.25  feet 0,0.17,25  bend 2  arms 125,25,0,30
land:  z 1  feet 0,0,25  pitch 8  arms 70,30,0,40
absorb like crouch:  arms 30,20,0,40
leap_takeoff:  z 1  x 0.18  feet 0,0,62  arms 45,18,0,35  pitch 16
leap_air like air:  z 1.16  advance 0.36  arms 95,25,0,40  pitch 14
leap_land:  z 0.86  x -0.18  pitch 30  bend 15  nod -15  advance 0.4  arms 50,25,0,40
hop_load:  z 0.88  pitch 10  bend 8  arms 15,15,-15,70
hop_takeoff:  z 1.02  x 0.04  feet 0,0,45  arms 35,20,-15,75
hop_air:  z 1.12  feet 0,0.12,25  advance 0.12  arms 45,25,-15,75
hop_land like land:  z 0.93  advance 0.12  arms 30,20,-15,75
bow:  pitch 30  bend 36  nod 14  x -0.1  arms 14,4,-10,12
bow_hands:  pitch 20  bend 30  nod 18  x -0.06  arms 42,-14,-35,100
reach_up:  left_arm 166,10,0,8  nod -22  side 8  left_heel 12  right_heel 12  z 1.03
     right_arm 4,14,-8,22
reach_up_both:  arms 168,10,0,10  nod -24  z 1.05  feet 0,0,18  bend -8
reach_out:  left_arm 88,6,-10,8  bend 10  twist -22  pitch 6  turn 15
reach_side:  left_arm 15,88,0,8  side -12  turn 35  y 0.03
pick_stoop:  z 0.8  x -0.16  pitch 58  bend 48  nod -10  left_arm 105,4,-5,10
     right_arm 60,12,-10,25
pick_squat:  z 0.44  x -0.12  pitch 42  bend 38  nod -18  left_knee_out 22  right_knee_out 22
     left_arm 68,6,-5,10  right_arm 60,-6,-40,60  feet 0,0,20
hold:  left_arm 38,4,-20,88
touch_toes:  z 0.94  x -0.15  pitch 68  bend 62  nod 15  arms 134,4,0,8
lunge:  left_foot 0.66,0,0  right_foot -0.2,0,55  x 0.22  z 0.68  arms 8,12,-10,60  pitch 6
half_kneel:  z 0.53  left_foot 0.46,0,0  right_foot -0.42,0,60  arms 30,10,-15,45  bend 8
kneel:  z 0.5  pitch 2  feet -0.48,0,0  arms 10,10,-20,40
sit_back:  z 0.34  x -0.14  pitch 32  bend 35  nod -22  wide 0.06  left_knee_out 22
     right_knee_out 22  arms 35,20,-10,30
floor_sit:  x -0.5  z 0.02  pitch -15  bend 30  feet 0.1,0,0  arms -35,14,-5,12
floor_knees like floor_sit:  arms 55,8,-25,40
floor_long like floor_sit:  pitch -8  feet 0.41,0,0  arms -25,14,-5,12
supine:  x -0.62  z 0.01  pitch -88  bend 2  nod 5  arms 0,22,0,15  feet 0.3,0,0
half_supine like supine:  x -0.56  pitch -52  bend 34  feet 0.25,0,0
supine_knees like supine:  arms 10,35,-10,60  feet -0.05,0,0
all_fours:  z 0.48  pitch 64  bend 12  nod -20  feet -0.48,0,0  arms 77,4,-5,10
prone:  x 0.42  z 0.05  pitch 86  bend -4  nod -8  feet -0.48,0,0  left_knee_out 60
     right_knee_out 60  arms 60,55,45,120
throw_load:  left_arm -20,92,82,100  twist 38  turn -25  right_arm 75,15,0,25  x -0.08
     right_foot 0.28,0,0  bend -8
throw_release:  left_arm 105,25,40,25  twist -18  turn 10  right_arm 10,20,-10,60  x 0.14
     right_foot 0.28,0,0  bend 14  left_heel 30
throw_follow:  left_arm 48,-25,0,20  twist -38  turn 30  right_arm -10,20,-10,50  x 0.18
     right_foot 0.28,0,0  bend 28  pitch 8  left_heel 40
toss_load:  arms 50,-4,-30,110  z 0.88  pitch 10  bend 10
toss:  arms 145,6,-15,15  z 1.03  feet 0,0,30  nod -15
side_bend:  side -30  roll -5  y -0.05  right_arm 70,135,0,25  wide 0.06
open_chest:  arms 20,95,30,12  bend -14  nod -14
hug_self:  arms 72,-28,-45,75  bend 12  nod 8
jack_in:  z 0.95  feet 0,0,8  arms 0,10,-5,15
jack_mid:  z 1.06  feet 0,0.08,25  wide 0.1  arms 15,95,10,15
jack_out:  z 0.9  feet 0,0,8  wide 0.22  arms 55,150,10,20
circle_front:  arms 88,8,0,8
circle_up:  arms 165,30,0,10
circle_back:  arms 10,110,40,8
circle_down:  arms -40,15,0,8
knee_touch:  left_foot 0.16,0.46,15  y -0.08  bend 38  twist 30  nod 12
     right_arm 62,-25,-25,120  left_arm 15,45,20,110  pitch 4
hands_head:  arms 30,95,65,130
twist:  twist 38  turn 22  arms 55,60,-20,95  yaw 10
drink:  left_arm 58,5,-30,138  nod -14
point:  left_arm 86,14,-15,6  turn 10
phone:  left_arm 45,25,-35,142  tilt -8
hips:  arms -18,44,-50,88  wide 0.03
folded:  arms 30,-6,-62,98  bend 4
sit_forward like sit:  pitch 12  bend 32  arms 48,4,-30,75  nod -15
sit_back_lean like sit:  x -0.5  pitch -22  bend 8  nod 8  feet 0.12,0,0  arms 10,16,-15,70
sit_elbows like sit:  pitch 22  bend 38  nod -18  arms 38,10,-45,85
sit_table like sit:  pitch 2  bend 14  arms 40,10,-35,80
sit_crossed like sit:  pitch -12  left_foot 0.16,0.24,0  left_foot_out -0.04  left_knee_out 14
     arms 24,0,-45,75  y -0.02
sit_ankle_on_knee like sit:  pitch -12  left_foot -0.02,0.44,0  left_foot_out -0.14
     left_knee_out 58  arms 26,4,-35,70  y -0.02
sit_low like sit:  z 0.34  x -0.44  pitch -4  bend 18
sit_high like sit:  z 0.68  x -0.32  pitch -4  feet 0.04,0,0
sit_phone like sit:  left_arm 48,22,-35,140  tilt -8  right_arm 28,8,-20,60
sit_phone_look like sit:  arms 34,4,-40,100  bend 16  nod 22
sit_bite like sit_table:  left_arm 62,4,-32,134  bend 20  nod 6
sit_fork like sit_table:  left_arm 52,6,-30,76  bend 20  nod 12
sit_glass like sit_table:  left_arm 58,6,-30,138  nod -16
sit_reach like sit_table:  left_arm 78,6,-15,22  bend 28  pitch 8  twist -10
sit_turn like sit:  twist 34  turn 34  left_arm 20,30,-10,50  right_arm 45,-8,-30,60
sit_type_a like sit_table:  left_arm 44,6,-30,74  right_arm 38,8,-30,84  nod 8
sit_type_b like sit_table:  left_arm 38,8,-30,84  right_arm 44,6,-30,74  nod 8
sit_write_a like sit_table:  left_arm 46,6,-42,66  bend 26  nod 16
sit_write_b like sit_table:  left_arm 46,12,-30,62  bend 26  nod 16
sit_shoe like sit:  pitch 34  bend 48  nod 4  arms 72,4,-20,22  feet 0.08,0,0
bite:  left_arm 56,4,-32,138  nod 6
plate like bite:  left_arm 38,4,-30,88  right_arm 34,2,-35,88  nod 14
plate_bite like plate:  left_arm 60,2,-34,136  nod 8
phone_look:  left_arm 44,2,-35,98  nod 24  bend 6
phone_tap like phone_look:  right_arm 48,-8,-45,96
box_low like pick_squat:  arms 66,0,-25,18
box_carry:  arms 34,2,-30,82  bend -4  pitch -3  z 0.97
box_table:  arms 62,0,-25,32  bend 18  pitch 10  x -0.06
box_shelf:  arms 128,2,-15,36  nod -12  z 0.99
bag:  left_arm 2,8,-8,8  side -6
tray:  left_arm 26,18,-40,100
open_near:  left_arm 62,8,-20,42  bend 6
open_far:  left_arm 34,24,-10,92  twist 16  x -0.05  right_foot -0.2,0,0
push_ready:  arms 70,4,-25,70  bend 14  pitch 14  left_foot 0.3,0,0  right_foot -0.22,0,30  z 0.9
push_lean like push_ready:  arms 84,4,-15,18  pitch 30  x 0.12  z 0.86  right_heel 40
pull_near:  arms 40,14,-20,95  pitch -12  left_foot 0.3,0,0  right_foot -0.18,0,0  z 0.88  x -0.1
pull_far like pull_near:  arms 84,6,-15,10  pitch 12  bend 18  x 0.08
sweep_in:  left_arm 40,-8,-30,50  right_arm 52,2,-40,70  bend 18  twist 12  pitch 8
sweep_out like sweep_in:  left_arm 52,22,-10,28  right_arm 40,14,-40,80  twist -16
wipe_left:  left_arm 54,24,-20,34  bend 26  pitch 8  nod -6  twist -8
wipe_right:  left_arm 54,-20,-30,44  bend 26  pitch 8  nod -6  twist 14
wipe_high_left:  left_arm 112,30,0,35  twist -8
wipe_high_right:  left_arm 112,-14,-20,48  twist 10
hammer_up:  left_arm 70,20,20,110  right_arm 58,-4,-30,55  twist -6
hammer_down:  left_arm 62,6,-10,48  right_arm 58,-4,-30,55  bend 6
stir_a:  left_arm 48,8,-40,72  right_arm 36,6,-35,80  nod 16  bend 8
stir_b:  left_arm 40,-2,-45,84  right_arm 36,6,-35,80  nod 16  bend 8
stir_c:  left_arm 36,10,-30,90  right_arm 36,6,-35,80  nod 16  bend 8
write_wall_a:  left_arm 92,18,0,60
write_wall_b:  left_arm 86,-4,-15,66  twist 6
kneel_reach like kneel:  pitch 34  bend 40  nod -8  left_arm 84,4,-5,8  right_arm 50,14,-15,30
kneel_sit like kneel:  z 0.27  x -0.26  pitch 6  bend 8  arms 22,8,-25,50
kneel_bow like kneel_sit:  pitch 48  bend 52  nod 12  arms 118,6,-10,20
kneel_scrub_a like all_fours:  left_arm 92,8,-5,24
kneel_scrub_b like all_fours:  left_arm 62,14,-5,48
crawl_left like all_fours:  advance 0.17  left_foot -0.38,0,0  right_foot -0.56,0,0
     left_arm 65,4,-5,10  right_arm 83,4,-5,12
crawl_right like all_fours:  advance 0.17  left_foot -0.56,0,0  right_foot -0.38,0,0
     left_arm 83,4,-5,12  right_arm 65,4,-5,10
crawl_start like all_fours:  left_foot -0.48,0,0
squat_hold like squat:  z 0.3  left_knee_out 28  right_knee_out 28  arms 52,2,-30,55  bend 26
hands_floor like squat:  z 0.36  pitch 52  bend 40  nod -20  arms 92,6,-5,10  wide 0.04
bear like hands_floor:  z 0.6  x -0.12  pitch 84  bend 40  nod -28  arms 124,6,-5,6  feet -0.1,0,30
side_sit like floor_sit:  y -0.05  roll 14  side -10  left_arm -20,10,0,15  right_arm -25,40,0,10
     feet 0.02,0,0  left_knee_out 40  right_knee_out 12
side_lying:  x -0.1  z 0.07  y -0.5  roll 86  pitch 2  bend 10  left_arm 55,18,-20,60
     right_arm 80,-10,-20,70  left_foot -0.05,0.1,0  right_foot 0.02,0,0  left_foot_out 0.36
     right_foot_out -0.36
supine_arms like supine:  arms 20,60,10,70
supine_hug like supine:  z 0.03  arms 62,4,-40,100  bend 22  feet -0.12,0.42,0  nod 20
crunch like supine_knees:  bend 42  pitch -66  nod 14  arms 60,30,0,110
bridge like supine:  z 0.27  x -0.46  pitch -104  bend -6  feet 0.0,0,0  arms -32,20,0,8
plank:  x 0.2  z 0.26  pitch 76  bend 2  nod -12  feet -0.93,0,62  arms 86,6,-5,8
push_low like plank:  x 0.2  z 0.12  pitch 85  arms 50,46,20,104
"""

_SIDES = ("left", "right")
ARM = ("arm_fwd", "arm_out", "arm_twist", "elbow")
_FOOT = ("foot_x", "foot_lift", "heel")
_FOOT_OUT = 0.12  # of a standing foot
_STAND: KeyPose = dict.fromkeys(
    ("x", "y", "yaw", "pitch", "roll", "bend", "side", "twist", "nod", "tilt", "turn"), 0.0
) | {"z": 0.998}
_STANDING_SIDE: KeyPose = {
    **{"arm_fwd": -2.0, "arm_out": 9.0, "arm_twist": -8.0, "elbow": 25.0},
    **{"foot_x": 0.0, "foot_out": _FOOT_OUT, "foot_lift": 0.0, "toe_out": 8.0, "heel": 0.0},
    **{"knee_out": 6.0, "free": 0.0},
}
for _side in _SIDES:
    _STAND |= {f"{_side}_{part}": value for part, value in _STANDING_SIDE.items()}


def _parse_poses(table: str) -> dict[str, KeyPose]:
    poses: dict[str, KeyPose] = {}
    for line in table.strip().replace("\n   ", " ").splitlines():
        head, _, fields = line.partition(":")
        name, *like = head.replace(" like ", " ").split()
        pose = dict(poses[like[0]] if like else _STAND)
        words = fields.split()
        for field, text in zip(words[::2], words[1::2], strict=True):
            values = [float(value) for value in text.split(",")]
            side, _, part = field.partition("_")
            if len(values) > 1:
                channels = ARM if field in ("arms", "left_arm", "right_arm") else _FOOT
                sides = (side,) if part else _SIDES
                pose |= {
                    f"{s}_{c}": v for s in sides for c, v in zip(channels, values, strict=True)
                }
            elif field == "wide":
                pose |= {f"{s}_foot_out": _FOOT_OUT + values[0] for s in _SIDES}
            else:
                assert field in pose or field == "advance", f"no channel {field}"
                pose[field] = values[0]
        for s in _SIDES:
            pose[f"{s}_free"] = float(pose[f"{s}_foot_lift"] > 0)
        poses[name] = pose
    return poses


POSES = _parse_poses(_POSES)
STAND = POSES["stand"]
