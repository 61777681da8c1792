"""MPI-INF-3DHP, from the files that P-STMO created and later methods use.

`data_train_3dhp.npz` and `data_test_3dhp.npz` contain pixels and millimeters in camera axes. Two
kinds of millimeters are in use: `univ_annot3`, in which all actors are scaled to the same size (as
in published tables), and `annot3` with the true size. They are distinguished by the body sizes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from actionpose.datasets.paired import VideoData, write_paired
from actionpose.prepare.paired.validation import (
    Checks,
    check_metric,
    check_pixels,
    check_sides,
    float_array,
    is_synthetic,
    knee_neck_mm,
    missing_keys,
    with_confidence,
)
from actionpose.skeletons import MPI_INF_3DHP17, convert
from actionpose.utils.errors import UserError
from actionpose.utils.safe_pickle import load_npz

Annotation = Literal["univ_annot3", "annot3"]

FILES = {"train": "data_train_3dhp.npz", "test": "data_test_3dhp.npz"}
IMAGE_SIZE = (2048, 2048)
OTHER_IMAGE_SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}  # the two outdoor sequences
TEST_FPS = 25.0  # not in the file, and not used in computations
# The same for all sequences. MotionAGFormer's unit is half the image width of the training data;
# its inverse uses half that of the test sequence, which reduces TS5 and TS6 by 6 %.
UNIT_MM = 1024.0
LICENSE = "MPI-INF-3DHP: research use only; not to be passed on"
# in "universal" poses the distance from knee to neck is the same; that of real actors varies
# several times more
_LARGEST_SPREAD = 0.025


def prepare_3dhp(
    source: Path,
    out_dir: Path,
    *,
    annotation: Annotation = "univ_annot3",
    splits: tuple[str, ...] = ("train", "test"),
    force: bool = False,
) -> Path:
    """Write the prepared dataset (`datasets/paired.py`), with joints in the order of H36M17.

    Args:
        source: Folder of both files.
        out_dir: Folder to create.
        annotation: Kind of the millimeters; "annot3" is stated in all scores.
        splits: Splits to read.
        force: Whether to accept data that fail the checks of sides and body sizes; `data.json` and
            all scores then state this.

    Raises:
        UserError: If a file is missing, damaged, of the other annotation, or invalid.
    """
    checked = Checks(force)
    recordings: dict[str, list[VideoData]] = {}
    synthetic = False
    for split in splits:
        path = source / FILES[split]
        content = load_npz(path)
        if not isinstance(content.get("data"), dict):
            raise UserError(f"{path} has no data: it is not P-STMO's file")
        synthetic |= is_synthetic(content)
        read = _train_recordings if split == "train" else _test_recordings
        recordings[split] = list(read(content["data"], path.name, checked))
        if not recordings[split]:
            raise UserError(f"{path} has no sequence")
    info = {
        "kind": "3dhp",
        "pose_unit": "mm",
        "unit_mm": UNIT_MM,
        "keypoints": "ground truth",
        "annotation": annotation,
        "source": ", ".join(FILES[split] for split in splits),
        "license": LICENSE,
        "synthetic": synthetic,
        "knee_to_neck_mm": {
            split: _body_sizes(made, annotation, checked) for split, made in recordings.items()
        },
        "forced": checked.failed,
    }
    return write_paired(out_dir, dict(recordings), info)


def _train_recordings(data: dict[str, Any], where: str, checked: Checks) -> Iterator[VideoData]:
    for sequence, entry in data.items():
        try:
            cameras, fps = entry
            views, fps = list(cameras.items()), float(fps)
            if not 1 <= fps <= 1000:
                raise ValueError(fps)
        except (TypeError, ValueError, AttributeError, OverflowError) as error:
            raise UserError(f"{where}: {sequence} is not [cameras, rate]") from error
        for camera, view in views:
            name, subject = f"{sequence} camera {camera}", (str(sequence).split() or [""])[0]
            yield _recording(view, where, name, subject, str(camera), fps, checked)


def _test_recordings(data: dict[str, Any], where: str, checked: Checks) -> Iterator[VideoData]:
    for sequence, view in data.items():
        yield _recording(view, where, sequence, sequence, "0", TEST_FPS, checked, has_valid=True)


def _recording(
    view: Any,
    where: str,
    name: str,
    subject: str,
    camera: str,
    fps: float,
    checked: Checks,
    *,
    has_valid: bool = False,
) -> VideoData:
    """Check a video, and reorder its joints to H36M17 by their names."""
    where = f"{where}: {name}"
    if missing := missing_keys(view, ("data_2d", "data_3d", *(("valid",) if has_valid else ()))):
        raise UserError(f"{where} lacks {missing}")
    num_joints = len(MPI_INF_3DHP17)
    pose_mm = float_array(view["data_3d"], f"{where}: data_3d", (None, num_joints, 3))
    num_frames = len(pose_mm)
    points = float_array(view["data_2d"], f"{where}: data_2d", (num_frames, num_joints, 2))
    scored = None
    if has_valid:
        try:
            scored = np.asarray(view["valid"]).reshape(-1).astype(bool)
        except (TypeError, ValueError) as error:
            raise UserError(f"{where}: valid does not mark frames: {error}") from error
        if len(scored) != num_frames or not scored.any():
            raise UserError(
                f"{where}: valid marks {int(scored.sum())} of {len(scored)} frames, "
                f"but there are {num_frames}"
            )
    keypoints = convert(with_confidence(points), MPI_INF_3DHP17)
    pose_mm = convert(pose_mm, MPI_INF_3DHP17, confidence=False)
    check_pixels(keypoints, where)
    counted = slice(None) if scored is None else scored
    check_metric(pose_mm[counted], where)
    checked(check_sides, keypoints[counted], pose_mm[counted], where)
    return VideoData(
        name=name,
        subject=subject,
        action="",
        camera=camera,
        image_size=OTHER_IMAGE_SIZES.get(name, IMAGE_SIZE),
        fps=fps,
        keypoints_px=keypoints,
        pose=pose_mm,
        scored=scored,
    )


def _body_sizes(
    recordings: list[VideoData], annotation: Annotation, checked: Checks
) -> dict[str, float]:
    """Body sizes by subject, which are checked against the annotation."""
    by_subject: dict[str, list[float]] = {}
    for recording in recordings:
        pose = recording.pose if recording.scored is None else recording.pose[recording.scored]
        by_subject.setdefault(recording.subject, []).append(knee_neck_mm(pose))
    sizes = {subject: round(float(np.median(mm)), 1) for subject, mm in by_subject.items()}
    checked(_check_annotation, sizes, annotation)
    return sizes


def _check_annotation(sizes: dict[str, float], annotation: Annotation) -> None:
    """Check that the file does not have the other annotation."""
    spread = max(sizes.values()) / min(sizes.values()) - 1
    if annotation == "univ_annot3" and spread > _LARGEST_SPREAD:
        raise UserError(
            f"these poses are annot3, not univ_annot3: people differ by {spread:.0%} in size, "
            "and scores would not be comparable with the tables; use files made from univ_annot3, "
            "or prepare them as annot3 to have every score marked"
        )
    if annotation == "annot3" and len(sizes) > 1 and spread <= _LARGEST_SPREAD:
        raise UserError(
            f"these poses are univ_annot3, not annot3: all people have one size (spread "
            f"{spread:.1%}); leave the annotation at univ_annot3"
        )
