"""Lifting: 2D keypoints of any length to 3D motion in meters.

A long motion is seen through overlapping windows of the length the model was trained with. Every
window is normalized by itself, predicted as it is and mirrored (averaged once, here and nowhere
else), brought to one stature, and blended into its neighbors, so that nothing jumps at a border.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose import checkpoint, model_hub
from actionpose.actions.embedding import ActionSpace
from actionpose.actions.label_bank import Labels
from actionpose.actions.timeline import Action
from actionpose.geometry.camera import Frame2D, box_frame, image_frame
from actionpose.geometry.stature import AVERAGE_ADULT_M, STATURE_PER_CHAIN, chain_length
from actionpose.keypoints.core import Keypoints
from actionpose.keypoints.tracking import MAX_GAP_S, fill_gaps, person_order
from actionpose.models.dstformer import PoseEncoder
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.resampling import interpolate, resample_keypoints, same_rate
from actionpose.video.pose_estimation import read_source

Array = NDArray[np.floating]

_BATCH = 8  # windows at a time; more leave the cache of a CPU
_MIRROR = torch.tensor([-1.0, 1.0, 1.0])


@torch.inference_mode()
def predict(
    encoder: PoseEncoder, keypoints: torch.Tensor, *, flip: bool = True, root: str = "subtract"
) -> torch.Tensor:
    """Root-relative poses of normalized clips, averaged over the clip and its mirror image.

    Args:
        keypoints: (N, T, 17, 3) on the encoder's device.
        flip: whether to average.
        root: "subtract" the predicted pelvis from all joints, or set it to "zero" and leave the
            others, as MotionBERT does.

    Returns:
        (N, T, 17, 3) in the same units; the pelvis is at the origin.
    """
    sign = _MIRROR.to(keypoints)
    if flip:
        both = torch.cat([keypoints, keypoints[:, :, H36M17.mirror] * sign])
        pose, mirrored = encoder(both, embed=False).pose.float().chunk(2)
        pose = (pose + mirrored[:, :, H36M17.mirror] * sign) / 2
    else:
        pose = encoder(keypoints, embed=False).pose.float()
    if root == "subtract":
        return pose - pose[:, :, :1]
    pose = pose.clone()
    pose[:, :, 0] = 0
    return pose


class ActionPose:
    """A trained model, ready to lift.

    Args:
        encoder: in eval mode.
        meta: of its checkpoint: `frames`, `normalization`, `fps`, and `rejection_threshold` if it
            was calibrated.
        name: for the headers of results.
        weights_sha256: likewise.
        labels: what it knows of text; nothing by default.
    """

    def __init__(
        self,
        encoder: PoseEncoder,
        meta: dict[str, Any],
        *,
        name: str,
        weights_sha256: str = "",
        device: str = "cpu",
        labels: Labels | None = None,
    ):
        self.encoder = encoder.to(device)
        self.device = device
        self.frames: int = meta["frames"]
        self.normalization: str = meta["normalization"]
        self.fps: float = meta["fps"]
        self.checkpoint = {"name": name, "sha256": weights_sha256}
        self.space = ActionSpace(
            self.encoder,
            labels or Labels(None),
            meta,
            frame_of=self._frame,
            checkpoint=self.checkpoint,
        )

    @classmethod
    def from_pretrained(cls, name: str | Path = "tiny", device: str = "auto") -> "ActionPose":
        """Load a bundled model, a checkpoint or run folder, or a Hugging Face Hub id.

        Raises:
            UserError: no such model, or one that is damaged or lacks what lifting needs.
        """
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        elif device == "cuda" and not torch.cuda.is_available():
            raise UserError("device is cuda, but torch finds no GPU: use cpu or auto")
        folder = model_hub.find(name)
        encoder, meta = checkpoint.load_encoder(folder)
        if missing := {"frames", "normalization", "fps"} - meta.keys():
            raise UserError(f"{folder / checkpoint.META} lacks {', '.join(sorted(missing))}")
        digest = sha256(folder / checkpoint.WEIGHTS)
        labels = Labels(folder)
        return cls(
            encoder, meta, name=str(name), weights_sha256=digest, device=device, labels=labels
        )

    def lift(
        self,
        source: Keypoints | str | os.PathLike[str],
        *,
        persons: str | int = "all",
        order: str = "largest",
        height_m: float | None = None,
        max_gap_s: float = MAX_GAP_S,
        detector: str = "mediapipe",
        progress: Callable[[int], object] = lambda frames: None,
    ) -> Result:
        """Lift the people of a video or a keypoint file to 3D.

        Args:
            source: a video or an image; keypoints of any known layout; or a file of them that
                `Keypoints.read` takes.
            persons: "all", or how many: the first ones in the order.
            order: "largest" (seen largest and longest), "first" or "most-moving"; the order of
                the people in the result.
            height_m: the stature of the people; without it they have that of an average adult.
            max_gap_s: an absence up to so many seconds is filled from both sides, and stays
                marked in `valid`. In longer ones the pose is zero.
            detector: for videos: "mediapipe", "rtmlib" or the path of an ONNX model.
            progress: called with the number of frames lifted since the last call.

        Returns:
            Meters, x right, y down, z away from the camera, the pelvis at the origin of every
            frame. The frames are those of the video, at their own times.

        Raises:
            UserError: see `Keypoints.read`; or a height that no person has, or an image size that
                is needed and not known.
        """
        if height_m is not None and not 0.3 <= height_m <= 2.8:
            raise UserError(f"height {height_m:g} m is not a person's: give meters, such as 1.75")
        if not max_gap_s >= 0:
            raise UserError(f"the longest gap to fill is 0 s or more, not {max_gap_s:g}")
        keypoints = _read(source, detector)
        chosen = _choose(keypoints, persons, order)
        mapped = keypoints.to_skeleton(H36M17)
        times = keypoints.times_s
        poses, tracks = [], []
        for person in chosen:
            points, valid = mapped.keypoints_px[person], mapped.valid[person]
            tracks.append(points)
            points, there = fill_gaps(points, valid, times, max_gap_s)
            pose = self._lift_track(points, there, times, mapped.image_size, progress)
            poses.append(pose * there[:, None, None])
        stature_m = height_m or AVERAGE_ADULT_M
        header = self._header(keypoints, height_m)
        embeddings = None
        if self.knows_actions:
            embeddings, spans_s = self.space.embed_windows(_of_persons(mapped, chosen))
            header["embedding_windows_s"] = np.round(spans_s, 4).tolist()
        return Result(
            pose_m=(np.stack(poses) * stature_m).astype(np.float32),
            keypoints_px=np.stack(tracks),
            valid=mapped.valid[chosen],
            track_id=mapped.track_id[chosen],
            time_s=times,
            header=header,
            embeddings=embeddings,
        )

    @property
    def knows_actions(self) -> bool:
        """Whether motions and texts have embeddings in one space."""
        return self.space.knows_actions

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, E) of texts, in the space of `embed_motion`.

        Raises:
            UserError: see `labels.Labels.embed`.
        """
        return self.space.labels.embed(texts)

    def embed_motion(self, source: Keypoints | str | os.PathLike[str]) -> NDArray[np.float32]:
        """One unit vector per person (P, E): the mean of the windows in which they are seen.

        Raises:
            UserError: this model has no embedding of motions.
        """
        return self.space.embed_motion(_read(source))

    def actions(
        self,
        source: Result | Keypoints | str | os.PathLike[str],
        labels: Iterable[str],
        **settings: Any,
    ) -> list[Action]:
        """What each person does when, in the words of `labels` or "other".

        Args:
            source: a result, whose embeddings are used if they are this model's; keypoints, or a
                file of them; or a video.
            labels: any number; each counts once.
            settings: of `embedding.ActionSpace.timelines`: threshold, transition_penalty,
                min_length_s, progress.

        Returns:
            In the order of persons and time; no two of a person overlap, and there is none where
            the person is not seen.

        Raises:
            UserError: no label, one that cannot be embedded, or a model without text.
        """
        known = source if isinstance(source, Result) else _read(source)
        return self.space.timelines(known, labels, **settings)

    def _header(self, keypoints: Keypoints, height_m: float | None) -> dict[str, Any]:
        average = f"average adult, {AVERAGE_ADULT_M:.2f} m"
        return {
            "units": "meters",
            "axes": "x right, y down, z away from the camera",
            "root": "pelvis at the origin of every frame",
            "skeleton": H36M17.name,
            "scale_source": average if height_m is None else f"height given, {height_m:.2f} m",
            "fps": keypoints.fps,
            "rate_source": keypoints.rate_source,
            "first_frame": keypoints.first_frame,
            "image_size": keypoints.image_size,
            "detector": keypoints.detector,
            "source": keypoints.source,
            "input_skeleton": keypoints.skeleton.name,
            "notes": list(keypoints.notes),
            "complete": keypoints.complete,
            "checkpoint": self.checkpoint,
            "versions": {"actionpose": version("actionpose"), "torch": torch.__version__},
            "actions": [],
        }

    def _lift_track(
        self,
        points: Array,
        valid: NDArray[np.bool_],
        times: Array,
        image_size: tuple[int, int] | None,
        progress: Callable[[int], object],
    ) -> Array:
        """One person, (T, 17, 3) pixels to (T, 17, 3) in shares of the person's stature."""
        if same_rate(times, self.fps):
            return self._lift_windows(points, valid, image_size, progress)
        grid = np.arange(0, times[-1] + 0.5 / self.fps, 1 / self.fps)
        points, valid = resample_keypoints(points, valid, times, grid)
        share = len(times) / len(grid)
        pose = self._lift_windows(points, valid, image_size, lambda n: progress(round(n * share)))
        return interpolate(pose, grid, times)

    def _lift_windows(
        self,
        points: Array,
        valid: NDArray[np.bool_],
        image_size: tuple[int, int] | None,
        progress: Callable[[int], object],
    ) -> Array:
        """Overlapping windows, some at a time, blended with weights that fall to their ends."""
        length, starts, weight = _windows(len(points), self.frames)
        total = np.zeros(points.shape)
        weights = np.zeros((len(points), 1, 1))
        done = 0
        for first in range(0, len(starts), _BATCH):
            batch = [s for s in starts[first : first + _BATCH] if valid[s : s + length].any()]
            windows = np.stack([points[s : s + length] for s in batch]) if batch else np.empty(0)
            for start, pose in zip(batch, self.predict(windows, image_size), strict=True):
                seen = valid[start : start + length]
                pose /= chain_length(pose[seen]) * STATURE_PER_CHAIN
                total[start : start + length] += weight * pose
                weights[start : start + length] += weight
            upto = starts[min(first + _BATCH, len(starts)) - 1] + length
            progress(upto - done)
            done = upto
        return total / np.maximum(weights, 1)

    def predict(self, windows: Array, image_size: tuple[int, int] | None = None) -> Array:
        """Poses of clips in the units of their keypoints: no stature.

        Args:
            windows: (N, T, 17, 3) x, y, confidence in pixels or any other unit. Up to `frames`
                frames are seen at once, normalized clip by clip, as the model was trained;
                longer clips are seen through overlapping windows that are blended.
            image_size: needed by models that normalize by the image.

        Returns:
            (N, T, 17, 3), root-relative; multiply by meters per unit at the person's depth.
        """
        if len(windows) == 0:
            return np.empty((0, *windows.shape[1:]))
        if windows.shape[1] > self.frames:
            length, starts, weight = _windows(windows.shape[1], self.frames)
            total, weights = np.zeros(windows.shape), np.zeros((windows.shape[1], 1, 1))
            for start in starts:
                part = slice(start, start + length)
                total[:, part] += weight * self.predict(windows[:, part], image_size)
                weights[part] += weight
            return total / weights
        frames = [self._frame(window, image_size) for window in windows]
        pairs = zip(frames, windows, strict=True)
        normalized = np.stack([frame.normalize(window) for frame, window in pairs])
        pose = predict(self.encoder, torch.from_numpy(normalized).to(self.device))
        units = np.array([frame.unit_px for frame in frames])[:, None, None, None]
        return pose.cpu().numpy().astype(np.float64) * units

    def _frame(self, window: Array, image_size: tuple[int, int] | None) -> Frame2D:
        if self.normalization == "image":
            if image_size is None:
                raise UserError(
                    "this model needs the size of the image: give --image-size WIDTHxHEIGHT"
                )
            return image_frame(image_size)
        # a lone keypoint has no size; whatever stands for it, the result is marked by confidence
        return box_frame(window) or Frame2D((0.0, 0.0), 1.0)


