"""Joints that the input never shows: said, and not presented as measured."""

from pathlib import Path

import numpy as np
import pytest
from helpers.results import people

from actionpose.export.markers import write_trc
from actionpose.postprocessing.joint_angles import joint_angles
from actionpose.postprocessing.visibility import measured_joints, visibility_notes
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.visualization.picture import write_picture

LEGS = [j for j in H36M17.joints if j.partition("_")[2] in ("hip", "knee", "ankle")]
HIDDEN = H36M17.indices(*LEGS, "pelvis", "spine")


@pytest.fixture
def desk() -> Result:
    """Two people; of the first, the lower body is shown in one of 40 frames."""
    result = people(persons=2, frames=40, header={"image_size": (1000, 800)})
    result.keypoints_px[..., :2], result.keypoints_px[..., 2] = 400, 0.9
    for joint in HIDDEN:
        result.keypoints_px[0, 1:, joint] = 0
    return result


def test_joints_that_are_hardly_shown_are_not_measured(desk: Result) -> None:
    expected = np.ones((2, 17), dtype=bool)
    expected[0, HIDDEN] = False
    np.testing.assert_array_equal(measured_joints(desk), expected)
    [note] = visibility_notes(desk)
    assert note.startswith(f"id {desk.track_id[0]}: hips, knees, ankles visible in 2% of frames")


def test_low_confidence_and_places_outside_of_the_image_are_not_shown(desk: Result) -> None:
    desk.keypoints_px[0, :, HIDDEN] = (400, 400, 0.02)
    assert not measured_joints(desk)[0, HIDDEN].any()
    desk.keypoints_px[0, :, HIDDEN] = (400, 950, 0.9)
    assert not measured_joints(desk)[0, HIDDEN].any()
    desk.keypoints_px[0, ::4, HIDDEN] = (400, 700, 0.9)
    assert measured_joints(desk).all()
    desk.keypoints_px[..., 1] = 3000  # millimeters, not pixels of that image
    assert measured_joints(desk).all()


def test_a_detector_with_low_confidences_measures(desk: Result) -> None:
    desk.keypoints_px[1, ..., 2] = 0.04
    desk.keypoints_px[0] = 0  # keypoints that nobody gave say nothing
    assert measured_joints(desk).all()


def test_angles_of_joints_that_are_not_measured_are_empty(desk: Result) -> None:
    table = joint_angles(desk)
    known = np.isfinite(table.degrees).any(axis=1)
    assert known[1].all()
    own = dict(zip(table.names, known[0], strict=True))
    assert {name for name, is_known in own.items() if is_known} == {
        "left_elbow_flexion",
        "right_elbow_flexion",
    }


def test_markers_that_are_not_measured_are_empty(desk: Result, tmp_path: Path) -> None:
    first, second = write_trc(desk, tmp_path / "a.trc")
    for path, hidden in ((first, HIDDEN), (second, [])):
        rows = [line.split("\t")[2:] for line in path.read_text().splitlines()[6:]]
        values = np.array(rows, dtype=float).reshape(len(rows), 17, 3)
        empty = np.isnan(values).any(axis=(0, 2))
        assert np.flatnonzero(empty).tolist() == sorted(hidden)


def test_picture_shows_what_is_not_measured_otherwise(desk: Result, tmp_path: Path) -> None:
    write_picture(desk, tmp_path / "hidden.png")
    desk.keypoints_px[0, :, HIDDEN] = (400, 400, 0.9)
    write_picture(desk, tmp_path / "shown.png")
    assert (tmp_path / "hidden.png").read_bytes() != (tmp_path / "shown.png").read_bytes()
