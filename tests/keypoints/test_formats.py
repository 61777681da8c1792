"""What all formats of keypoints have in common: defects of real files, who is who."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.keypoint_writers import (
    SHAPE,
    KeypointsWriter,
    alphapose,
    body,
    instance,
    openpose,
    refused,
)

from actionpose import keypoints as package
from actionpose.keypoints import Keypoints, formats
from actionpose.skeletons import COCO17, HALPE26, Skeleton
from actionpose.utils.errors import UserError


def test_documentation_has_the_table_of_formats() -> None:
    page = Path(__file__).parents[2] / "docs" / "inference.md"
    assert formats.document() in page.read_text(encoding="utf-8")


def test_formats_list_every_reader() -> None:
    folder = Path(package.__file__).parent
    readers = {
        path.stem
        for path in folder.glob("*.py")
        if "\ndef matches(" in (text := path.read_text()) and "\ndef read(" in text
    }
    assert readers == formats.FORMATS.keys()


@pytest.mark.parametrize("joints", [5, 22, 68])
def test_read_refuses_an_unknown_number_of_joints(
    write_keypoints: KeypointsWriter, joints: int
) -> None:
    refused(write_keypoints([alphapose("0.jpg", body(0, 0, joints))]), str(joints), "halpe26")


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("[]", "nobody"),
        ("{}", "not of a form"),
        ("3", "not of a form"),
        ("[1, 2]", "not of a form"),
        ('[{"image_id": "0.jpg", "keypoints": [1, 2', "cut off"),
        ("[" * 100_000, "cut off"),
        ("1" * 5000, "cut off"),
        ('[{"image_id": "0.jpg", "keypoints": []}]', "0 numbers"),
        ('[{"image_id": "0.jpg", "keypoints": [1, 2]}]', "2 numbers"),
        ('[{"image_id": "0.jpg", "keypoints": 3}]', "list"),
        ('[{"image_id": "0.jpg", "keypoints": ["a", 1, 2]}]', "numbers"),
        ('[{"image_id": "0.jpg", "keypoints": [[1], 1, 2]}]', "numbers"),
        ('[{"image_id": "a.jpg", "keypoints": [1, 2, 3]}]', "a.jpg"),
        ('[{"image_id": "0.jpg"}]', "keypoints"),
        ('[{"image_id": "0.jpg", "keypoints": [1, 2, 3]}, 4]', "image_id"),
        ('{"people": [{}]}', "pose_keypoints_2d"),
        ('{"people": []}', "nobody"),
        ('{"instance_info": []}', "no frame"),
        ('{"annotations": []}', "images"),
        ('{"images": [], "annotations": []}', "nobody"),
    ],
)
def test_read_refuses_faulty_json(
    write_keypoints: KeypointsWriter, content: str, word: str
) -> None:
    refused(write_keypoints(content), word)


def test_read_damaged_numpy_files_never_crashes(tmp_path: Path) -> None:
    """Cut off or with a bit flipped, it is read or refused in a sentence."""
    whole = Keypoints.from_array(body(0, 0, 16)[None], skeleton=None, fps=30)
    whole.save(tmp_path / "a.npz")
    np.save(tmp_path / "a.npy", whole.keypoints_px)
    for path in (tmp_path / "a.npz", tmp_path / "a.npy"):
        good = path.read_bytes()
        for i in range(0, len(good), 11):
            flipped = bytes([good[i] ^ (1 << i % 8)])
            path.write_bytes(good[:i] + flipped + good[i + 1 :])
            try:
                Keypoints.read(path)
            except UserError as error:
                assert path.name in str(error)
            path.write_bytes(good[:i])
            refused(path)


def test_read_refuses_binary_and_absent_files(tmp_path: Path) -> None:
    video = tmp_path / "dance.mp4"
    video.write_bytes(b"\x00\x00\x00\x20ftypisom\xff\xfe")
    refused(video, "neither")
    with pytest.raises(UserError, match="no such file: .*gone.json"):
        Keypoints.read(tmp_path / "gone.json")


def test_read_refuses_people_with_different_numbers_of_joints(
    write_keypoints: KeypointsWriter,
) -> None:
    entries = [alphapose("0.jpg", body(0, 0)), alphapose("8.jpg", body(0, 0, 17))]
    refused(write_keypoints(entries), "frame 8", "51", "78")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 1e300])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_read_refuses_values_that_are_not_finite(
    write_keypoints: KeypointsWriter, value: float | None, column: int
) -> None:
    entries = [alphapose(f"{n}.jpg", body(0, 0)) for n in range(12)]
    entries[7]["keypoints"][3 * HALPE26.joints.index("left_hip") + column] = value
    refused(write_keypoints(entries), "frame 7", "left_hip", "0, 0, 0")


def test_read_ignores_coordinates_of_a_missing_joint(write_keypoints: KeypointsWriter) -> None:
    points = body(0, 0)
    points[3] = (np.nan, np.inf, 0)
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]))
    assert not found.keypoints_px[0, 0, 3].any()


def test_read_refuses_negative_confidence(write_keypoints: KeypointsWriter) -> None:
    points = body(0, 0)
    points[0, 2] = -0.5
    refused(write_keypoints([alphapose("4.jpg", points)]), "frame 4", "nose", "-0.5")


def test_read_refuses_normalized_coordinates(
    write_keypoints: KeypointsWriter, tmp_path: Path
) -> None:
    points = body(0, 0) / (200, 200, 1)
    points[4] = (50, 50, 0)  # not detected, so it does not count
    refused(write_keypoints([alphapose("4.jpg", points)]), "normalized", "width")
    np.save(tmp_path / "a.npy", points[None])
    refused(tmp_path / "a.npy", "normalized")


def test_read_ignores_detections_without_a_joint(write_keypoints: KeypointsWriter) -> None:
    nothing = np.zeros((26, 3))
    entries = [alphapose("0.jpg", nothing), alphapose("1.jpg", body(0, 0))]
    assert Keypoints.read(write_keypoints(entries)).valid.tolist() == [[False, True]]
    refused(write_keypoints([alphapose("0.jpg", nothing)]), "every confidence is 0")


def test_read_refuses_image_names_that_do_not_count_frames(
    write_keypoints: KeypointsWriter,
) -> None:
    entries = [alphapose(f"{n}.jpg", body(0, 0)) for n in (1, 1_700_000_000_000)]
    refused(write_keypoints(entries), "1700000000000", "memory")


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1001, True, "30"])
def test_read_refuses_impossible_rates(write_keypoints: KeypointsWriter, fps: object) -> None:
    refused(write_keypoints([alphapose("0.jpg", body(0, 0))]), "fps", fps=fps)


@pytest.mark.parametrize("size", [(0, 1), (-5, 5), (1920,), (1.5, 2), 1920, "hd", (1, 2, 3)])
def test_read_refuses_impossible_image_sizes(
    write_keypoints: KeypointsWriter, size: object
) -> None:
    refused(write_keypoints([alphapose("0.jpg", body(0, 0))]), "image_size", image_size=size)


def test_read_takes_the_given_rate_and_size(write_keypoints: KeypointsWriter) -> None:
    path = write_keypoints([alphapose("0.jpg", body(0, 0))])
    found = Keypoints.read(path)
    assert (found.fps, found.rate_source, found.image_size) == (30, "assumed 30 Hz", None)
    found = Keypoints.read(path, fps=50, image_size=(1920, 1080))
    assert (found.fps, found.rate_source, found.image_size) == (50, "given", (1920, 1080))


def test_the_format_may_be_said(write_keypoints: KeypointsWriter, tmp_path: Path) -> None:
    path = write_keypoints([alphapose("0.jpg", body(0, 0))])
    assert Keypoints.read(path, format="alphapose").num_frames == 1
    refused(path, "openpose", format="openpose")
    refused(path, "npz", format="npz")
    refused(path, "'csv'", "alphapose", format="csv")
    np.save(tmp_path / "a.npy", body(0, 0)[None])
    refused(tmp_path / "a.npy", "coco", format="coco")
    assert Keypoints.read(tmp_path / "a.npy", format="npz").num_frames == 1


def test_read_takes_another_skeleton_of_the_same_number_of_joints(
    write_keypoints: KeypointsWriter,
) -> None:
    own = Skeleton("own", tuple(f"j{i}" for i in range(26)), (None,) * 26)
    path = write_keypoints([alphapose("0.jpg", body(0, 0))])
    assert Keypoints.read(path, skeleton=own).skeleton is own
    refused(path, "halpe26", "coco17 has 17", skeleton=COCO17)


def test_read_broken_json_never_crashes(write_keypoints: KeypointsWriter) -> None:
    """Whatever replaces a value of a good file, it is read or refused in a sentence."""
    good = [
        [alphapose("0.jpg", body(0, 0, 16), idx=[1.0])] * 2,
        openpose(body(0, 0, 25)),
        [{"frame_id": 0, "instances": [instance(body(0, 0, 16), track_id=1)]}],
        {
            "info": {"description": ""},
            "images": [{"id": 1, "file_name": "1.jpg", "width": 5, "height": 5}],
            "annotations": [
                {"image_id": 1, "keypoints": [9, 9, 2] * 17, "num_keypoints": 17, "track_id": 1}
            ],
        },
    ]

    def mutants(value: Any) -> Iterator[Any]:
        yield from (None, [], {}, "a", 1.5, -1, 10**400, True, [[]], {"a": 1})
        if isinstance(value, dict | list):
            keys = list(value) if isinstance(value, dict) else range(min(2, len(value)))
            for key in keys:
                copy = value.copy()
                for mutant in mutants(value[key]):
                    copy[key] = mutant
                    yield copy
                del copy[key]
                yield copy

    outcomes = {"read": 0, "refused": 0}
    for data in good:
        for mutant in mutants(data):
            try:
                Keypoints.read(write_keypoints(mutant))
                outcomes["read"] += 1
            except UserError:
                outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_read_leaves_out_a_stray_detection(write_keypoints: KeypointsWriter) -> None:
    people = [
        [body(0, 0), body(400, 0)],
        [body(5000, 0), body(3, 0), body(403, 0)],
        [body(406, 0), body(6, 0)],
    ]
    entries = [alphapose(f"{n}.jpg", points) for n, some in enumerate(people) for points in some]
    found = Keypoints.read(write_keypoints(entries))
    assert found.valid.sum(1).tolist() == [3, 3]
    assert found.notes[0] == "left out: 1 person visible in fewer than 2 frames"
    x = found.keypoints_px[:, :, 0, 0] - np.float32(SHAPE[26][0, 0])
    np.testing.assert_allclose(x, [[0, 3, 6], [400, 403, 406]], atol=1e-3)


def test_read_takes_one_detection_a_frame_for_one_person(write_keypoints: KeypointsWriter) -> None:
    entries = [alphapose(f"{n}.jpg", body(900 * n, 0)) for n in range(4)]
    assert Keypoints.read(write_keypoints(entries)).num_persons == 1


def test_save_keeps_that_a_rate_is_assumed(
    write_keypoints: KeypointsWriter, tmp_path: Path
) -> None:
    Keypoints.read(write_keypoints([alphapose("3.jpg", body(0, 0))])).save(tmp_path / "a.npz")
    found = Keypoints.read(tmp_path / "a.npz")
    assert (found.rate_source, found.first_frame) == ("assumed 30 Hz", 3)


def test_read_long_recording(write_keypoints: KeypointsWriter) -> None:
    entries = [alphapose(f"{n}.jpg", body(n % 100, 0, 17)) for n in range(5000)]
    found = Keypoints.read(write_keypoints(entries))
    assert found.keypoints_px.shape == (1, 5000, 17, 3)
    assert found.valid.all()
