"""Human3.6M, from one of two commonly used forms.

- `h36m_sh_conf_cam_source_final.pkl` of MotionBERT: Stacked Hourglass keypoints with confidence,
  poses in pixels, and the factors and millimeters for MotionBERT's evaluation.
- Two files of VideoPose3D: `data_3d_h36m.npz` (world coordinates in meters) and
  `data_2d_h36m_*.npz`, such as that of CPN. The conversion from world to camera coordinates
  requires the calibration, which neither file contains: a JSON in the common form {"extrinsics":
  {"S1": {"54138969": {"R": 3x3, "t": 3 mm}}}}, x_camera = R x_world + t.

Both are licensed by the authors of Human3.6M, and neither is part of this project.
"""

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.datasets.paired import VideoData, write_paired
from actionpose.prepare.paired.validation import (
    Checks,
    check_metric,
    check_pixels,
    check_sides,
    float_array,
    is_synthetic,
    missing_keys,
    sample,
    with_confidence,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.json_files import read_json
from actionpose.utils.safe_pickle import load_npz, load_pickle
from actionpose.utils.typing import Array

FPS = 50.0
SUBJECTS = {"train": ("S1", "S5", "S6", "S7", "S8"), "test": ("S9", "S11")}
# width and height in pixels, in the order of VideoPose3D's lists
IMAGE_SIZES = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
LICENSE = "Human3.6M: registration needed, academic use only; not to be passed on"

# arrays of MotionBERT's file with the shape of a frame, and its lists
_SHAPES: dict[str, tuple[int, ...]] = {
    "joint_2d": (17, 2),
    "confidence": (17,),
    "joint3d_image": (17, 3),
}
_TEST_SHAPES: dict[str, tuple[int, ...]] = {"joints_2.5d_image": (17, 3), "2.5d_factor": ()}
_LISTS = ("source", "action", "camera_name")
_SOURCE = re.compile(r"s_(\d\d)_act_(\d\d)_subact_(\d\d)")
_LARGEST_RESIDUAL_MM = 100.0  # between factor x pixels and mm; larger if files do not match
_MAX_CAMERAS_BYTES = 1 << 24

# 17 of the 32 joints of Human3.6M are distinct; the others are copies and ends of fingers or toes
_OF_32 = {
    **{"pelvis": 0, "right_hip": 1, "right_knee": 2, "right_ankle": 3},
    **{"left_hip": 6, "left_knee": 7, "left_ankle": 8},
    **{"spine": 12, "thorax": 13, "nose": 14, "head": 15},
    **{"left_shoulder": 17, "left_elbow": 18, "left_wrist": 19},
    **{"right_shoulder": 25, "right_elbow": 26, "right_wrist": 27},
}


def prepare_h36m(
    source: Path,
    out_dir: Path,
    *,
    keypoints: Path | None = None,
    cameras: Path | None = None,
    force: bool = False,
) -> Path:
    """Write the prepared dataset (`datasets/paired.py`).

    Args:
        source: MotionBERT's pkl, or VideoPose3D's `data_3d_h36m.npz`.
        out_dir: Folder to create.
        keypoints: 2D file of VideoPose3D.
        cameras: Calibration for the files of VideoPose3D.
        force: Whether to accept data that fail the check of sides; `data.json` and all scores then
            state this.

    Raises:
        UserError: If a file is missing, damaged, of another version, or invalid.
    """
    if source.suffix != ".npz":
        if keypoints or cameras:
            raise UserError(
                "keypoints=FILE and cameras=FILE belong to VideoPose3D's data_3d_h36m.npz"
            )
        return _prepare_motionbert(source, out_dir, Checks(force))
    if keypoints is None or cameras is None:
        raise UserError(
            f"{source.name} has world coordinates only: give keypoints=FILE "
            "(data_2d_h36m_cpn_ft_h36m_dbb.npz) and cameras=FILE (camera-parameters.json)"
        )
    return _prepare_videopose3d(source, keypoints, cameras, out_dir, Checks(force))


# ---- file of MotionBERT


def _prepare_motionbert(path: Path, out_dir: Path, checked: Checks) -> Path:
    content = load_pickle(path)
    if missing := missing_keys(content, SUBJECTS):
        raise UserError(
            f"{path} is not h36m_sh_conf_cam_source_final.pkl: it needs train and test, and lacks "
            f"{missing}"
        )
    splits = {
        split: list(_motionbert_recordings(content[split], split, f"{path.name}, {split}", checked))
        for split in SUBJECTS
    }
    info = {
        "kind": "h36m-sh",
        "pose_unit": "px",
        "unit_mm": None,
        "keypoints": "Stacked Hourglass, with confidence",
        "source": path.name,
        "license": LICENSE,
        "synthetic": is_synthetic(content),
        "forced": checked.failed,
        # residual of the least-squares factors of the file for its own millimeters
        "factor_residual_mm": round(_factor_residual_mm(splits["test"], path.name), 6),
    }
    return write_paired(out_dir, dict(splits), info)


def _motionbert_recordings(
    table: Any, split: str, where: str, checked: Checks
) -> Iterator[VideoData]:
    """The videos of a split of the file: runs of frames with the same `source`."""
    arrays = _motionbert_arrays(table, split, where)
    sources, actions, cameras = (np.asarray(table[key]).astype(str) for key in _LISTS)
    check_pixels(arrays["joint_2d"], where)
    if wrong := sorted(set(cameras.tolist()) - IMAGE_SIZES.keys()):
        raise UserError(f"{where}: unknown camera {wrong[0]}; known are {', '.join(IMAGE_SIZES)}")
    keypoints = with_confidence(arrays["joint_2d"], arrays["confidence"])
    checked(check_sides, keypoints, arrays["joint3d_image"], where)
    starts = [0, *(np.flatnonzero(sources[1:] != sources[:-1]) + 1).tolist()]
    for start, stop in zip(starts, [*starts[1:], len(sources)], strict=True):
        name, part = str(sources[start]), slice(start, stop)
        match = _SOURCE.match(name)
        if not match:
            raise UserError(
                f"{where}: the source {name!r} at frame {start} is not like s_09_act_05_subact_02"
            )
        if (subject := f"S{int(match[1])}") not in SUBJECTS[split]:
            raise UserError(
                f"{where}: {name} is of {subject}, but {split} has {', '.join(SUBJECTS[split])}"
            )
        if len(set(cameras[part].tolist())) > 1 or len(set(actions[part].tolist())) > 1:
            raise UserError(f"{where}: {name} changes its camera or action within the video")
        yield VideoData(
            name=name,
            subject=subject,
            action=str(actions[start]),
            camera=str(cameras[start]),
            image_size=IMAGE_SIZES[str(cameras[start])],
            fps=FPS,
            keypoints_px=keypoints[part],
            pose=arrays["joint3d_image"][part],
            truth_mm=arrays["joints_2.5d_image"][part] if split == "test" else None,
            mm_per_px=arrays["2.5d_factor"][part] if split == "test" else None,
        )


def _motionbert_arrays(table: Any, split: str, where: str) -> dict[str, Array]:
    """The numeric arrays of a split of the file, with checked shapes."""
    shapes = _SHAPES | (_TEST_SHAPES if split == "test" else {})
    if missing := missing_keys(table, (*shapes, *_LISTS)):
        raise UserError(
            f"{where} lacks {missing}: use h36m_sh_conf_cam_source_final.pkl, not another version"
        )
    arrays: dict[str, Array] = {}
    num_frames = None
    for key, shape in shapes.items():
        values = table[key]
        if key in ("confidence", "2.5d_factor") and isinstance(values, np.ndarray):
            values = values[..., 0] if values.shape[-1:] == (1,) else values
        arrays[key] = float_array(values, f"{where}: {key}", (num_frames, *shape))
        num_frames = len(arrays["joint_2d"])
    for key in _LISTS:
        if not _is_list(table[key], num_frames):
            raise UserError(
                f"{where}: {key} does not have {num_frames} entries, a name for each frame"
            )
    return arrays


def _is_list(names: Any, length: int | None) -> bool:
    """Whether this is a list of texts or numbers with the given length."""
    if isinstance(names, np.ndarray):
        return names.shape == (length,)
    plain = isinstance(names, list) and not any(isinstance(n, list | dict) for n in names)
    return plain and len(names) == length


def _factor_residual_mm(recordings: list[VideoData], where: str) -> float:
    """Mean distance between `factor x pixels` and the millimeters of the file, root-relative.

    A perfect prediction has this error. It is small but not documented, and therefore measured.
    """
    residuals = []
    for recording in recordings:
        assert recording.truth_mm is not None and recording.mm_per_px is not None
        pose, target_mm = sample(recording.pose), sample(recording.truth_mm)
        scaled = pose * sample(recording.mm_per_px)[:, None, None]
        offset = (scaled - scaled[:, :1]) - (target_mm - target_mm[:, :1])
        residuals.append(np.linalg.norm(offset, axis=-1).mean())
    mean = float(np.nanmean(residuals))
    if mean > _LARGEST_RESIDUAL_MM:
        raise UserError(
            f"{where}: 2.5d_factor times joint3d_image is {mean:.0f} mm away from "
            "joints_2.5d_image: these do not belong together, or are in other units"
        )
    return mean


# ---- files of VideoPose3D


def _prepare_videopose3d(
    poses: Path, keypoints: Path, cameras: Path, out_dir: Path, checked: Checks
) -> Path:
    loaded, detected = load_npz(poses), load_npz(keypoints)
    positions_m, positions_px = loaded.get("positions_3d"), detected.get("positions_2d")
    for path, key, positions in (
        (poses, "positions_3d", positions_m),
        (keypoints, "positions_2d", positions_px),
    ):
        if not isinstance(positions, dict):
            raise UserError(f"{path} has no {key}: it is not one of VideoPose3D's Human3.6M files")
    calibration = read_json(cameras, _MAX_CAMERAS_BYTES)
    if missing_keys(calibration, ("extrinsics",)):
        raise UserError(f"{cameras} is not a JSON of cameras with the key extrinsics")
    sources = (positions_m, positions_px, calibration["extrinsics"])
    splits = {
        split: chain.from_iterable(
            _videopose3d_recordings(name, *sources, checked) for name in subjects
        )
        for split, subjects in SUBJECTS.items()
    }
    info = {
        "kind": "h36m-cpn",
        "pose_unit": "mm",
        "unit_mm": 1000.0,  # networks for these files predict meters
        "keypoints": keypoints.name,
        "source": f"{poses.name}, {keypoints.name}",
        "license": LICENSE,
        "synthetic": is_synthetic(loaded),
        "forced": checked.failed,
    }
    return write_paired(out_dir, dict(splits), info)


def _videopose3d_recordings(
    subject: str, positions_m: Any, positions_px: Any, extrinsics: Any, checked: Checks
) -> Iterator[VideoData]:
    for side, positions in (("3D", positions_m), ("2D", positions_px)):
        if not isinstance(positions.get(subject), dict):
            raise UserError(f"the {side} file has no subject {subject} with its videos")
    order = [_OF_32[joint] for joint in H36M17.joints]
    for name, given_m in positions_m[subject].items():
        where = f"{subject} {name}"
        world_m = float_array(given_m, f"{where}: the 3D", (None, 32, 3))
        if name not in positions_px[subject]:
            raise UserError(f"{where}: the 2D file lacks this video")
        views = positions_px[subject][name]
        if not isinstance(views, list | np.ndarray) or len(views) != len(IMAGE_SIZES):
            raise UserError(f"{where}: the 2D is not a list of 4 cameras")
        world_mm = world_m[:, order].astype(np.float64) * 1000
        for (camera, size), view in zip(IMAGE_SIZES.items(), views, strict=True):
            where = f"{subject} {name}, camera {camera}"
            rotation, translation_mm = _camera(extrinsics, subject, camera)
            pose_mm = world_mm @ rotation.T + translation_mm
            keypoints = float_array(view, f"{where}: the 2D", (None, 17, 2))
            keypoints = keypoints[: len(pose_mm)]  # there may be more detections than poses
            if len(keypoints) != len(pose_mm):
                raise UserError(
                    f"{where}: the 2D has {len(keypoints)} frames, the 3D {len(pose_mm)}"
                )
            check_pixels(keypoints, where)
            check_metric(pose_mm, where)
            if np.median(pose_mm[:, 0, 2]) <= 0:
                raise UserError(
                    f"{where}: the person is behind the camera: "
                    "the calibration does not belong to these poses"
                )
            checked(check_sides, keypoints, pose_mm, where)
            yield VideoData(
                name=f"{subject} {name}/{camera}",
                subject=subject,
                action=name.split()[0],
                camera=camera,
                image_size=size,
                fps=FPS,
                keypoints_px=with_confidence(keypoints),
                pose=pose_mm.astype(world_m.dtype),
            )


def _camera(extrinsics: Any, subject: str, camera: str) -> tuple[Array, Array]:
    """Rotation and translation in millimeters from world to camera."""
    try:
        entry = extrinsics[subject][camera]
        rotation = np.array(entry["R"], dtype=np.float64).reshape(3, 3)
        translation_mm = np.array(entry["t"], dtype=np.float64).reshape(3)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"the cameras have no R and t of {subject}, camera {camera}") from error
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        raise UserError(f"the cameras: R of {subject}, camera {camera} is not a rotation")
    return rotation, translation_mm
