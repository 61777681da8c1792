"""Human3.6M, from the two forms in which the field passes it on.

- MotionBERT's `h36m_sh_conf_cam_source_final.pkl`: Stacked Hourglass keypoints with confidence,
  poses in pixels, and the factors and millimeters that MotionBERT's numbers are scored with.
- VideoPose3D's pair: `data_3d_h36m.npz` (world, meters) and a `data_2d_h36m_*.npz`, such as CPN's.
  World to camera needs the calibration, which neither file holds: a JSON in the widespread form
  {"extrinsics": {"S1": {"54138969": {"R": 3x3, "t": 3 mm}}}}, x_camera = R x_world + t.

Both are licensed by the makers of Human3.6M, and neither is part of this project.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.paired import Recording, write_pairs
from actionpose.prepare.paired.validation import check_metric, check_pixels, check_sides, sample
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.safe_pickle import load_npz, load_pickle

Array = NDArray[np.floating]

RATE_HZ = 50.0
TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
# width and height in pixels, in the order of VideoPose3D's lists
IMAGE_SIZES = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
LICENSE = "Human3.6M: registration needed, academic use only; not to be passed on"

_SH_KEYS = ("joint_2d", "confidence", "joint3d_image", "camera_name", "action", "source")
_SH_TEST_KEYS = ("joints_2.5d_image", "2.5d_factor")
_SH_SOURCE = re.compile(r"s_(\d\d)_act_(\d\d)_subact_(\d\d)")
_LARGEST_RESIDUAL_MM = 100.0  # between factor x pixels and millimeters; beyond, files are mixed up

# Human3.6M's 32 joints hold 17 that differ; the rest are copies and finger or toe ends
_OF_32 = {
    **{"pelvis": 0, "right_hip": 1, "right_knee": 2, "right_ankle": 3},
    **{"left_hip": 6, "left_knee": 7, "left_ankle": 8},
    **{"spine": 12, "thorax": 13, "nose": 14, "head": 15},
    **{"left_shoulder": 17, "left_elbow": 18, "left_wrist": 19},
    **{"right_shoulder": 25, "right_elbow": 26, "right_wrist": 27},
}


def prepare_h36m(
    source: Path, out: Path, *, keypoints: Path | None = None, cameras: Path | None = None
) -> Path:
    """Write the prepared data set (`pairs.py`).

    Args:
        source: MotionBERT's pkl, or VideoPose3D's `data_3d_h36m.npz`.
        keypoints, cameras: with the latter, the 2D file and the calibration.

    Raises:
        UserError: a file that is missing, damaged, of another version, or not what it seems.
    """
    if source.suffix == ".npz":
        if keypoints is None or cameras is None:
            raise UserError(
                f"{source.name} has world coordinates only: give --keypoints "
                "data_2d_h36m_cpn_ft_h36m_dbb.npz and --cameras camera-parameters.json"
            )
        return _prepare_videopose3d(source, keypoints, cameras, out)
    if keypoints or cameras:
        raise UserError("--keypoints and --cameras belong to VideoPose3D's data_3d_h36m.npz")
    return _prepare_motionbert(source, out)


# ---- MotionBERT's file


def _prepare_motionbert(path: Path, out: Path) -> Path:
    content = load_pickle(path)
    if not isinstance(content, dict) or not {"train", "test"} <= content.keys():
        found = ", ".join(map(str, content)) if isinstance(content, dict) else type(content)
        raise UserError(
            f"{path} is not h36m_sh_conf_cam_source_final.pkl: it needs train and test, not {found}"
        )
    splits = {
        split: list(_sh_recordings(content[split], split, f"{path.name}, {split}"))
        for split in ("train", "test")
    }
    info = {
        "kind": "h36m-sh",
        "pose_unit": "px",
        "unit_mm": None,
        "keypoints": "Stacked Hourglass, with confidence",
        "source": path.name,
        "license": LICENSE,
        "imitated": bool(content.get("imitated", False)),
        # the least-squares factors of the file against its own millimeters
        "factor_residual_mm": round(_factor_residual_mm(splits["test"], path.name), 6),
    }
    return write_pairs(out, dict(splits), info)


def _sh_recordings(table: Any, split: str, where: str) -> Iterator[Recording]:
    """The videos of one half of the file: runs of frames with one `source`."""
    arrays = _sh_arrays(table, split, where)
    num_frames = len(arrays["joint_2d"])
    check_pixels(arrays["joint_2d"], where)
    source = np.asarray(table["source"]).astype(str)
    cameras = np.asarray(table["camera_name"]).astype(str)
    actions = np.asarray(table["action"]).astype(str)
    if wrong := sorted(set(cameras.tolist()) - IMAGE_SIZES.keys()):
        raise UserError(f"{where}: unknown camera {wrong[0]}; known are {', '.join(IMAGE_SIZES)}")
    keypoints = np.concatenate([arrays["joint_2d"], arrays["confidence"][..., None]], axis=-1)
    check_sides(keypoints, arrays["joint3d_image"], where)
    borders = [0, *(np.flatnonzero(source[1:] != source[:-1]) + 1).tolist(), num_frames]
    expected = TRAIN_SUBJECTS if split == "train" else TEST_SUBJECTS
    for start, stop in zip(borders, borders[1:], strict=False):
        name, part = str(source[start]), slice(start, stop)
        match = _SH_SOURCE.match(name)
        if not match:
            raise UserError(
                f"{where}: the source {name!r} at frame {start} is not like s_09_act_05_subact_02"
            )
        if (subject := f"S{int(match[1])}") not in expected:
            raise UserError(
                f"{where}: {name} is of {subject}, but {split} has {', '.join(expected)}"
            )
        if len(set(cameras[part].tolist())) > 1 or len(set(actions[part].tolist())) > 1:
            raise UserError(f"{where}: {name} changes its camera or action within the video")
        yield Recording(
            name=name,
            subject=subject,
            action=str(actions[start]),
            camera=str(cameras[start]),
            image_size=IMAGE_SIZES[str(cameras[start])],
            fps=RATE_HZ,
            keypoints_px=keypoints[part],
            pose=arrays["joint3d_image"][part],
            truth_mm=arrays["joints_2.5d_image"][part] if split == "test" else None,
            mm_per_px=arrays["2.5d_factor"][part] if split == "test" else None,
        )


def _sh_arrays(table: Any, split: str, where: str) -> dict[str, Array]:
    """The numbers of one half of the file, with their shapes checked."""
    wanted = _SH_KEYS + (_SH_TEST_KEYS if split == "test" else ())
    if not isinstance(table, dict) or (missing := [key for key in wanted if key not in table]):
        lacks = ", ".join(missing) if isinstance(table, dict) else "everything"
        raise UserError(
            f"{where} lacks {lacks}: use h36m_sh_conf_cam_source_final.pkl, not another version"
        )
    try:
        arrays = {key: _float_array(table[key]) for key in wanted if key in _SHAPES}
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: an array is not numbers: {error}") from error
    num_frames = len(arrays["joint_2d"])
    for key, shape in _SHAPES.items():
        if key not in arrays:
            continue
        if key in ("confidence", "2.5d_factor") and arrays[key].shape[-1:] == (1,):
            arrays[key] = arrays[key][..., 0]
        if arrays[key].shape != (num_frames, *shape):
            expected = ", ".join(map(str, ("N", *shape)))
            raise UserError(f"{where}: {key} has shape {arrays[key].shape}, not ({expected})")
    for key in ("source", "action", "camera_name"):
        if len(table[key]) != num_frames:
            raise UserError(
                f"{where}: {key} has {len(table[key])} entries, but there are {num_frames} frames"
            )
    return arrays


_SHAPES: dict[str, tuple[int, ...]] = {
    "joint_2d": (17, 2),
    "confidence": (17,),
    "joint3d_image": (17, 3),
    "joints_2.5d_image": (17, 3),
    "2.5d_factor": (),
}


def _float_array(values: Any) -> Array:
    """In its own precision; whole numbers and objects become float64."""
    array = np.asarray(values)
    return array if array.dtype.kind == "f" else array.astype(np.float64)


def _factor_residual_mm(recordings: list[Recording], where: str) -> float:
    """Mean distance between `factor x pixels` and the file's millimeters, roots removed.

    A perfect prediction has this error. It is small but not stated by anyone, so it is measured.
    """
    residuals = []
    for recording in recordings:
        assert recording.truth_mm is not None and recording.mm_per_px is not None
        pose, truth_mm = sample(recording.pose), sample(recording.truth_mm)
        scaled = pose * sample(recording.mm_per_px)[:, None, None]
        offset = (scaled - scaled[:, :1]) - (truth_mm - truth_mm[:, :1])
        residuals.append(np.linalg.norm(offset, axis=-1).mean())
    mean = float(np.nanmean(residuals))
    if mean > _LARGEST_RESIDUAL_MM:
        raise UserError(
            f"{where}: 2.5d_factor times joint3d_image is {mean:.0f} mm away from "
            "joints_2.5d_image: these do not belong together, or are in other units"
        )
    return mean


# ---- VideoPose3D's files


def _prepare_videopose3d(poses: Path, keypoints: Path, cameras: Path, out: Path) -> Path:
    loaded, detected = load_npz(poses), load_npz(keypoints)
    positions_m, positions_px = loaded.get("positions_3d"), detected.get("positions_2d")
    for path, key, found in (
        (poses, "positions_3d", positions_m),
        (keypoints, "positions_2d", positions_px),
    ):
        if not isinstance(found, dict):
            raise UserError(f"{path} has no {key}: it is not one of VideoPose3D's Human3.6M files")
    calibration = _read_cameras(cameras)
    splits = {}
    for split, subjects in (("train", TRAIN_SUBJECTS), ("test", TEST_SUBJECTS)):
        splits[split] = _cpn_recordings(subjects, positions_m, positions_px, calibration)
    info = {
        "kind": "h36m-cpn",
        "pose_unit": "mm",
        "unit_mm": 1000.0,  # the family predicts meters
        "keypoints": keypoints.name,
        "source": f"{poses.name}, {keypoints.name}",
        "license": LICENSE,
        "imitated": "imitated" in loaded,
    }
    return write_pairs(out, dict(splits), info)


def _cpn_recordings(
    subjects: tuple[str, ...], positions_m: Any, positions_px: Any, calibration: Any
) -> Iterator[Recording]:
    order = [_OF_32[joint] for joint in H36M17.joints]
    for subject in subjects:
        if subject not in positions_m or subject not in positions_px:
            side = "3D" if subject not in positions_m else "2D"
            raise UserError(f"the {side} file has no subject {subject}")
        for name, world_m in positions_m[subject].items():
            where = f"{subject} {name}"
            world_m = _float_array(world_m)
            if world_m.ndim != 3 or world_m.shape[1:] != (32, 3):
                raise UserError(f"{where}: the 3D has shape {world_m.shape}, not (N, 32, 3)")
            if name not in positions_px[subject]:
                raise UserError(f"{where}: the 2D file lacks this video")
            views = positions_px[subject][name]
            if len(views) != len(IMAGE_SIZES):
                raise UserError(f"{where}: the 2D has {len(views)} cameras, not 4")
            for (camera, size), view in zip(IMAGE_SIZES.items(), views, strict=True):
                rotation, shift_mm = calibration(subject, camera)
                pose_mm = world_m[:, order].astype(np.float64) * 1000 @ rotation.T + shift_mm
                seen = _float_array(view)
                if seen.ndim != 3 or seen.shape[1:] != (17, 2) or len(seen) < len(pose_mm):
                    raise UserError(
                        f"{where}, camera {camera}: the 2D has shape {seen.shape}, not "
                        f"({len(pose_mm)} or more, 17, 2)"
                    )
                seen = seen[: len(pose_mm)]  # detections run on for some frames
                confident = np.concatenate([seen, np.ones((*seen.shape[:2], 1))], axis=-1)
                check_pixels(seen, f"{where}, camera {camera}")
                check_metric(pose_mm, f"{where}, camera {camera}")
                if np.median(pose_mm[:, 0, 2]) <= 0:
                    raise UserError(
                        f"{where}, camera {camera}: the person is behind the camera: "
                        "the calibration does not belong to these poses"
                    )
                check_sides(confident, pose_mm, f"{where}, camera {camera}")
                yield Recording(
                    name=f"{subject} {name}/{camera}",
                    subject=subject,
                    action=name.split()[0],
                    camera=camera,
                    image_size=size,
                    fps=RATE_HZ,
                    keypoints_px=confident,
                    pose=pose_mm.astype(world_m.dtype),
                )


def _read_cameras(path: Path) -> Any:
    """A function from subject and camera to rotation and translation in millimeters."""
    try:
        extrinsics = json.loads(path.read_text(encoding="utf-8"))["extrinsics"]
    except OSError as error:
        raise UserError(f"cannot read the cameras {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a JSON of cameras with the key extrinsics") from error

    def of(subject: str, camera: str) -> tuple[Array, Array]:
        try:
            entry = extrinsics[subject][camera]
            rotation = np.array(entry["R"], dtype=np.float64).reshape(3, 3)
            shift_mm = np.array(entry["t"], dtype=np.float64).reshape(3)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"{path} has no R and t of {subject}, camera {camera}") from error
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
            raise UserError(f"{path}: R of {subject}, camera {camera} is not a rotation")
        return rotation, shift_mm

    return of
