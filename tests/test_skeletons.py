"""Joint sets against the published orders, and the ways between them."""

import numpy as np
import pytest
import torch

from actionpose.skeletons import (
    BODY25,
    BODY_PARTS,
    COCO17,
    COCO23,
    H36M17,
    H36M17_FEET,
    HALPE26,
    MEDIAPIPE33,
    MPI_INF_3DHP17,
    MPII16,
    SKELETONS,
    Skeleton,
    convert,
    gives,
)
from actionpose.utils.errors import UserError

# How each Human3.6M joint follows from the joints of another set, by the published indices.
LIMBS_OF_COCO = {1: [12], 2: [14], 3: [16], 4: [11], 5: [13], 6: [15]}
LIMBS_OF_COCO |= {11: [5], 12: [7], 13: [9], 14: [6], 15: [8], 16: [10]}
TABLE = {
    "halpe26": LIMBS_OF_COCO | {0: [19], 7: [18, 19], 8: [18], 9: [0], 10: [17]},
    "coco17": LIMBS_OF_COCO | {0: [11, 12], 7: [5, 6, 11, 12], 8: [5, 6], 9: [0], 10: [1, 2]},
    "body25": {0: [8], 1: [9], 2: [10], 3: [11], 4: [12], 5: [13], 6: [14]}
    | {7: [1, 8], 8: [1], 9: [0], 10: [15, 16]}
    | {11: [5], 12: [6], 13: [7], 14: [2], 15: [3], 16: [4]},
    "mediapipe33": {0: [23, 24], 1: [24], 2: [26], 3: [28], 4: [23], 5: [25], 6: [27]}
    | {7: [11, 12, 23, 24], 8: [11, 12], 9: [0], 10: [2, 5]}
    | {11: [11], 12: [13], 13: [15], 14: [12], 15: [14], 16: [16]},
    "mpii16": {0: [6], 1: [2], 2: [1], 3: [0], 4: [3], 5: [4], 6: [5]}
    | {7: [2, 3, 12, 13], 8: [7], 9: [8], 10: [9]}
    | {11: [13], 12: [14], 13: [15], 14: [12], 15: [11], 16: [10]},
    "mpi_inf_3dhp17": {0: [14], 1: [8], 2: [9], 3: [10], 4: [11], 5: [12], 6: [13]}
    | {7: [15], 8: [1], 9: [16], 10: [0]}
    | {11: [5], 12: [6], 13: [7], 14: [2], 15: [3], 16: [4]},
}
EVERY_SET = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=list(SKELETONS))


