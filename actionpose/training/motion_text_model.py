"""Pretraining model: the pose encoder, and the text encoder with its vocabulary.

Letters in shapes: B clips, T frames, J joints, K negatives, E embedding dimension.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models import Encoder
from actionpose.models.text_encoder import TextEncoder

_BATCH = 256  # number of labels per batch in the computation of features


class MotionTextOutput(NamedTuple):
    """The outputs of both encoders for a batch."""

    pose: Tensor | None  # (B, T, J, 3); None if lifting is disabled
    motion: Tensor | None  # (B, E) unit vectors; None without a text encoder
    text: Tensor | None  # (B, K + 1, E) unit vectors of the candidates of each clip


class MotionTextModel(nn.Module):
    """The pose encoder and the text encoder, which encodes labels of a vocabulary.

    Args:
        pose: Pose encoder.
        text: Text encoder, or None to train without text.
        labels: Vocabulary; `candidates` of a batch are its indices. Each label of a batch is
            encoded once.
        lift: Whether to compute the poses, which the embedding does not require.
    """

    def __init__(
        self, pose: Encoder, text: TextEncoder | None, labels: list[str], *, lift: bool = True
    ):
        super().__init__()
        self.pose = pose
        self.lift = lift
        self.text = text
        self.labels = labels
        self.num_truncated = 0
        self._features: Tensor | None = None
        if text is not None:
            self._token_ids, self._token_valid, self.num_truncated = text.tokenize(labels)

    @torch.no_grad()
    def freeze_text(self) -> None:
        """Exclude BERT from training, and compute its features of the vocabulary once."""
        assert self.text is not None
        self.text.freeze()
        self.text.eval()
        device = self.text.fc.weight.device
        tokens = zip(
            torch.split(self._token_ids, _BATCH),
            torch.split(self._token_valid, _BATCH),
            strict=True,
        )
        self._features = torch.cat(
            [self.text.features(ids.to(device), valid.to(device)) for ids, valid in tokens]
        )

    def encode(self, rows: Tensor) -> Tensor:
        """Encode indices of the vocabulary as unit vectors (..., E)."""
        assert self.text is not None
        distinct, inverse = torch.unique(rows, return_inverse=True)
        if self._features is not None:
            encoded = self.text.project(self._features[distinct])
        else:
            at = distinct.cpu()
            valid = self._token_valid[at]
            longest = int(valid.sum(dim=1).max())
            ids, valid = self._token_ids[at, :longest], valid[:, :longest]
            encoded = self.text(ids.to(rows.device), valid.to(rows.device))
        return F.normalize(encoded.float(), dim=-1)[inverse]

    def forward(
        self, keypoints: Tensor, valid: Tensor | None, candidates: Tensor
    ) -> MotionTextOutput:
        """Lift and embed clips, and embed their candidate labels.

        Args:
            keypoints: (B, T, J, 3) Keypoints, as for `PoseEncoder`.
            valid: (B, T) bool, False for padding.
            candidates: (B, K + 1) Indices of labels in the vocabulary.
        """
        if self.lift:
            pose, embedding, _ = self.pose(keypoints, valid, embed=self.text is not None)
        else:
            pose, embedding = None, self.pose.embed_subsampled(keypoints, valid)
        if self.text is None or embedding is None:
            return MotionTextOutput(pose, None, None)
        motion = F.normalize(embedding.float(), dim=-1)
        return MotionTextOutput(pose, motion, self.encode(candidates))
