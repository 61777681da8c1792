"""HDM05: the cut sequences (HDM_SUBJECT_CLASS_NUMBER_RATE.amc), a class of motion each."""

import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from actionpose.prepare.mocap.asfamc import Skeleton, read_amc, read_asf
from actionpose.prepare.mocap.common import Joints, SourceFolder, SourceSequence, read_joints
from actionpose.utils.errors import UserError

SOURCE = "HDM05, M. Mueller et al., Universitaet Bonn, 2007"
LICENSE = "CC BY-SA 3.0"
SPLITS = {"bd": "val", "tr": "test"}  # the open benchmark's; the other subjects are train

NAME = re.compile(r"HDM_([a-z]+)_([A-Za-z]\w*?)_(\d+)_(\d+)", re.IGNORECASE)
UNCUT = re.compile(r"HDM_[a-z]+_\d+-\d+.*", re.IGNORECASE)

# What the classes are in words. Counts, and the side that begins, are left out of their names.
TEXTS = {
    "cartwheel": "cartwheel",
    "clap": "clap the hands",
    "clapAboveHead": "clap the hands above the head",
    "depositFloorR": "bend down and put something on the floor with the right hand",
    "depositHighR": "put something up high with the right hand",
    "depositLowR": "put something down low with the right hand",
    "depositMiddleR": "put something down at waist height with the right hand",
    "elbowToKnee": "touch elbow to opposite knee while standing",
    "grabFloorR": "bend down and grab something from the floor with the right hand",
    "grabHighR": "reach up high and grab with the right hand",
    "grabLowR": "reach down low and grab with the right hand",
    "grabMiddleR": "reach out at waist height and grab with the right hand",
    "hitRHandHead": "hit with the right hand at head height",
    "hopBothLegs": "hop on both legs",
    "hopLLeg": "hop on the left leg",
    "hopRLeg": "hop on the right leg",
    "jogLeftCircle": "jog in a circle to the left",
    "jogOnPlace": "jog on the spot",
    "jogRightCircle": "jog in a circle to the right",
    "jumpDown": "jump down",
    "jumpingJack": "jumping jack",
    "kickLFront": "kick to the front with the left leg",
    "kickLSide": "kick to the side with the left leg",
    "kickRFront": "kick to the front with the right leg",
    "kickRSide": "kick to the side with the right leg",
    "lieDownFloor": "lie down on the floor",
    "punchLFront": "punch to the front with the left fist",
    "punchLSide": "punch to the side with the left fist",
    "punchRFront": "punch to the front with the right fist",
    "punchRSide": "punch to the side with the right fist",
    "rotateArmsBothBackward": "rotate both arms backward",
    "rotateArmsBothForward": "rotate both arms forward",
    "rotateArmsLBackward": "rotate the left arm backward",
    "rotateArmsLForward": "rotate the left arm forward",
    "rotateArmsRBackward": "rotate the right arm backward",
    "rotateArmsRForward": "rotate the right arm forward",
    "runOnPlace": "run on the spot",
    "shuffle": "shuffle sideways",
    "sitDownChair": "sit down on a chair",
    "sitDownFloor": "sit down on the floor",
    "sitDownKneelTieShoes": "kneel down and tie the shoes",
    "sitDownTable": "sit down on a table",
    "skier": "move the legs like a skier",
    "sneak": "sneak forward",
    "squat": "squat",
    "staircaseDown": "walk down stairs",
    "staircaseUp": "walk up stairs",
    "standUpKneelToStand": "stand up from kneeling",
    "standUpLieFloor": "stand up from lying on the floor",
    "standUpSitChair": "stand up from a chair",
    "standUpSitFloor": "stand up from sitting on the floor",
    "standUpSitTable": "stand up from sitting on a table",
    "throwBasketball": "throw a basketball",
    "throwFarR": "throw far with the right hand",
    "throwSittingHighR": "throw high with the right hand while sitting",
    "throwSittingLowR": "throw low with the right hand while sitting",
    "throwStandingHighR": "throw high with the right hand while standing",
    "throwStandingLowR": "throw low with the right hand while standing",
    "turnLeft": "turn left",
    "turnRight": "turn right",
    "walk": "walk forward",
    "walkBackwards": "walk backward",
    "walkLeft": "walk sideways to the left",
    "walkLeftCircle": "walk in a circle to the left",
    "walkOnPlace": "walk on the spot",
    "walkRightCircle": "walk in a circle to the right",
    "walkRightCrossFront": "walk sideways to the right and cross the legs in front",
}


def text_of(class_name: str) -> str:
    """A class of motion in words; of one that the table lacks, the words of its name."""
    stem = re.sub(r"([LR]HandStart|StartAir|StartFloor)?\d.*$", "", class_name)
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", stem).lower()
    return TEXTS.get(stem, words)


def list_sequences(source: SourceFolder) -> list[SourceSequence]:
    """The cut sequences in a folder; skeletons (HDM_SUBJECT.asf) lie anywhere in it.

    Raises:
        UserError: there is no AMC file.
    """
    paths, skeletons = source.find(".amc"), source.find_skeletons()
    read_skeleton = cache(read_asf)
    found = []
    for path in paths:
        match = NAME.fullmatch(path.stem)
        if match is None:
            is_uncut = UNCUT.fullmatch(path.stem)
            reason = "its name is not HDM_SUBJECT_CLASS_NUMBER_RATE"
            source.exclude(path, "a whole scene, which has no single text" if is_uncut else reason)
            continue
        subject, class_name, number, fps = match.groups()
        asf = skeletons.get(f"hdm_{subject}".lower())
        sequence = SourceSequence(
            path,
            id=f"hdm_{subject}_{class_name}_{number}",
            subject=f"hdm_{subject}",
            split=SPLITS.get(subject.lower(), "train"),
            text=text_of(class_name),
            read=partial(_read, path, asf, float(fps), read_skeleton),
        )
        found.append(sequence)
    return source.drop_duplicates(found)


def _read(
    path: Path, asf: Path | None, fps: float, read_skeleton: Callable[[Path], Skeleton]
) -> Joints:
    if asf is None:
        subject = "_".join(path.stem.split("_")[:2])
        raise UserError(f"{path}: its skeleton {subject}.asf is not there")
    if fps <= 0:
        raise UserError(f"{path}: its name ends in the rate {fps:g}")
    return read_joints(read_amc(path, read_skeleton(asf), fps), "hdm05")
