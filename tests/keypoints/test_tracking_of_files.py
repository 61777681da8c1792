"""People of keypoint files: stray detections, identities of the file, frames without people."""

from pathlib import Path

import numpy as np
from helpers.keypoint_writers import KeypointsWriter, alphapose, body, check_read, standing

from actionpose.keypoints import Keypoints


def two_clips() -> list[dict[str, object]]:
    """Two people who stand for 30 frames; the ids of the file change places every five."""
    entries = []
    for n, (one, other) in enumerate(zip(standing(30), standing(30, x=1200), strict=True)):
        swap = n // 5 % 2
        entries.append(alphapose(f"{n}.jpg", one, idx=swap))
        entries.append(alphapose(f"{n}.jpg", other, idx=1 - swap))
    return entries


def test_ids_that_change_places_are_said_and_ignored(
    write_keypoints: KeypointsWriter, tmp_path: Path
) -> None:
    path = write_keypoints(two_clips())
    found = Keypoints.read(path)
    assert np.ptp(found.keypoints_px[:, :, 0, 0], axis=1).tolist() == [600, 600]
    [note] = found.notes
    assert "tracks jump 10 times" in note and "retrack=True" in note
    found.save(tmp_path / "a.npz")
    for name in (path, tmp_path / "a.npz"):
        again = Keypoints.read(name, retrack=True)
        assert np.ptp(again.keypoints_px[:, :, 0, 0], axis=1).tolist() == [0, 0]


def test_stray_detections_are_left_out_of_files(write_keypoints: KeypointsWriter) -> None:
    entries = [alphapose(f"{n}.jpg", points) for n, points in enumerate(standing(30))]
    entries += [alphapose(f"{n}.jpg", body(3000 + 300 * n, 0, 17)) for n in range(2, 30, 3)]
    found = Keypoints.read(write_keypoints(entries))
    check_read(found, standing(30))
    assert found.notes == ("left out: 10 people visible in fewer than 5 frames",)


def test_frames_without_people_are_said(write_keypoints: KeypointsWriter) -> None:
    entries = [alphapose(f"{33 * n}.jpg", points) for n, points in enumerate(standing(12))]
    [note] = Keypoints.read(write_keypoints(entries)).notes
    assert "12 of 364 frames have a person" in note
