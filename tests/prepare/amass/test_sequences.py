"""Files of AMASS: finding, reading, rates and resampling."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from actionpose.prepare.amass.sequences import (
    AmassSequence,
    poses_for,
    read_sequence,
    resample,
    scan_folder,
    true_fps,
)
from actionpose.utils.errors import UserError


def test_scan_folder_follows_links_once(tmp_path: Path) -> None:
    (tmp_path / "elsewhere" / "01").mkdir(parents=True)
    (tmp_path / "elsewhere" / "01" / "a_poses.npz").touch()
    (tmp_path / "AMASS").mkdir()
    (tmp_path / "AMASS" / "CMU").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "01" / "up").symlink_to(tmp_path / "AMASS")
    tree = scan_folder(tmp_path / "AMASS")
    assert tree.files == {("cmu", "01", "a"): [tmp_path / "AMASS" / "CMU" / "01" / "a_poses.npz"]}


def sequence(fps: float | None, frames: int, width: int = 156) -> AmassSequence:
    rng = np.random.default_rng(0)
    poses, trans_m = rng.normal(0, 1, (frames, width)), rng.normal(0, 1, (frames, 3))
    return AmassSequence(poses, trans_m, np.zeros(16), "male", fps)


@pytest.mark.parametrize(
    ("header", "frames", "duration", "expected"),
    [
        (120, 1200, 10.0, 120),
        (120, 1200, 10.004, 120),
        (120, 600, 10.0, 60),  # SSM
        (60, 1200, 10.0, 120),
        (59.99999, 600, 10.0, 59.99999),
        (250, 2500, None, 250),
        (None, 1000, 10.0, 100),
        (120, 2400, 10.0, 240),
        (120, 60, 1.0, 60),
        (120, 1003, 10.0, 100),
    ],
)
def test_true_fps_follows_the_duration(
    header: float | None, frames: int, duration: float | None, expected: float
) -> None:
    assert true_fps(sequence(header, frames), duration) == expected


@pytest.mark.parametrize(("header", "frames", "duration"), [(120, 300, 10.0), (None, 9, None)])
def test_true_fps_refuses_what_does_not_fit(
    header: float | None, frames: int, duration: float | None
) -> None:
    with pytest.raises(UserError, match="annotations"):
        true_fps(sequence(header, frames), duration)


@pytest.mark.parametrize("fps", [60, 120, 150, 240, 59.99999, 120.00005, 30])
def test_resample_multiples_of_30_takes_whole_frames(fps: float) -> None:
    made = sequence(fps, 3001)
    poses, trans_m = resample(made, fps)
    step = round(fps / 30)
    np.testing.assert_array_equal(poses, made.poses[::step])
    np.testing.assert_array_equal(trans_m, made.trans_m[::step])


@pytest.mark.parametrize("fps", [100, 250, 25])
def test_resample_other_rates_turns_evenly(fps: float) -> None:
    """A steady turn stays steady, through the half turn where the axis flips."""
    frames = np.arange(fps * 2)
    turn = Rotation.from_euler("z", 2.5 * frames[:, None] / fps, degrees=False).as_rotvec()
    path = frames[:, None] * [0.01, 0.02, 0]
    poses, trans_m = resample(AmassSequence(turn, path, np.zeros(1), "male", fps), fps)
    assert len(poses) == int((len(frames) - 1) * 30 / fps + 1e-9) + 1
    at = np.arange(len(poses)) / 30
    expected = Rotation.from_euler("z", 2.5 * at[:, None])
    off = (expected.inv() * Rotation.from_rotvec(poses)).magnitude()
    assert off.max() < 1e-9
    np.testing.assert_allclose(trans_m, (at * fps)[:, None] * [0.01, 0.02, 0], atol=1e-12)


def test_resample_a_part() -> None:
    made = sequence(120, 100)
    poses, _ = resample(made, 120, 20, 61)
    np.testing.assert_array_equal(poses, made.poses[20:61:4])
    assert len(resample(made, 120, 200)[0]) == 0
    assert len(resample(made, 120, 50, 50)[0]) == 0


def test_poses_for_another_model() -> None:
    given = sequence(120, 3).poses
    assert poses_for("smplh", given) is given
    assert np.all(poses_for("smpl", given)[:, :66] == given[:, :66])
    assert poses_for("smpl", given).shape == (3, 72)
    with pytest.raises(UserError, match="SMPL-X, and the body model is SMPL-H: download"):
        poses_for("smplh", sequence(120, 3, 165).poses)


@pytest.mark.parametrize(
    "gender",
    ["male", b"male", np.array("male"), np.array([b"Male"]), np.array("b'male'"), np.array(["m"])],
)
def test_read_sequence_genders(tmp_path: Path, gender: Any) -> None:
    arrays = {"poses": np.zeros((2, 156)), "trans": np.zeros((2, 3)), "betas": np.zeros((1, 16))}
    np.savez(tmp_path / "x.npz", gender=gender, mocap_frame_rate=np.array([120]), **arrays)
    read = read_sequence(tmp_path / "x.npz")
    assert (read.gender, read.fps, read.betas.shape) == ("male", 120.0, (16,))
