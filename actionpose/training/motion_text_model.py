"""The pose encoder and, beside it, the text encoder with the vocabulary it reads.

Letters in shapes: B clips, T frames, J joints, K negatives, E embedding.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.dstformer import PoseEncoder
from actionpose.models.text_encoder import TextEncoder


class Output(NamedTuple):
    """What both sides say of a batch."""

    pose: Tensor  # (B, T, J, 3)
    motion: Tensor | None  # (B, E) unit vectors; None without a text side
    text: Tensor | None  # (B, K + 1, E) unit vectors, of each clip's candidates


class MotionText(nn.Module):
    """The pose encoder, and beside it the text encoder with the vocabulary it reads.

    Args:
        labels: the vocabulary, whose rows a batch's `candidates` are. Each that occurs in a batch
            is encoded once.
    """

    def __init__(self, pose: PoseEncoder, text: TextEncoder | None, labels: list[str]):
        super().__init__()
        self.pose = pose
        self.text = text
        self.labels = labels
        self.num_cut = 0
        self._features: Tensor | None = None
        if text is not None:
            self._token_ids, self._token_valid, self.num_cut = text.tokenize(labels)

    def freeze_text(self) -> None:
        """Keep BERT as it is; its features of the vocabulary are then computed once, here."""
        assert self.text is not None
        self.text.freeze()
        self.text.eval()
        with torch.no_grad():
            parts = [
                self.text.features(self._token_ids[i : i + 256], self._token_valid[i : i + 256])
                for i in range(0, len(self.labels), 256)
            ]
        self._features = torch.cat(parts)

    def encode(self, rows: Tensor) -> Tensor:
        """Unit vectors (..., E) of rows of the vocabulary."""
        assert self.text is not None
        distinct, where = torch.unique(rows, return_inverse=True)
        at = distinct.cpu()
        if self._features is not None:
            encoded = self.text.project(self._features[at].to(rows.device))
        else:
            valid = self._token_valid[at]
            longest = int(valid.sum(dim=1).max())
            ids, valid = self._token_ids[at, :longest], valid[:, :longest]
            encoded = self.text(ids.to(rows.device), valid.to(rows.device))
        return F.normalize(encoded.float(), dim=-1)[where]

    def forward(self, keypoints: Tensor, valid: Tensor | None, candidates: Tensor) -> Output:
        pose, embedding = self.pose(keypoints, valid, embed=self.text is not None)
        if self.text is None or embedding is None:
            return Output(pose, None, None)
        return Output(pose, F.normalize(embedding.float(), dim=-1), self.encode(candidates))
