"""AMASS files: search by all known names, reading, and resampling to 30 Hz.

Rotations are interpolated (slerp between the two neighboring frames) before the body is posed,
instead of interpolating the joints of posed frames. Bone lengths are therefore constant, each frame
is a valid pose, and 100 Hz requires less than a third of the posing. If the frame rate is a
multiple of 30 Hz, both are equivalent: frames are selected.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from actionpose.prepare import CORPUS_FPS
from actionpose.prepare.amass.body_models import GENDERS, NAMES
from actionpose.prepare.amass.labels import SequenceKey, sequence_key
from actionpose.utils.errors import UserError
from actionpose.utils.numpy_files import NpzReader
from actionpose.utils.typing import Array

_MAX_BYTES = 1 << 30  # of an array; ten times the longest sequence of AMASS
_AMASS_FPS = (60.0, 100.0, 120.0, 150.0, 240.0, 250.0)
_WHOLE_FRAME = 0.02  # tolerance in frames for 59.99999 Hz, 120.00005 Hz
_WIDTHS = {156: "smplh", 165: "smplx", 72: "smpl"}
_BODY = 66  # values of the root and of the 21 joints that all models share


@dataclass(frozen=True)
class AmassSequence:
    """A sequence of AMASS: world axes with z up, meters; rotations as axis-angle."""

    poses: Array  # (N, 156) of SMPL-H, (N, 165) of SMPL-X
    trans_m: Array  # (N, 3)
    betas: Array
    gender: str
    fps: float | None  # of its header; None if invalid


@dataclass(frozen=True)
class AmassFolder:
    """The files of a local copy of AMASS by sequence."""

    path: Path
    files: dict[SequenceKey, list[Path]]
    num_others: int  # shape.npz, stage-one files, licenses

    def find(self, key: SequenceKey, kind: str) -> Path | None:
        """The file of a sequence, preferably of the release that matches the body model."""
        is_newer = kind == "smplx"
        return min(
            self.files.get(key, []),
            key=lambda path: (path.stem.endswith("_stageii") != is_newer, str(path)),
            default=None,
        )


def scan_folder(folder: Path) -> AmassFolder:
    """Find all sequences in a folder.

    Raises:
        UserError: If the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError(
            f"there is no folder {folder}: give the one that holds the data sets of AMASS (CMU, "
            "KIT, ...)"
        )
    files: dict[SequenceKey, list[Path]] = {}
    num_others = 0
    for path in _walk(folder):
        if path.suffix == ".npz" and not path.stem.endswith("stagei") and path.stem != "shape":
            files.setdefault(sequence_key(path.relative_to(folder).as_posix()), []).append(path)
        else:
            num_others += 1
    return AmassFolder(folder, files, num_others)


def _walk(folder: Path) -> Iterator[Path]:
    visited = set()  # datasets may be links, which may be circular
    for parent, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(parent)
        if real in visited:
            folders.clear()
            continue
        visited.add(real)
        folders.sort()
        yield from (Path(parent) / name for name in sorted(names))


def read_sequence(path: Path) -> AmassSequence:
    """Read a file of either release.

    Raises:
        UserError: If the file is damaged, lacks a key, contains pickled objects, or has invalid
            shapes or values that are not finite.
    """
    with NpzReader(path, _MAX_BYTES) as archive:
        for name in ("poses", "trans", "betas", "gender"):
            if name not in archive.names:
                raise UserError(f"{path} has no {name}: it is not a motion of AMASS")
        poses, trans_m, betas = (
            _numbers(path, name, archive.read(name)) for name in ("poses", "trans", "betas")
        )
        gender = _gender(path, archive.read("gender"))
        rates = [n for n in ("mocap_framerate", "mocap_frame_rate") if n in archive.names]
        fps = _rate(archive.read(rates[0])) if rates else None
    num_frames = len(poses)
    if poses.ndim != 2 or poses.shape[1] not in _WIDTHS or trans_m.shape != (num_frames, 3):
        raise UserError(
            f"{path}: poses {poses.shape} and trans {trans_m.shape} are not (N, 156) of SMPL-H or "
            "(N, 165) of SMPL-X, and (N, 3)"
        )
    if num_frames == 0:
        raise UserError(f"{path} has no frame")
    finite = np.isfinite(poses).all(axis=1) & np.isfinite(trans_m).all(axis=1)
    if not finite.all() or not np.isfinite(betas).all():
        raise UserError(f"{path} is not finite at frame {int(finite.argmin())}")
    return AmassSequence(poses, trans_m, betas.reshape(-1, betas.shape[-1])[0], gender, fps)


