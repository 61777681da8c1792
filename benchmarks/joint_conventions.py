"""Measure the limb joint offsets of a detector and a model from anatomical joint centers.

    python benchmarks/joint_conventions.py TRUTH.npz --checkpoint tiny

TRUTH.npz contains videos of one person each with marker-based ground truth. The arrays of a video V
are `V_kp3d` (T, 17, 3) joint centers in meters, `V_K`, `V_R` and `V_t` of a camera (x_cam = R x +
t), `V_fps`, and `V_mediapipe33` (T, 33, 3) keypoints of the detector in pixels with confidence.

Offsets are those of `geometry.joint_conventions`, in mm for a trunk of mean length: outward, up
along the trunk, and forward. Those of the detector are fitted to its keypoints in the image, and
those of the model to its poses for the projected ground truth. They are fitted to each video. The
error of a video lifted with the offsets of the other videos is the unbiased one; the offsets of the
package are fitted to both videos of `docs/experiments/2026-11-28-joint-conventions.md`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import tyro
from scipy.optimize import least_squares
from tyro.conf import Positional

from actionpose.geometry.joint_conventions import (
    LIMB_JOINTS,
    OFFSETS,
    limb_axes,
    move_limbs,
    trunk_axes,
)
from actionpose.inference.predictor import ActionPose
from actionpose.keypoints import Keypoints
from actionpose.metrics import p_mpjpe
from actionpose.skeletons import H36M17, MEDIAPIPE33
from actionpose.utils.errors import exit_codes
from actionpose.utils.typing import Array

LIMBS = [H36M17.indices(f"left_{j}", f"right_{j}") for j in LIMB_JOINTS]  # (6, 2)
MEASURED = [0, *np.ravel(LIMBS)]  # joints with ground truth
FRAMES = 80  # per video, for the fit
HUBER, RIDGE = 0.04, 0.03  # relative to the trunk length; weight of each squared offset, per frame
ROUNDS = 5  # of fitting offsets to aligned poses


@dataclass
class Video:
    """Motion of one person in camera axes, with keypoints of a detector."""

    target_m: Array  # (T, 17, 3)
    keypoints: Keypoints  # of the detector
    camera: Array  # (3, 3)

    @classmethod
    def read(cls, file: Any, name: str) -> "Video":
        target_m = file[f"{name}_kp3d"] @ file[f"{name}_R"].T + file[f"{name}_t"]
        points, fps = file[f"{name}_mediapipe33"], float(file[f"{name}_fps"])
        keypoints = Keypoints.from_array(points, skeleton=MEDIAPIPE33, fps=fps)
        return cls(target_m, keypoints, file[f"{name}_K"])

    @property
    def detected_px(self) -> Array:
        """(T, 17, 3) Detected keypoints in the layout of H36M17."""
        return self.keypoints.to_skeleton(H36M17).keypoints_px[0]

    def project(self, joints_m: Array) -> Array:
        """Project (T, 17, 3) in camera axes to (T, 17, 3) pixels with a confidence of 1."""
        points = joints_m @ self.camera.T
        return points / points[..., 2:]

    def pose(self, model: ActionPose, points_px: Array) -> Array:
        """(T, 17, 3) Pose of the model in its own joint convention, camera axes."""
        keypoints = Keypoints.from_array(points_px, skeleton=H36M17, fps=self.keypoints.fps)
        result = model.lift(keypoints, joint_convention=model.joint_convention)
        return result.pose_m[0].astype(np.float64)

    def error_mm(self, pose: Array) -> float:
        return 1000 * float(p_mpjpe(pose[:, MEASURED], self.target_m[:, MEASURED]).mean())


def detector_offsets(videos: list[Video]) -> Array:
    """(6, 3) Joint offsets of the detector, from its 2D positions.

    A translation per frame and a scale per video are free parameters. The mean of the offsets
    forward and up is 0.
    """
    factors, values = [], []
    for number, video in enumerate(videos):
        rows = np.linspace(0, len(video.target_m) - 1, FRAMES).astype(int)
        target_m = video.target_m[rows]
        xy = video.project(target_m)[..., :2]
        unit_px = np.mean(video.camera[0, 0] * trunk_axes(target_m)[1] / target_m[:, 0, 2])

        def seen(pixels: Array, unit_px: float = unit_px) -> Array:
            """Positions of the limbs in trunk lengths, without the translation of each frame."""
            limbs = pixels[:, np.ravel(LIMBS)] / unit_px
            flat: Array = (limbs - limbs.mean(axis=1, keepdims=True)).ravel()
            return flat

        units = np.eye(18).reshape(18, 6, 3) * 0.01
        moved = [video.project(move_limbs(target_m, unit))[..., :2] for unit in units]
        scales = [seen(xy) * (number == other) for other in range(len(videos))]
        factors.append(np.stack([*(seen(m - xy) / 0.01 for m in moved), *scales], axis=1))
        values.append(seen(video.detected_px[rows, :, :2] - xy))
    size, weight = 18 + len(videos), np.sqrt(FRAMES * len(videos))
    means = np.zeros((2, size))
    means[0, 1:18:3] = means[1, 2:18:3] = weight
    a = np.concatenate([*factors, RIDGE * weight * np.eye(size), means])
    b = np.concatenate([*values, np.zeros(size + 2)])
    fit = least_squares(
        lambda x: a @ x - b, np.zeros(size), lambda x: a, loss="huber", f_scale=HUBER
    )
    offsets: Array = fit.x[:18].reshape(6, 3)
    return offsets


def pose_offsets(videos: list[Video], poses: list[Array]) -> Array:
    """(6, 3) Joint offsets of a model from the ground truth, after the alignment of P-MPJPE."""
    offsets = np.zeros((6, 3))
    for _ in range(ROUNDS):
        for video, pose in zip(videos, poses, strict=True):
            target_m = video.target_m
            aligned_m = target_m.copy()
            aligned_m[:, MEASURED] = align(
                move_limbs(pose, -offsets)[:, MEASURED], target_m[:, MEASURED]
            )
            error_m = (aligned_m - target_m)[:, np.transpose(LIMBS)]  # (T, 2, 6, 3)
            axes = limb_axes(aligned_m)
            square = np.einsum("sjtab,sjtac->jbc", axes, axes)
            found = np.linalg.solve(square, np.einsum("sjtab,tsja->jb", axes, error_m)[..., None])
            offsets = offsets + found[..., 0] / len(videos)
    return offsets


def align(poses: Array, targets: Array) -> Array:
    """Align poses (T, J, 3) to their targets by rotation, scale and translation per frame."""
    result = np.empty_like(targets)
    for number, (pose, target) in enumerate(zip(poses, targets, strict=True)):
        centered, wanted = pose - pose.mean(axis=0), target - target.mean(axis=0)
        u, s, vt = np.linalg.svd(centered.T @ wanted)
        sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        turned = centered @ (u * sign) @ vt
        result[number] = turned * (s * sign).sum() / (centered**2).sum() + target.mean(axis=0)
    return result


def table(title: str, offsets: dict[str, Array], trunk_mm: float) -> None:
    print(f"\n| {title} | {' | '.join(offsets)} |\n{'|---' * (1 + len(offsets))}|")
    for row, joint in enumerate(LIMB_JOINTS):
        cells = (", ".join(f"{v:.0f}" for v in o[row] * trunk_mm) for o in offsets.values())
        print(f"| {joint} | {' | '.join(cells)} |")


def main(truth: Positional[Path], checkpoint: str = "tiny") -> None:
    """Print the tables, and P-MPJPE of the measured joints before and after correction.

    Args:
        truth: File of the ground truth (npz), see above.
        checkpoint: Model whose joints are measured.
    """
    file = np.load(truth)
    names = [key.removesuffix("_kp3d") for key in file if key.endswith("_kp3d")]
    videos = {name: Video.read(file, name) for name in names}
    trunk_mm = 1000 * np.mean([trunk_axes(v.target_m)[1].mean() for v in videos.values()])
    model = ActionPose.from_pretrained(checkpoint)
    perfect = {n: v.pose(model, v.project(v.target_m)) for n, v in videos.items()}
    detected = {n: v.pose(model, v.detected_px) for n, v in videos.items()}

    def fit(of: list[str]) -> dict[str, Array]:
        """Offsets of the detector and of the model, by their names in `OFFSETS`."""
        fitted = [videos[n] for n in of]
        own = pose_offsets(fitted, [perfect[n] for n in of])
        return {"mediapipe33": detector_offsets(fitted), model.joint_convention: own}

    fits = {name: fit([name]) for name in names} | {"all": fit(names)}
    print(f"trunk {trunk_mm:.0f} mm")
    for title, key in (("detector", "mediapipe33"), ("model", model.joint_convention)):
        offsets = {group: found[key] for group, found in fits.items()} | {"used": OFFSETS[key]}
        table(f"offsets of the {title}, mm, fitted to", offsets, trunk_mm)
    columns = (
        "projected",
        "detected",
        *(f"model's offsets of {group} removed" for group in fits),
        "lifted",
        *(["lifted with the offsets of the others"] if len(videos) > 1 else []),
    )
    print(f"\n| P-MPJPE, mm | {' | '.join(columns)} |\n{'|---' * (1 + len(columns))}|")
    for name, video in videos.items():
        poses = [perfect[name], detected[name]]
        poses += [move_limbs(detected[name], -o[model.joint_convention]) for o in fits.values()]
        poses.append(model.lift(video.keypoints).pose_m[0])
        if others := [n for n in names if n != name]:
            with patch.dict(OFFSETS, fit(others)):
                poses.append(model.lift(video.keypoints).pose_m[0])
        errors = (f"{video.error_mm(pose):.1f}" for pose in poses)
        print(f"| {name} | {' | '.join(errors)} |")


if __name__ == "__main__":
    with exit_codes("joint_conventions.py"):
        tyro.cli(main)
