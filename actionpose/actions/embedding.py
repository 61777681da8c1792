"""Embeddings of motions, as unit vectors in the space that motions and texts share."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose.keypoints.model_input import PreparedTrack, normalize_windows
from actionpose.models import Encoder
from actionpose.utils.errors import UserError
from actionpose.utils.sliding_windows import sliding_windows, visible_windows
from actionpose.utils.typing import Array

_BATCH = 8  # windows at a time; more leave the cache of a CPU
_NO_TOKEN = (
    "the model cannot name actions: it has no <POSE> token; choose one that was pretrained with "
    "text"
)


@torch.inference_mode()
def embed_clips(encoder: Encoder, clips: Array) -> NDArray[np.float32]:
    """Unit vectors (N, E) of normalized clips (N, T, 17, 3), of `perspective_clip`.

    Raises:
        UserError: the encoder has no embedding of motions.
    """
    device = next(encoder.parameters()).device
    embedding = encoder.embed_motion(torch.from_numpy(clips).float().to(device))
    if embedding is None:
        raise UserError(_NO_TOKEN)
    return torch.nn.functional.normalize(embedding.float(), dim=-1).cpu().numpy()


def embed_tracks(
    encoder: Encoder,
    tracks: Sequence[PreparedTrack],
    length: int,
    normalization: str,
    progress: Callable[[int], object] = lambda windows: None,
) -> tuple[NDArray[np.float32], Array]:
    """Unit vectors of overlapping windows of P persons.

    Args:
        length: frames of a window.
        normalization: see `normalize_windows`.
        progress: called with the number of windows done since the last call.

    Returns:
        (P, W, E), zeros where a person is not visible, and (W, 2) start and stop in seconds,
        on the clock of the input.

    Raises:
        UserError: see `embed_clips` and `normalize_windows`.
    """
    spans = sliding_windows(len(tracks[0].points), length)
    if not encoder.class_token:
        raise UserError(_NO_TOKEN)
    width = encoder.pooling.fc.out_features
    embeddings = np.zeros((len(tracks), len(spans), width), dtype=np.float32)
    for rows, track in zip(embeddings, tracks, strict=True):
        points = track.detected_points
        visible = np.flatnonzero(visible_windows(spans, track.detected))
        for first in range(0, len(visible), _BATCH):
            part = visible[first : first + _BATCH]
            windows = [points[start:stop] for start, stop in spans[part]]
            clips, _ = normalize_windows(windows, normalization, track.image_size)
            rows[part] = embed_clips(encoder, clips)
            progress(len(part))
    return embeddings, tracks[0].grid_s[0] + spans / tracks[0].fps
