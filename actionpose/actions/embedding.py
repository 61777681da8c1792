"""The space that motions and texts share: embeddings of windows, of motions, and timelines.

Letters in shapes: P persons, T frames, W windows, E embedding.
"""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose.actions.label_bank import Labels, unit
from actionpose.actions.timeline import (
    DEFAULT_THRESHOLD,
    MIN_LENGTH_S,
    TRANSITION_PENALTY,
    Action,
    clean_labels,
    seen_windows,
    timeline,
    window_spans,
)
from actionpose.geometry.camera import Frame2D
from actionpose.keypoints.core import Keypoints
from actionpose.models.dstformer import PoseEncoder
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.resampling import resample_keypoints, same_rate

Array = NDArray[np.floating]
Progress = Callable[[int], object]

_BATCH = 8  # windows at a time; more leave the cache of a CPU


class ActionSpace:
    """An encoder and the labels that its embeddings are compared with.

    Args:
        encoder: in eval mode, on its device.
        meta: of its checkpoint: `frames`, `fps`, and `rejection_threshold` if it was calibrated.
            Timelines look through windows of that length, or a third of it if the `config` says
            that shorter ones were trained with.
        frame_of: how a window (T, 17, 3) is normalized, given the image's size.
        checkpoint: name and hash of the weights.
    """

    def __init__(
        self,
        encoder: PoseEncoder,
        labels: Labels,
        meta: dict[str, Any],
        *,
        frame_of: Callable[[Array, tuple[int, int] | None], Frame2D],
        checkpoint: dict[str, str],
    ):
        self.encoder = encoder
        self.labels = labels
        self.frames: int = meta["frames"]
        self.fps: float = meta["fps"]
        short = meta.get("config", {}).get("data", {}).get("short_windows", 0)
        self.timeline_frames: int = max(1, self.frames // 3) if short else self.frames
        self.rejection_threshold: float = meta.get("rejection_threshold", DEFAULT_THRESHOLD)
        self.checkpoint = checkpoint
        self._frame_of = frame_of

    @property
    def knows_actions(self) -> bool:
        """Whether motions and texts have embeddings in one space."""
        return self.encoder.class_token and bool(self.labels.names or self.labels.has_text)

    def embed_motion(self, keypoints: Keypoints) -> NDArray[np.float32]:
        """One unit vector per person (P, E): the mean of the windows in which they are seen."""
        embeddings, _ = self.embed_windows(keypoints, length=self.frames)
        return unit(embeddings.sum(axis=1))

    def embed_windows(
        self,
        keypoints: Keypoints,
        progress: Callable[[int], object] = lambda windows: None,
        length: int | None = None,
    ) -> tuple[NDArray[np.float32], Array]:
        """Unit vectors of the windows of `actions.window_spans`, which it needs no lifting for.

        Args:
            progress: called with the number of windows done since the last call.
            length: of the windows, in frames of the model; by default those of timelines.

        Returns:
            (P, W, E), zeros where a person is not there, and (W, 2) begin and end in seconds.

        Raises:
            UserError: this model has no embedding of motions, or see `Keypoints.to_skeleton`.
        """
        if not self.encoder.class_token:
            raise UserError(self._no_token())
        mapped = keypoints.to_skeleton(H36M17)
        times = grid = mapped.times_s
        if not same_rate(times, self.fps):
            grid = np.arange(0, times[-1] + 0.5 / self.fps, 1 / self.fps)
        spans = window_spans(len(grid), length or self.timeline_frames)
        tracks = []
        for points, valid in zip(mapped.keypoints_px, mapped.valid, strict=True):
            if grid is not times:
                points, valid = resample_keypoints(points, valid, times, grid)
            tracks.append(self._embed_track(points, valid, spans, mapped.image_size, progress))
        fps = mapped.fps if grid is times else self.fps
        return np.stack(tracks), spans / fps

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
                clips = [self._frame_of(window, image_size).normalize(window) for window in windows]
                result[part] = self.embed_clips(np.stack(clips))
                progress(len(part))
        return result

    @torch.inference_mode()
    def embed_clips(self, clips: Array) -> NDArray[np.float32]:
        """Unit vectors (N, E) of normalized clips (N, T, 17, 3), as `clips.make_clip` gives them.

        Raises:
            UserError: this model has no embedding of motions.
        """
        device = next(self.encoder.parameters()).device
        embedding = self.encoder.embed_motion(torch.from_numpy(clips).float().to(device))
        if embedding is None:
            raise UserError(self._no_token())
        return torch.nn.functional.normalize(embedding.float(), dim=-1).cpu().numpy()

    def _no_token(self) -> str:
        return (
            f"the checkpoint {self.checkpoint['name']} cannot name actions: it has no <POSE> "
            "token; choose one that was pretrained with text"
        )

    def timelines(
        self,
        source: Result | Keypoints,
        labels: Iterable[str],
        *,
        threshold: float | None = None,
        transition_penalty: float = TRANSITION_PENALTY,
        min_length_s: float = MIN_LENGTH_S,
        progress: Progress = lambda windows: None,
    ) -> list[Action]:
        """What each person does when, in the words of `labels` or "other".

        Args:
            threshold: cosine that a label has to reach; else the checkpoint's calibrated one, or
                `actions.DEFAULT_THRESHOLD`. -1 leaves "other" out.
            transition_penalty: of a change of label, in cosine times seconds; more means fewer
                changes.
            min_length_s: of a segment.
            progress: called with the number of windows embedded since the last call.

        Raises:
            UserError: no label, one that cannot be embedded, or a model without text.
        """
        names = clean_labels(labels)
        label_embeddings = self.labels.embed(names)
        offset_s = 0.0
        if isinstance(source, Result):
            embeddings, spans_s = self.windows_of(source, progress)
            offset_s = float(source.time_s[0]) if len(source.time_s) else 0.0
        else:
            embeddings, spans_s = self.embed_windows(source, progress)
        return [
            action
            for person, track in enumerate(embeddings)
            for action in timeline(
                track,
                spans_s + offset_s,
                label_embeddings,
                names,
                person=person,
                threshold=self.rejection_threshold if threshold is None else threshold,
                transition_penalty=transition_penalty,
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
        fps=header.get("fps") or measured_hz,
        image_size=None if size is None else (int(size[0]), int(size[1])),
        skeleton=result.skeleton,
        detector=header.get("detector") or "",
        source=header.get("source") or "",
    )