def _numbers(path: Path, name: str, array: NDArray[Any]) -> Array:
    if array.dtype.kind not in "fiu" or array.ndim == 0 or (name == "betas" and array.size == 0):
        raise UserError(f"{path}: {name} is {array.dtype} {array.shape}, not a list of numbers")
    return array.astype(np.float64)


def _gender(path: Path, array: NDArray[Any]) -> str:
    """Parse the gender: bytes, text, or an array of either, depending on release and dataset."""
    value = array.ravel()[0] if array.size else ""
    text = value.decode("latin1") if isinstance(value, bytes) else str(value)
    text = text.strip().lower()
    # the repr of bytes, written by Python 2
    text = text.removeprefix("b'").removesuffix("'")
    for gender in GENDERS:
        if text and gender.startswith(text):
            return gender
    raise UserError(f"{path}: its gender is {text!r}, not female, male or neutral")


def _rate(array: NDArray[Any]) -> float | None:
    if array.size != 1 or array.dtype.kind not in "fiu":
        return None
    fps = float(array.ravel()[0])
    return fps if 1 <= fps <= 1000 else None


def true_fps(sequence: AmassSequence, duration_s: float | None) -> float:
    """The frame rate at which the sequence has the duration of the annotations.

    Some headers are wrong by a factor of two. The duration therefore selects from the rate of the
    header, its double and half, and the rates in AMASS.

    Raises:
        UserError: If both rate and duration are missing, or no rate matches.
    """
    num_frames, header = len(sequence.poses), sequence.fps
    if duration_s is None:
        if header is None:
            raise UserError("no frame rate, and no duration in the annotations")
        return header
    allowed_s = 0.05 + min(0.25, 0.1 * duration_s)

    def error_s(fps: float) -> float:
        return abs(num_frames / fps - duration_s)

    if header is not None and error_s(header) <= allowed_s:
        return header
    multiples = () if header is None else (0.5 * header, 2 * header)
    best = min([*multiples, *_AMASS_FPS], key=error_s)
    if error_s(best) > allowed_s:
        raise UserError(
            f"{num_frames} frames at {header} Hz, and the annotations say {duration_s:g} s"
        )
    return best


def resample(
    sequence: AmassSequence, fps: float, start: float = 0, stop: float | None = None
) -> tuple[Array, Array]:
    """Resample poses and translations to 30 Hz.

    Args:
        sequence: Sequence.
        fps: Frame rate of the sequence.
        start: Start in frames of the sequence, included.
        stop: Stop in frames of the sequence, excluded.

    Returns:
        (T, 3 J) poses and (T, 3) translations; empty if there are no frames in between.
    """
    last = len(sequence.poses) - 1
    last = last if stop is None else min(last, int(np.ceil(stop)) - 1)
    step = fps / CORPUS_FPS
    count = max(0, int((last - start) / step + _WHOLE_FRAME) + 1) if last >= start else 0
    at = start + step * np.arange(count)
    nearest = np.round(at)
    at = np.minimum(np.where(np.abs(at - nearest) < _WHOLE_FRAME, nearest, at), last)
    before = at.astype(np.intp)
    weight = at - before
    poses, trans_m = sequence.poses[before], sequence.trans_m[before]
    between = weight > 0
    if between.any():
        after, weight = before[between] + 1, weight[between, None]
        first = Rotation.from_rotvec(poses[between].reshape(-1, 3))
        second = Rotation.from_rotvec(sequence.poses[after].reshape(-1, 3))
        rotation = (first.inv() * second).as_rotvec().reshape(len(after), -1) * weight
        mixed = first * Rotation.from_rotvec(rotation.reshape(-1, 3))
        poses[between] = mixed.as_rotvec().reshape(len(after), -1)
        trans_m[between] += weight * (sequence.trans_m[after] - trans_m[between])
    return poses, trans_m


def poses_for(kind: str, poses: Array) -> Array:
    """The poses for a body model: unchanged, or for SMPL those of SMPL-H without fingers.

    Raises:
        UserError: If the model does not support the release of the file.
    """
    given = _WIDTHS[poses.shape[1]]
    if given == kind:
        return poses
    if (given, kind) == ("smplh", "smpl"):
        return np.pad(poses[:, :_BODY], [(0, 0), (0, 72 - _BODY)])
    raise UserError(
        f"{NAMES[given]}, and the body model is {NAMES[kind]}: download the {NAMES[kind]} release, "
        f"or give a model of {NAMES[given]}"
    )
