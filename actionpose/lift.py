"""Lifting: 2D keypoints of any length to 3D motion in metres.

A long motion is seen through overlapping windows of the length the model was trained with. Every
window is normalised by itself, predicted as it is and mirrored (averaged once, here and nowhere
else), brought to one stature, and blended into its neighbours, so that nothing jumps at a border.
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

from actionpose import checkpoint
from actionpose.actions import (
    DEFAULT_THRESHOLD,
    MIN_LENGTH_S,
    SWITCH_COST,
    Action,
    clean_labels,
    seen_windows,
    timeline,
    window_spans,
)
from actionpose.errors import UserError
from actionpose.geometry import Frame2D, box_frame, image_frame
from actionpose.keypoints import Keypoints
from actionpose.labels import Labels
from actionpose.model import PoseEncoder
from actionpose.result import Result
from actionpose.skeletons import H36M17

Array = NDArray[np.floating]

AVERAGE_ADULT_M = 1.70  # where the height is not given
# Stature over the length of the chain ankle, knee, hip, pelvis, spine, thorax, head top: the
# ankle's height is 3.9 % of the stature (Drillis and Contini 1966).
STATURE_PER_CHAIN = 1 / (1 - 0.039)
_BATCH = 8  # windows at a time; more leave the cache of a CPU
_SAME_RATE = 0.1  # keypoints whose rate is this near to the model's are taken as they are
_MIRROR = torch.tensor([-1.0, 1.0, 1.0])


def chain_length(pose: Array) -> float:
    """Length from the ankles to the top of the head along the bones, in the pose's unit.

    Args:
        pose: (T, 17, 3). A bone has the median of its lengths over time; legs are averaged.
    """

    def bone(a: str, b: str) -> float:
        ends = pose[:, H36M17.indices(a, b)]
        return float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=-1)))

    trunk = bone("pelvis", "spine") + bone("spine", "thorax") + bone("thorax", "head")
    legs = [bone(f"{s}_hip", f"{s}_knee") + bone(f"{s}_knee", f"{s}_ankle") for s in SIDES]
    return trunk + sum(legs) / 2


SIDES = ("left", "right")


@torch.inference_mode()
def predict(encoder: PoseEncoder, keypoints: torch.Tensor) -> torch.Tensor:
    """Root-relative poses of normalised clips, averaged over the clip and its mirror image.

    Args:
        keypoints: (N, T, 17, 3) on the encoder's device.

    Returns:
        (N, T, 17, 3) in the same units; the pelvis is at the origin.
    """
    sign = _MIRROR.to(keypoints)
    both = torch.cat([keypoints, keypoints[:, :, H36M17.mirror] * sign])
    pose, mirrored = encoder(both).pose.float().chunk(2)
    pose = (pose + mirrored[:, :, H36M17.mirror] * sign) / 2
    return pose - pose[:, :, :1]


class ActionPose:
    """A trained model, ready to lift.

    Args:
        encoder: in eval mode.
        meta: of its checkpoint: `frames`, `normalization`, `rate_hz`, and `other_threshold` if it
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
        self.rate_hz: float = meta["rate_hz"]
        self.checkpoint = {"name": name, "sha256": weights_sha256}
        self.labels = labels or Labels(None)
        self.other_threshold: float = meta.get("other_threshold", DEFAULT_THRESHOLD)

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
        folder = checkpoint.find(name)
        encoder, meta = checkpoint.load_encoder(folder)
        if missing := {"frames", "normalization", "rate_hz"} - meta.keys():
            raise UserError(f"{folder / checkpoint.META} lacks {', '.join(sorted(missing))}")
        digest = checkpoint.sha256(folder)
        labels = Labels(folder)
        return cls(
            encoder, meta, name=str(name), weights_sha256=digest, device=device, labels=labels
        )

    def lift(
        self,
        source: Keypoints | str | os.PathLike[str],
        *,
        persons: str | int = "all",
        height_m: float | None = None,
        progress: Callable[[int], object] = lambda frames: None,
    ) -> Result:
        """Lift every person of a keypoint file to 3D.

        Args:
            source: keypoints of any known layout, or a file that `Keypoints.read` takes.
            persons: "all", or how many: those who are seen largest and longest.
            height_m: the stature of the people; without it they have that of an average adult.
            progress: called with the number of frames done since the last call.

        Returns:
            Metres, x right, y down, z away from the camera, the pelvis at the origin of every
            frame. Frames in which a person was not detected are filled from their neighbours
            where a window reaches them, and stay marked in `valid`.

        Raises:
            UserError: see `Keypoints.read`; or a height that no person has, or an image size that
                is needed and not known.
        """
        if height_m is not None and not 0.3 <= height_m <= 2.8:
            raise UserError(f"height {height_m:g} m is not a person's: give metres, such as 1.75")
        keypoints = source if isinstance(source, Keypoints) else Keypoints.read(source)
        chosen = _choose(keypoints, persons)
        mapped = keypoints.to_skeleton(H36M17)
        times = np.arange(keypoints.num_frames) / keypoints.rate_hz
        poses, tracks = [], []
        for person in chosen:
            points, valid = mapped.keypoints_px[person], mapped.valid[person]
            tracks.append(points)
            poses.append(self._lift_track(points, valid, times, mapped.image_size, progress))
        stature_m = height_m or AVERAGE_ADULT_M
        header = self._header(keypoints, height_m)
        embeddings = None
        if self.knows_actions:
            embeddings, spans_s = self.embed_windows(replace_persons(mapped, chosen))
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
        return self.encoder.class_token and bool(self.labels.names or self.labels.has_text)

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, E) of texts, in the space of `embed_motion`.

        Raises:
            UserError: see `labels.Labels.embed`.
        """
        return self.labels.embed(texts)

    def embed_motion(self, source: Keypoints | str | os.PathLike[str]) -> NDArray[np.float32]:
        """One unit vector per person (P, E): the mean of the windows in which they are seen.

        Raises:
            UserError: as `embed_windows`.
        """
        keypoints = source if isinstance(source, Keypoints) else Keypoints.read(source)
        embeddings, _ = self.embed_windows(keypoints)
        mean = embeddings.sum(axis=1)
        return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)

    def embed_windows(
        self, keypoints: Keypoints, progress: Callable[[int], object] = lambda windows: None
    ) -> tuple[NDArray[np.float32], Array]:
        """Unit vectors of the windows of `actions.window_spans`, which it needs no lifting for.

        Args:
            progress: called with the number of windows done since the last call.

        Returns:
            (P, W, E), zeros where a person is not there, and (W, 2) begin and end in seconds.

        Raises:
            UserError: this model has no embedding of motions, or see `Keypoints.to_skeleton`.
        """
        if not self.encoder.class_token:
            raise UserError(self._no_token())
        mapped = keypoints.to_skeleton(H36M17)
        times = np.arange(mapped.num_frames) / mapped.rate_hz
        grid, same = times, abs(mapped.rate_hz / self.rate_hz - 1) <= _SAME_RATE
        if not same and len(times) > 1:
            grid = np.arange(0, times[-1] + 0.5 / self.rate_hz, 1 / self.rate_hz)
        spans = window_spans(len(grid), self.frames)
        tracks = []
        for points, valid in zip(mapped.keypoints_px, mapped.valid, strict=True):
            if grid is not times:
                points, valid = _resample_keypoints(points, valid, times, grid)
            tracks.append(self._embed_track(points, valid, spans, mapped.image_size, progress))
        rate_hz = mapped.rate_hz if grid is times else self.rate_hz
        return np.stack(tracks), spans / rate_hz

    def _embed_track(
        self,
        points: Array,
        valid: NDArray[np.bool_],
        spans: NDArray[np.int64],
        image_size: tuple[int, int] | None,
        progress: Callable[[int], object],
    ) -> NDArray[np.float32]:
        """(W, E) of one person; windows of one length go together."""
        seen = seen_windows(spans, valid)
        width = self.encoder.pooling.fc.out_features
        result = np.zeros((len(spans), width), dtype=np.float32)
        lengths = spans[:, 1] - spans[:, 0]
        for length in np.unique(lengths):
            rows = np.flatnonzero((lengths == length) & seen)
            for first in range(0, len(rows), _BATCH):
                part = rows[first : first + _BATCH]
                windows = [points[spans[row, 0] : spans[row, 1]] for row in part]
                clips = [self._frame(window, image_size).normalize(window) for window in windows]
                result[part] = self.embed_clips(np.stack(clips))
                progress(len(part))
        return result

    @torch.inference_mode()
    def embed_clips(self, clips: Array) -> NDArray[np.float32]:
        """Unit vectors (N, E) of normalised clips (N, T, 17, 3), as `clips.make_clip` gives them.

        Raises:
            UserError: this model has no embedding of motions.
        """
        embedding = self.encoder(torch.from_numpy(clips).float().to(self.device)).embedding
        if embedding is None:
            raise UserError(self._no_token())
        return torch.nn.functional.normalize(embedding.float(), dim=-1).cpu().numpy()

    def _no_token(self) -> str:
        return (
            f"the checkpoint {self.checkpoint['name']} cannot name actions: it has no <POSE> "
            "token; choose one that was pretrained with text"
        )

    def actions(
        self,
        source: Result | Keypoints | str | os.PathLike[str],
        labels: Iterable[str],
        *,
        threshold: float | None = None,
        switch_cost: float = SWITCH_COST,
        min_length_s: float = MIN_LENGTH_S,
        progress: Callable[[int], object] = lambda windows: None,
    ) -> list[Action]:
        """What each person does when, in the words of `labels` or "other".

        Args:
            source: a result, whose embeddings are used if they are this model's, keypoints, or a
                file of either.
            labels: any number; each counts once.
            threshold: cosine that a label has to reach; else the checkpoint's calibrated one, or
                `actions.DEFAULT_THRESHOLD`. -1 leaves "other" out.
            switch_cost: of a change of label, in cosine times seconds; more means fewer changes.
            min_length_s: of a segment.

        Returns:
            In the order of persons and time; no two of a person overlap, and there is none where
            the person is not seen.

        Raises:
            UserError: no label, one that cannot be embedded, or a model without text.
        """
        names = clean_labels(labels)
        label_embeddings = self.embed_text(names)
        offset_s = 0.0
        if isinstance(source, Result):
            embeddings, spans_s = self.windows_of(source, progress)
            offset_s = float(source.time_s[0]) if len(source.time_s) else 0.0
        else:
            keypoints = source if isinstance(source, Keypoints) else Keypoints.read(source)
            embeddings, spans_s = self.embed_windows(keypoints, progress)
        return [
            action
            for person, track in enumerate(embeddings)
            for action in timeline(
                track,
                spans_s + offset_s,
                label_embeddings,
                names,
                person=person,
                threshold=self.other_threshold if threshold is None else threshold,
                switch_cost=switch_cost,
                min_length_s=min_length_s,
            )
        ]

    def windows_of(
        self, result: Result, progress: Callable[[int], object] = lambda windows: None
    ) -> tuple[NDArray[np.float32], Array]:
        """As `embed_windows`, from a result: what it carries or, if another model made it, anew."""
        spans_s = result.header.get("embedding_windows_s")
        made_by = result.header.get("checkpoint") or {}
        same = made_by.get("sha256") == self.checkpoint["sha256"]
        if result.embeddings is not None and spans_s and same:
            return result.embeddings, np.array(spans_s)
        return self.embed_windows(keypoints_of(result), progress)

    def _header(self, keypoints: Keypoints, height_m: float | None) -> dict[str, Any]:
        average = f"average adult, {AVERAGE_ADULT_M:.2f} m"
        return {
            "units": "metres",
            "axes": "x right, y down, z away from the camera",
            "root": "pelvis at the origin of every frame",
            "skeleton": H36M17.name,
            "scale_source": average if height_m is None else f"height given, {height_m:.2f} m",
            "rate_hz": keypoints.rate_hz,
            "rate_source": keypoints.rate_source,
            "first_frame": keypoints.first_frame,
            "image_size": keypoints.image_size,
            "detector": keypoints.detector,
            "source": keypoints.source,
            "input_skeleton": keypoints.skeleton.name,
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
        rate_hz = 1 / (times[1] - times[0]) if len(times) > 1 else self.rate_hz
        if abs(rate_hz / self.rate_hz - 1) <= _SAME_RATE:
            return self._lift_windows(points, valid, image_size, progress)
        grid = np.arange(0, times[-1] + 0.5 / self.rate_hz, 1 / self.rate_hz)
        points, valid = _resample_keypoints(points, valid, times, grid)
        share = len(times) / len(grid)
        pose = self._lift_windows(points, valid, image_size, lambda n: progress(round(n * share)))
        return _interpolate(pose, grid, times)

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
                frames are seen at once, normalised clip by clip, as the model was trained;
                longer clips are seen through overlapping windows that are blended.
            image_size: needed by models that normalise by the image.

        Returns:
            (N, T, 17, 3), root-relative; multiply by metres per unit at the person's depth.
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
        normalised = np.stack([frame.normalize(window) for frame, window in pairs])
        pose = predict(self.encoder, torch.from_numpy(normalised).to(self.device))
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


def replace_persons(keypoints: Keypoints, rows: list[int]) -> Keypoints:
    """The keypoints of some of the persons."""
    return replace(
        keypoints,
        keypoints_px=keypoints.keypoints_px[rows],
        valid=keypoints.valid[rows],
        track_id=keypoints.track_id[rows],
    )


def keypoints_of(result: Result) -> Keypoints:
    """The 2D keypoints that a result was lifted from."""
    header = result.header
    seen = (result.keypoints_px[..., 2:] > 0) & result.valid[..., None, None]
    span_s = float(result.time_s[-1] - result.time_s[0]) if len(result.time_s) > 1 else 0.0
    measured_hz = (len(result.time_s) - 1) / span_s if span_s > 0 else 30.0
    size = header.get("image_size")
    return Keypoints(
        keypoints_px=np.where(seen, result.keypoints_px, 0).astype(np.float32),
        valid=result.valid,
        track_id=result.track_id,
        rate_hz=header.get("rate_hz") or measured_hz,
        image_size=None if size is None else (int(size[0]), int(size[1])),
        skeleton=result.skeleton,
        detector=header.get("detector") or "",
        source=header.get("source") or "",
    )


def _choose(keypoints: Keypoints, persons: str | int) -> list[int]:
    """Rows of the persons to lift, in the order of the file."""
    everyone = list(range(keypoints.num_persons))
    if persons == "all":
        return everyone
    if not isinstance(persons, int) or persons < 1:
        raise UserError(f"persons is 'all' or a number from 1, not {persons!r}")
    points = keypoints.keypoints_px
    seen = points[..., 2] > 0
    extent = [
        np.ptp(points[p, t, seen[p, t], :2], axis=0).max() if seen[p, t].any() else 0.0
        for p in everyone
        for t in range(keypoints.num_frames)
    ]
    size = np.reshape(extent, (len(everyone), -1)).sum(axis=1)
    return sorted(np.argsort(-size, kind="stable")[:persons].tolist())


def _resample_keypoints(
    points: Array, valid: NDArray[np.bool_], times: Array, grid: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """Keypoints at other times. A joint is there if it is there on both sides of the time."""
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    seen = points[..., 2] > 0
    both = seen[after] & seen[after - 1]
    resampled = _interpolate(points, times, grid) * both[..., None]
    return resampled.astype(np.float32), valid[after] & valid[after - 1] & both.any(axis=1)


def _interpolate(values: Array, times: Array, grid: Array) -> Array:
    """(T, ...) at `times` to (G, ...) at `grid`, linearly; the ends are held."""
    after = np.clip(np.searchsorted(times, grid), 1, len(times) - 1)
    share = (grid - times[after - 1]) / (times[after] - times[after - 1])
    share = np.clip(share, 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    return values[after - 1] * (1 - share) + values[after] * share