def some_points(skeleton: Skeleton, *leading: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((*leading, len(skeleton), channels))


@EVERY_SET
def test_mirror_twice_is_identity(skeleton: Skeleton) -> None:
    points = np.arange(len(skeleton))
    assert (points[skeleton.mirror][skeleton.mirror] == points).all()


@EVERY_SET
def test_mirror_swaps_sides_only(skeleton: Skeleton) -> None:
    for joint, twin in zip(
        skeleton.joints, np.array(skeleton.joints)[skeleton.mirror], strict=True
    ):
        swapped = joint.replace("left_", "*").replace("right_", "left_").replace("*", "right_")
        assert twin == swapped


@EVERY_SET
def test_parents_form_a_tree(skeleton: Skeleton) -> None:
    assert len(set(skeleton.joints)) == len(skeleton.joints) == len(skeleton.parents)
    assert skeleton.parents.count(None) == 1
    parent_of = dict(zip(skeleton.joints, skeleton.parents, strict=True))
    for joint in skeleton.joints:
        steps = 0
        while parent_of[joint] is not None:
            joint, steps = parent_of[joint], steps + 1
            assert steps < len(skeleton), f"{joint} is in a cycle"
    assert len(skeleton.bones) == len(skeleton) - 1


@EVERY_SET
def test_bones_are_symmetric(skeleton: Skeleton) -> None:
    bones = set(skeleton.bones)
    assert bones == {(skeleton.mirror[child], skeleton.mirror[parent]) for child, parent in bones}


def test_skeletons_have_published_sizes() -> None:
    assert {name: len(skeleton) for name, skeleton in SKELETONS.items()} == {
        "h36m17": 17,
        "h36m17_feet": 21,
        "coco17": 17,
        "coco23": 23,
        "halpe26": 26,
        "body25": 25,
        "mediapipe33": 33,
        "mpii16": 16,
        "mpi_inf_3dhp17": 17,
    }


def indices_of(skeleton: Skeleton, side: str) -> list[int]:
    return [i for i, joint in enumerate(skeleton.joints) if joint.startswith(f"{side}_")]


@pytest.mark.parametrize(
    ("skeleton", "left", "right"),
    [
        (H36M17, [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]),
        (COCO17, [1, 3, 5, 7, 9, 11, 13, 15], [2, 4, 6, 8, 10, 12, 14, 16]),
        (
            BODY25,
            [5, 6, 7, 12, 13, 14, 16, 18, 19, 20, 21],
            [2, 3, 4, 9, 10, 11, 15, 17, 22, 23, 24],
        ),
        (H36M17_FEET, [4, 5, 6, 11, 12, 13, 17, 18], [1, 2, 3, 14, 15, 16, 19, 20]),
        (COCO23, [*range(1, 17, 2), 17, 18, 19], [*range(2, 17, 2), 20, 21, 22]),
        (MPII16, [3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]),
        (MPI_INF_3DHP17, [5, 6, 7, 11, 12, 13], [2, 3, 4, 8, 9, 10]),
        (HALPE26, [*range(1, 17, 2), 20, 22, 24], [*range(2, 17, 2), 21, 23, 25]),
        (MEDIAPIPE33, [1, 2, 3, *range(7, 33, 2)], [4, 5, 6, *range(8, 33, 2)]),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_joints_sides_as_published(skeleton: Skeleton, left: list[int], right: list[int]) -> None:
    assert indices_of(skeleton, "left") == left
    assert indices_of(skeleton, "right") == right


def test_joints_as_published() -> None:
    assert H36M17.indices("pelvis", "right_ankle", "left_ankle", "thorax", "nose", "head") == [
        *(0, 3, 6),
        *(8, 9, 10),
    ]
    assert COCO17.indices("nose", "left_ear", "left_wrist", "right_ankle") == [0, 3, 9, 16]
    assert HALPE26.joints[:17] == COCO17.joints
    assert HALPE26.indices("head", "neck", "pelvis") == [17, 18, 19]
    assert BODY25.indices("nose", "neck", "right_wrist", "left_wrist", "pelvis") == [0, 1, 4, 7, 8]
    assert MEDIAPIPE33.indices("left_shoulder", "left_hip", "right_heel") == [11, 23, 30]
    assert MPII16.indices("right_ankle", "pelvis", "thorax", "head", "left_wrist") == [
        0,
        6,
        7,
        9,
        15,
    ]
    assert MPI_INF_3DHP17.indices("head_top", "neck", "pelvis", "spine", "head") == [
        0,
        1,
        14,
        15,
        16,
    ]


def test_mirror_of_mpi_inf_3dhp() -> None:
    """Arms 2-4 with 5-7, legs 8-10 with 11-13, the trunk with itself."""
    expected = [0, 1, 5, 6, 7, 2, 3, 4, 11, 12, 13, 8, 9, 10, 14, 15, 16]
    assert MPI_INF_3DHP17.mirror == expected


def test_body_parts_of_the_paper() -> None:
    parts = {name: sorted(H36M17.indices(*joints)) for name, joints in BODY_PARTS.items()}
    assert parts == {
        "upper body": [7, 8, 9, 10, 11, 12, 13, 14, 15, 16],
        "lower body": [0, 1, 2, 3, 4, 5, 6],
        "head": [9, 10],
        "arms": [11, 12, 13, 14, 15, 16],
        "legs": [2, 3, 5, 6],
        "hips": [0, 1, 4],
    }


@pytest.mark.parametrize("name", TABLE)
def test_convert_follows_the_table(name: str) -> None:
    points = some_points(SKELETONS[name], 4)
    converted = convert(points, SKELETONS[name])
    assert sorted(TABLE[name]) == list(range(17))
    for joint, parts in TABLE[name].items():
        mean = points[:, parts, :2].mean(axis=1)
        np.testing.assert_allclose(converted[:, joint, :2], mean, atol=1e-12)
        assert (converted[:, joint, 2] == points[:, parts, 2].min(axis=1)).all()


@pytest.mark.parametrize("name", TABLE)
def test_convert_without_confidence(name: str) -> None:
    points = some_points(SKELETONS[name], 2, 3)
    converted = convert(points, SKELETONS[name], confidence=False)
    for joint, parts in TABLE[name].items():
        np.testing.assert_allclose(converted[..., joint, :], points[..., parts, :].mean(-2))


@EVERY_SET
@pytest.mark.parametrize("confidence", [True, False])
def test_convert_tensors_like_arrays(skeleton: Skeleton, confidence: bool) -> None:
    points = some_points(skeleton, 2, 3).astype(np.float32)
    array = convert(points, skeleton, confidence=confidence)
    tensor = convert(torch.from_numpy(points), skeleton, confidence=confidence)
    assert isinstance(array, np.ndarray) and isinstance(tensor, torch.Tensor)
    assert array.dtype == np.float32 and tensor.dtype == torch.float32
    assert array.shape == (2, 3, 17, 3)
    np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-6)


def test_convert_leaves_its_input() -> None:
    points = some_points(COCO17)
    before = points.copy()
    convert(points, COCO17)
    assert (points == before).all()


@EVERY_SET
def test_convert_commutes_with_mirror(skeleton: Skeleton) -> None:
    points = some_points(skeleton, 2)
    there = convert(points[:, skeleton.mirror], skeleton)
    np.testing.assert_allclose(there, convert(points, skeleton)[:, H36M17.mirror])


def test_convert_to_the_same_set() -> None:
    points = some_points(HALPE26)
    assert (convert(points, HALPE26, HALPE26) == points).all()


def test_convert_to_a_contained_set() -> None:
    points = some_points(HALPE26)
    assert (convert(points, HALPE26, COCO17) == points[:17]).all()


def test_convert_refuses_missing_joints() -> None:
    with pytest.raises(UserError, match="h36m17.*coco17.*nothing gives left_eye"):
        convert(some_points(H36M17), H36M17, COCO17)
    with pytest.raises(UserError, match="halpe26 has 26 joints, but the points have 17"):
        convert(some_points(COCO17), HALPE26)


@pytest.mark.parametrize(
    ("source", "heel", "tips", "base"),
    [
        # by the published indices of the left foot: heel, big and small toe
        (HALPE26, 24, (20, 22), 0.75),
        (BODY25, 21, (19, 20), 0.75),
        (COCO23, 19, (17, 18), 0.75),
        (MEDIAPIPE33, 29, (31,), 2 / 3),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_feet_follow_from_heels_and_toes(
    source: Skeleton, heel: int, tips: tuple[int, ...], base: float
) -> None:
    assert gives(source, H36M17_FEET)
    points = np.random.default_rng(5).uniform(0.2, 1, (2, len(source), 3))
    feet = convert(points, source, H36M17_FEET)
    np.testing.assert_array_equal(feet[:, :17], convert(points, source, H36M17))
    toe = points[:, tips].mean(axis=1)
    toe[:, 2] = points[:, tips, 2].min(axis=1)
    np.testing.assert_allclose(feet[:, H36M17_FEET.joints.index("left_toe")], toe)
    expected = (1 - base) * points[:, heel, :2] + base * toe[:, :2]
    found = feet[:, H36M17_FEET.joints.index("left_toe_base")]
    np.testing.assert_allclose(found[:, :2], expected)
    np.testing.assert_allclose(found[:, 2], np.minimum(points[:, heel, 2], toe[:, 2]))


def test_feet_do_not_follow_from_sets_without_them() -> None:
    for source in (H36M17, COCO17, MPII16, MPI_INF_3DHP17):
        assert not gives(source, H36M17_FEET)
        with pytest.raises(UserError, match="nothing gives left_toe_base"):
            convert(np.ones((len(source), 3)), source, H36M17_FEET)
    assert gives(H36M17_FEET, H36M17)
    np.testing.assert_array_equal(
        convert(np.arange(63.0).reshape(21, 3), H36M17_FEET), np.arange(51.0).reshape(17, 3)
    )
