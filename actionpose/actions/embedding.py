"""Motion embeddings as unit vectors in the shared space of motions and texts."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actionpose.keypoints.model_input import PreparedTrack, normalize_windows
from actionpose.utils.errors import UserError
from actionpose.utils.sliding_windows import sliding_windows, visible_windows
from actionpose.utils.typing import Array

_BATCH = 8  # windows per batch; larger batches do not fit the cache of a CPU


def embed_tracks(
    embed: Callable[[Tensor], Tensor],
    dim: int,
    tracks: Sequence[PreparedTrack],
    length: int,
    normalization: str,
    progress: Callable[[int], object] = lambda windows: None,
) -> tuple[NDArray[np.float32], Array]:
    """Embed overlapping windows of P people.

    Args:
        embed: Function from normalized clips to unit vectors (N, E), such as `Engine.embeddings`.
        dim: Embedding dimension E. 0, for a model without motion embedding, is an error.
        length: Length of the windows in frames.
        normalization: See `normalize_windows`.
        progress: Function that is called with the number of windows embedded since the last call.

    Returns:
        (P, W, E) unit vectors, zero where a person is not visible, and (W, 2) start and stop times
        of the windows in seconds.

    Raises:
        UserError: If the model has no motion embedding; see also `normalize_windows`.
    """
    spans = sliding_windows(len(tracks[0].points), length)
    if not dim:
        raise UserError(
            "the model cannot name actions: it has no <POSE> token; choose one that was pretrained "
            "with text"
        )
    embeddings = np.zeros((len(tracks), len(spans), dim), dtype=np.float32)
    for rows, track in zip(embeddings, tracks, strict=True):
        points = track.detected_points
        visible = np.flatnonzero(visible_windows(spans, track.detected))
        for first in range(0, len(visible), _BATCH):
            part = visible[first : first + _BATCH]
            windows = [points[start:stop] for start, stop in spans[part]]
            clips, _ = normalize_windows(windows, normalization, track.image_size)
            rows[part] = embed(torch.from_numpy(clips)).cpu().numpy()
            progress(len(part))
    grid_s = tracks[0].grid_s
    return embeddings, np.append(grid_s, grid_s[-1] + 1 / tracks[0].fps)[spans]
