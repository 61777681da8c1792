"""Other words for the labels of actions: what people type is seldom what a corpus says.

`paraphrases` gives synonyms and more general names ("jump forward": "leap forward", "jump"), each
true wherever the label is. They are for English labels; of others it knows nothing.
"""

import re
from functools import cache

from actionpose.text import normalize_text

# A label a line, and other words for it. {s} is a side, {o} the other one.
_SYNONYMS = """
bend down and pick something up from the floor with the {s} hand: pick something up
    | pick an object up from the ground | stoop and pick something up with the {s} hand
bend down and put something on the floor with the {s} hand: put something down
    | lay something on the ground with the {s} hand
squat down and pick something up from the floor with the {s} hand: pick something up
    | crouch and take something from the ground
bow: take a bow | bow the upper body
bow on the knees: bow down while kneeling | prostrate oneself
bow with folded hands: bow with the palms together | greet with folded hands
box with both fists: boxing | shadow boxing | throw punches
carry a bag in the {s} hand: carry a bag | walk with a bag
carry a box: carry something with both hands | walk with a box
carry a tray: serve with a tray | hold a tray
clap hands: clap | applaud
clap hands above the head: clap overhead
crawl on hands and knees: crawl | crawl on all fours | move like a baby
cross the legs while sitting: sit with crossed legs
dance around: dance | dancing | dance freely
dance with the arms: dance | arm dance
drink from a cup with the {s} hand: drink | take a sip | drink while standing
drink from a glass at a table: drink | drink while sitting
eat at a table with the {s} hand: eat | eat while sitting | have a meal
eat from a plate while standing: eat | eat while standing
eat with the {s} hand: eat | take a bite
fold the arms: cross the arms | stand with crossed arms
get down and crawl: go down on hands and knees and crawl
get on all fours: go down on hands and knees
get up from all fours: stand up from hands and knees
get up from the floor: get up | stand up from lying | rise from the ground
get up from the knees: stand up from kneeling
get up from the stomach: get up | get up from lying face down
hammer with the {s} hand: hammer | hit with a hammer | hammer a nail
hold a phone to the {s} ear: phone | make a phone call | answer the phone
hop on both legs: hop | bounce | hopping on the spot
hug the knees while lying on the back: pull the knees to the chest
jab with the {s} fist: jab | quick straight punch | punch
jog forward: jog | jogging | run slowly
jog in a circle to the {s}: run in a circle | run in a curve to the {s} | jog and bend to the {s}
jump forward: jump | leap forward | long jump
jump up: jump | jump into the air | vertical jump
jumping jacks: do jumping jacks | star jumps | jump and spread arms and legs
kick a ball with the {s} foot: kick a ball | shoot a football
kick to the front with the {s} leg: kick | front kick | kick forward with the {s} foot
kick to the side with the {s} leg: kick | side kick
kneel and gesture: talk while kneeling
kneel down: go down on the knees | get on the knees
kneel down and lie on the stomach: lie down | lie down face down
kneel on the {s} knee: go down on one knee | half kneel
lean forward on a chair: lean forward while sitting
lean the elbows on the knees while sitting: sit and lean forward
lie down on the back from sitting: lie back
lie down on the floor: lie down | lay down
lie on the back: lie | lie on the floor
lie on the side: lie | lie sideways on the floor
lie on the stomach: lie | lie face down
lift a box from the floor with both hands: lift something heavy | pick up a box
look at the phone and tap: use a phone | text on the phone
look at the phone while sitting: use a phone | text while sitting
lunge forward with the {s} leg: lunge | step into a lunge
march forward: march | parade
march on the spot: march in place | high knees
move freely: move around
open a door with the {s} hand: open a door
point forward with the {s} hand: point | point ahead | point at something
pull something heavy: pull | drag something | pull a rope
punch with the {s} fist: punch | hit | strike with the {s} fist
push something heavy: push | shove
push ups: do push ups | press ups
put a box down on the floor: put something down | set a box down
put a box on a shelf: put something up high
put a box on a table: put something on a table
put the hands on the hips: stand with hands on hips | arms akimbo
put the {s} ankle on the {o} knee while sitting: sit with one leg over the other
raise the hips while lying on the back: bridge | hip thrust
reach for something on the table with the {s} hand: grab something from the table
reach forward with the {s} hand: reach out | stretch the {s} arm forward | grab something in front
reach to the {s}: reach sideways | stretch an arm to the {s}
reach up high with the {s} hand: reach up | stretch the {s} arm up | grab something from above
reach up high and grab with the {s} hand: reach up | grab something from above
reach up with both hands: reach up | stretch both arms up
rotate both arms backward: arm circles | circle the arms backward
rotate both arms forward: arm circles | circle the arms forward
run forward: run | running | sprint
run on the spot: run in place | jog in place
scrub the floor on the knees: scrub the floor | clean the floor
sit at a table and talk: sit | sit and talk
sit down on a chair: sit down | take a seat
sit leaning back: sit | lean back on a chair
sit on a chair and talk: sit | sit and talk | talk while sitting
sit on the floor and talk: sit on the floor | sit on the ground
sit on the floor with straight legs: sit on the floor
sit still on a chair: sit | sit on a chair | be seated
sneak forward: sneak | tiptoe | walk stealthily
squat: do a squat | squat down | crouch down and stand up
squat with crossed arms: squat
stand and talk with the hands: talk | gesture while talking | explain something
stand still: stand | stand and wait | do nothing
stand up from a chair: stand up | get up from a chair | rise from a seat
stand up from sitting on the floor: stand up | get up from the ground
step sideways to the {s}: sidestep | step to the {s} | go to the {s} side
stir in a bowl with the {s} hand: stir | mix something in a bowl | cook
stretch sideways to the {s}: bend sideways | lean to the {s}
stretch the arms overhead: stretch | stretch upward
stretch the arms wide: stretch | spread the arms
sweep the floor: sweep | sweep with a broom
take a box from a shelf: take something from above
take a box from a table: take something from a table
talk on the phone while sitting: phone | talk on the phone
talk on the phone with the {s} hand at the ear: phone | talk on the phone | make a call
throw a basketball: shoot a basketball | throw a ball with both hands | shoot a hoop
throw with the {s} hand: throw | throw a ball | pitch
tie the shoes while sitting: tie the shoes | put on shoes
touch the toes: bend down and touch the toes | forward fold
touch the {s} knee with the {o} elbow: elbow to knee | cross crunch while standing
turn around to the {s} while sitting: look back while sitting
turn to the {s}: turn | turn around | turn {s} on the spot
twist the trunk to the {s}: twist | rotate the upper body to the {s}
type on a keyboard: type | work on a computer
uppercut with the {s} fist: uppercut | punch | punch upward
walk and look at the phone: walk while texting
walk and talk on the phone: walk while phoning
walk and talk with the hands: walk while talking | walk and gesture
walk backward: walk backwards | go back | step back
walk forward: walk | go forward | go straight ahead
walk forward quickly: walk fast | hurry | brisk walk
walk forward slowly: walk slowly | stroll
walk in a circle to the {s}: walk in a circle | walk in a curve to the {s} | veer {s} while walking
wave with both hands: wave | wave the arms | signal with both arms
wave with the {s} hand: wave | wave hello | greet with the {s} hand
wave with the {s} hand high in the air: wave | wave to someone far away
wipe a table with the {s} hand: wipe | clean a table
wipe a window with the {s} hand: wipe | clean a window | wash windows
write at a table with the {s} hand: write | write while sitting
write on a wall with the {s} hand: write | write on a board
walk: walking | go forward
walking: walk | go forward
slow walk: walk slowly | walk
slow walk/stride: walk slowly | walk
brisk walk: walk fast | walk
walk/stride: walk | stride
walk, exaggerated stride: walk | walk with long steps
walk on uneven terrain: walk | walk over rough ground
run: running | run forward
running: run | run forward
run/jog: run | jog | running
run/jog, sudden stop: run | run and stop
run to quick stop: run and stop
run/jog, veer {s}: run | run in a curve to the {s}
run, veer {s}: run | run in a curve to the {s}
run {s}: run | run to the {s}
run turn {s}: run | run and turn {s}
run, 90-degree {s} turn: run | run and turn {s}
run jump over: run and jump | jump over something
run duck underneath: run and duck | duck under something
walk to run: start running
forward jump: jump | jump forward
jumping: jump | jump up
jump kick: kick | jump and kick
jump and spin kick: kick | spinning kick
front kick: kick | kick to the front
get up from ground: get up | stand up from lying
get up face down: get up | get up from lying face down
get up laying on side: get up | get up from lying on the side
fall on face: fall | fall down
stretch and cartwheel: cartwheel
directing traffic: direct traffic | signal with the arms
basketball signal: referee signals | signal with the arms
basketball: play basketball | dribble a ball
soccer: play football
soccer - kick ball: kick a ball | kick | play football
salsa dance: dance | dance salsa
indian dance: dance
wash windows: clean a window | wipe a window
playground - climb: climb
"""


def _table() -> dict[str, tuple[str, ...]]:
    table = {}
    for line in _SYNONYMS.strip().replace("\n   ", "").splitlines():
        label, _, others = line.partition(":")
        for side, other in (("left", "right"), ("right", "left")):
            key, *values = (
                normalize_text(text.format(s=side, o=other)) for text in (label, *others.split("|"))
            )
            table[key] = tuple(values)
    return table


_TABLE = _table()
_GENERAL = (  # what may be left out of a label, and it is still true
    r" with the (left|right) (hand|fist|foot|leg|arm)\b.*",
    r" with both (hands|fists)",
    r" to the (left|right)",
    r" at a table",
)


@cache
def paraphrases(label: str) -> tuple[str, ...]:
    """Other texts that are true wherever a label is, in a fixed order.

    Args:
        label: normalised, as `text.normalize_text` does it.
    """
    found = dict.fromkeys(_TABLE.get(label, ()))
    for pattern in _GENERAL:
        found |= dict.fromkeys(re.sub(f"{pattern}$", "", text) for text in (label, *found))
    found.pop(label, None)
    return tuple(found)
