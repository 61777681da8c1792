"""Selection of the joint layout of an array: by argument, joint names or number of joints."""

from collections.abc import Iterable

from actionpose.skeletons import BODY25, COCO17, COCO23, H36M17_FEET, HALPE26, SKELETONS, Skeleton
from actionpose.utils.errors import UserError

# Layouts that begin with one of `SKELETONS`, and OpenPose COCO-18, which has the order of BODY_25
# without pelvis and feet and contains COCO-17
WHOLE_BODY = {133: COCO23, 136: HALPE26}
OPENPOSE18 = tuple(joint for joint in BODY25.joints if joint != "pelvis")[:18]
# 21 unnamed joints are more often a hand than H36M17_FEET
_SETS = [skeleton for skeleton in SKELETONS.values() if skeleton is not H36M17_FEET]
NUMBERS_OF_JOINTS = sorted({*map(len, _SETS), len(OPENPOSE18), *WHOLE_BODY})


def joint_layout(
    num_joints: int,
    given: Skeleton | None,
    *,
    names: tuple[str, ...] | None,
    assume_coco: bool,
) -> tuple[Skeleton, list[int]]:
    """Select the skeleton for a number of joints, and the index of each of its joints in the file.

    Args:
        given: Skeleton specified by the user.
        names: Joint names in the file, if any.
        assume_coco: Whether 17 joints are COCO17 if nothing else determines the layout.

    Raises:
        UserError: If no skeleton or several skeletons match.
    """
    fitting = {
        s: list(range(num_joints))
        for s in SKELETONS.values()
        if len(s) == num_joints and (s in _SETS or s.joints == names)
    }
    if num_joints in WHOLE_BODY:
        fitting[WHOLE_BODY[num_joints]] = list(range(len(WHOLE_BODY[num_joints])))
    if num_joints == len(OPENPOSE18):
        fitting[COCO17] = [OPENPOSE18.index(joint) for joint in COCO17.joints]
    if given is not None:
        if len(given) == num_joints:
            return given, list(range(num_joints))
        if given in fitting:
            return given, fitting[given]
        if num_joints in WHOLE_BODY and WHOLE_BODY[num_joints].joints[: len(given)] == given.joints:
            return given, list(range(len(given)))
        raise UserError(
            f"has {num_joints} joints, but {given.name} has {len(given)}: "
            f"{_or(fitting) or 'no known layout'} would fit"
        )
    if not fitting:
        raise UserError(
            f"has {num_joints} joints, of which no layout is known: {_or(_SETS)} "
            f"with {', '.join(map(str, NUMBERS_OF_JOINTS))} joints are; {H36M17_FEET.name} with "
            f"{len(H36M17_FEET)} joints without names has to be said, with skeleton=NAME"
        )
    if len(fitting) > 1 and names in (joints := {s.joints: s for s in fitting}):
        return joints[names], fitting[joints[names]]
    if len(fitting) > 1 and (names or not assume_coco):
        raise UserError(f"{num_joints} joints can be {_or(fitting)}: say which, with skeleton=NAME")
    only = COCO17 if COCO17 in fitting else next(iter(fitting))
    return only, fitting[only]


def _or(skeletons: Iterable[Skeleton]) -> str:
    return " or ".join(skeleton.name for skeleton in skeletons)


def skeleton_by_name(skeleton: Skeleton | str | None) -> Skeleton | None:
    """Find a skeleton by name. A skeleton or None is returned unchanged.

    Raises:
        UserError: If the skeleton is unknown.
    """
    if not isinstance(skeleton, str):
        return skeleton
    if skeleton not in SKELETONS:
        raise UserError(f"no skeleton {skeleton!r}: there are {', '.join(SKELETONS)}")
    return SKELETONS[skeleton]