def _windows(num_frames: int, most: int) -> tuple[int, list[int], Array]:
    """Length and starts of windows that overlap by two thirds, and their blending weights.

    The weights (length, 1, 1) fall to the windows' ends.
    """
    length = min(most, num_frames)
    last = num_frames - length
    starts = sorted({*range(0, last, max(1, length // 3)), last})
    ramp = np.arange(length) + 1
    return length, starts, np.minimum(ramp, ramp[::-1])[:, None, None].astype(np.float64)


def _read(source: Keypoints | str | os.PathLike[str], detector: str = "mediapipe") -> Keypoints:
    return source if isinstance(source, Keypoints) else read_source(source, detector=detector)


def _of_persons(keypoints: Keypoints, rows: list[int]) -> Keypoints:
    """The keypoints of some of the persons."""
    return replace(
        keypoints,
        keypoints_px=keypoints.keypoints_px[rows],
        valid=keypoints.valid[rows],
        track_id=keypoints.track_id[rows],
    )


def _choose(keypoints: Keypoints, persons: str | int, order: str) -> list[int]:
    """Rows of the persons to lift, in the order asked for."""
    rows = person_order(keypoints.keypoints_px, keypoints.valid, order)
    if persons == "all":
        return rows
    if not isinstance(persons, int) or persons < 1:
        raise UserError(f"persons is 'all' or a number from 1, not {persons!r}")
    return rows[:persons]
