"""MPI-INF-3DHP, from the files that P-STMO made and its successors share.

`data_train_3dhp.npz` and `data_test_3dhp.npz` hold pixels and millimeters in camera axes. Two
kinds of millimeters are in circulation: `univ_annot3`, where every actor is scaled to one size
(the field's tables), and `annot3`, the true size. The files look alike; body sizes tell them apart.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.paired import Recording, write_pairs
from actionpose.prepare.paired.validation import (
    check_metric,
    check_pixels,
    check_sides,
    knee_neck_mm,
)
from actionpose.skeletons import MPI_INF_3DHP17, convert
from actionpose.utils.errors import UserError
from actionpose.utils.safe_pickle import load_npz

Array = NDArray[np.floating]
Annotation = Literal["univ_annot3", "annot3"]

TRAIN_FILE, TEST_FILE = "data_train_3dhp.npz", "data_test_3dhp.npz"
IMAGE_SIZE = (2048, 2048)
OTHER_IMAGE_SIZES = {"TS5": (1920, 1080), "TS6": (1920, 1080)}  # the two filmed outdoors
TEST_RATE_HZ = 25.0  # not in the file; nothing is computed from it
# One constant for all sequences. MotionAGFormer's is half the image's width of the training data;
# it multiplies back by half that of the test sequence, which shrinks TS5 and TS6 by 6 %.
UNIT_MM = 1024.0
LICENSE = "MPI-INF-3DHP: research use only; not to be passed on"
# "universal" poses share knee to neck; among real actors it differs by several times this
_LARGEST_SPREAD = 0.025


def prepare_3dhp(
    source: Path,
    out: Path,
    *,
    annotation: Annotation = "univ_annot3",
    splits: tuple[str, ...] = ("train", "test"),
) -> Path:
    """Write the prepared data set (`pairs.py`), joints in the order of H36M17.

    Args:
        source: the folder of both files.
        annotation: what the millimeters are; "annot3" is marked in every score.
        splits: which files to read.

    Raises:
        UserError: a file that is missing, damaged, of the other annotation, or not what it seems.
    """
    recordings: dict[str, list[Recording]] = {}
    imitated = False
    for split, name in (("train", TRAIN_FILE), ("test", TEST_FILE)):
        if split in splits:
            content = load_npz(source / name)
            if not isinstance(content.get("data"), dict):
                raise UserError(f"{source / name} has no data: it is not P-STMO's file")
            imitated |= "imitated" in content
            read = _train_recordings if split == "train" else _test_recordings
            recordings[split] = list(read(content["data"], name))
    sizes_mm = {split: _check_annotation(made, annotation) for split, made in recordings.items()}
    info = {
        "kind": "3dhp",
        "pose_unit": "mm",
        "unit_mm": UNIT_MM,
        "keypoints": "ground truth",
        "annotation": annotation,
        "source": ", ".join(
            n for s, n in (("train", TRAIN_FILE), ("test", TEST_FILE)) if s in splits
        ),
        "license": LICENSE,
        "imitated": imitated,
        "knee_to_neck_mm": sizes_mm,
    }
    return write_pairs(out, dict(recordings), info)


def _train_recordings(data: dict[str, Any], where: str) -> Iterator[Recording]:
    for sequence, entry in data.items():
        try:
            cameras, fps = entry
            views = list(cameras.items())
            fps = float(fps)
        except (TypeError, ValueError, AttributeError) as error:
            raise UserError(f"{where}: {sequence} is not [cameras, rate]") from error
        for camera, view in views:
            yield _recording(
                f"{sequence} camera {camera}",
                sequence.split()[0],
                str(camera),
                fps,
                view,
                where,
            )


def _test_recordings(data: dict[str, Any], where: str) -> Iterator[Recording]:
    for sequence, view in data.items():
        yield _recording(sequence, sequence, "0", TEST_RATE_HZ, view, where, has_valid=True)


def _recording(
    name: str,
    subject: str,
    camera: str,
    fps: float,
    view: Any,
    where: str,
    *,
    has_valid: bool = False,
) -> Recording:
    """Check one video, and bring its joints into the order of H36M17 by their names."""
    where = f"{where}: {name}"
    wanted = ("data_2d", "data_3d", *(("valid",) if has_valid else ()))
    if not isinstance(view, dict) or (missing := [key for key in wanted if key not in view]):
        lacks = ", ".join(missing) if isinstance(view, dict) else "everything"
        raise UserError(f"{where} lacks {lacks}")
    seen, pose_mm = (np.asarray(view[key]) for key in wanted[:2])
    for key, array, channels in (("data_2d", seen, 2), ("data_3d", pose_mm, 3)):
        if array.shape != (len(pose_mm), len(MPI_INF_3DHP17), channels):
            raise UserError(f"{where}: {key} has shape {array.shape}, not (N, 17, {channels})")
        if array.dtype.kind not in "fiu":
            raise UserError(f"{where}: {key} holds {array.dtype}, not numbers")
    scored = None
    if has_valid:
        scored = np.asarray(view["valid"]).reshape(-1).astype(bool)
        if len(scored) != len(pose_mm) or not scored.any():
            raise UserError(
                f"{where}: valid marks {int(scored.sum())} of {len(scored)} frames, "
                f"but there are {len(pose_mm)}"
            )
    pose_mm = pose_mm if pose_mm.dtype.kind == "f" else pose_mm.astype(np.float64)
    confident = np.concatenate([seen, np.ones((*seen.shape[:2], 1))], axis=-1)
    keypoints = convert(confident, MPI_INF_3DHP17)
    pose_mm = convert(pose_mm, MPI_INF_3DHP17, confidence=False)
    check_pixels(keypoints, where)
    counted = slice(None) if scored is None else scored
    check_metric(pose_mm[counted], where)
    check_sides(keypoints[counted], pose_mm[counted], where)
    return Recording(
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


def _check_annotation(recordings: list[Recording], annotation: Annotation) -> dict[str, float]:
    """Compare body sizes with what the annotation promises; return them by subject.

    Raises:
        UserError: the file has the other annotation.
    """
    by_subject: dict[str, list[float]] = {}
    for recording in recordings:
        pose = recording.pose if recording.scored is None else recording.pose[recording.scored]
        by_subject.setdefault(recording.subject, []).append(knee_neck_mm(pose))
    sizes = {subject: round(float(np.median(of)), 1) for subject, of in by_subject.items()}
    spread = max(sizes.values()) / min(sizes.values()) - 1
    if annotation == "univ_annot3" and spread > _LARGEST_SPREAD:
        raise UserError(
            f"these poses are annot3, not univ_annot3: people differ by {spread:.0%} in size, "
            "and scores would not be comparable with the tables; use files made from univ_annot3, "
            "or say --annotation annot3 to have every score marked"
        )
    if annotation == "annot3" and len(sizes) > 1 and spread <= _LARGEST_SPREAD:
        raise UserError(
            f"these poses are univ_annot3, not annot3: all people have one size (spread "
            f"{spread:.1%}); leave --annotation out"
        )
    return sizes
