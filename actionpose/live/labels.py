"""Live action labels: labels of the last window, computed in a separate thread."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from actionpose.actions.timeline import OTHER, UNKNOWN, clean_labels, timeline
from actionpose.inference.engines import MANY_FRAMES
from actionpose.inference.predictor import ActionPose
from actionpose.keypoints.model_input import normalize_windows
from actionpose.live.frames import LiveFrame
from actionpose.live.lifter import LiveLifter
from actionpose.utils.typing import Array

INTERVAL_S = 1.0


class LiveLabels:
    """The label of each person, updated at most once per `INTERVAL_S`.

    Args:
        model: Model with text embedding.
        labels: See `ActionPose.actions`. None for the default labels.

    Raises:
        UserError: See `ActionPose.actions`.
    """

    def __init__(self, model: ActionPose, labels: Sequence[str] | None):
        self._rejected = UNKNOWN if labels is None else OTHER
        self.names = clean_labels(model.default_labels() if labels is None else labels)
        self._rows = model.labels.embed(self.names)
        self._model = model
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="label")
        self._asked_s = -np.inf
        self._found: Future[list[dict[str, Any]]] | None = None
        self.now: list[dict[str, Any]] = []  # id, label and score of each person

    def update(self, lifter: LiveLifter, due: list[LiveFrame]) -> None:
        """Read the labels if they are computed, and request new ones if the interval has passed."""
        time_s = due[-1].time_s
        if self._found is not None and self._found.done():
            self.now, self._found = self._found.result(), None
        if self._found is None and time_s - self._asked_s >= INTERVAL_S:
            self._asked_s = time_s
            windows = lifter.window(self._model.timeline_frames)
            self._found = self._thread.submit(self._label, windows, lifter.image_size)

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(cancel_futures=True)

    def _label(
        self, windows: dict[int, Array], image_size: tuple[int, int] | None
    ) -> list[dict[str, Any]]:
        found = []
        embed = self._model.engine(MANY_FRAMES).embeddings
        for number, window in windows.items():
            clips, _ = normalize_windows(window[None], self._model.normalization, image_size)
            actions = timeline(
                embed(torch.from_numpy(clips)).cpu().numpy(),
                np.array([[0, len(window) / self._model.fps]]),
                self._rows,
                self.names,
                threshold=self._model.rejection_threshold,
                rejected=self._rejected,
                weights=self._model.confidence_weights,
            )
            found += [{"id": number, "label": each.label, "score": each.score} for each in actions]
        return found
