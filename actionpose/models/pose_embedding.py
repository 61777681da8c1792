"""Layers before and after those in which <POSE> attends to a motion.

Letters in shapes: B clips, T frames, J joints, D channels, E embedding dimension.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.dstformer_block import NORM_EPS


class PosePooling(nn.Module):
    """Pooling of the features of the <POSE> token to one motion embedding (Figure 6a).

    The weighted sum over joints uses the same layer for all joints. For a directional embedding, a
    linear layer over all joints is added, which has separate weights for left and right joints.
    """

    def __init__(
        self,
        dim: int,
        num_joints: int,
        embedding_dim: int,
        dropout: float,
        directional: bool = False,
    ):
        super().__init__()
        self.norm_in = nn.LayerNorm(dim, eps=NORM_EPS)  # the backbone does not normalize
        self.fc = nn.Linear(dim, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.joint_weight = nn.Linear(num_joints, 1)
        self.linear = nn.Linear(num_joints * dim, embedding_dim) if directional else None

    def forward(self, token: Tensor) -> Tensor:  # (B, J, D)
        token = self.norm_in(token)
        x = self.dropout(self.norm(F.gelu(self.fc(token))))  # (B, J, E)
        pooled: Tensor = self.joint_weight(x.transpose(1, 2)).squeeze(-1)  # (B, E)
        if self.linear is not None:
            pooled = pooled + self.dropout(self.linear(token.flatten(1)))
        return pooled


class FrameVelocity(nn.Module):
    """Add a linear layer of the difference to the previous frame to the tokens of each frame.

    Attention is invariant to the order of frames, except for the temporal embedding, of which
    little is left in the middle layer. The velocity distinguishes a turn to the left from one to
    the right.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.init_weights()

    def init_weights(self) -> None:
        """Initialize with a rotation, which preserves the norm of the velocity."""
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Add the velocity to tokens (B, T, J, D); the first frame is not changed."""
        velocity = self.linear(frames[:, 1:] - frames[:, :-1])
        return frames + F.pad(velocity, (0, 0, 0, 0, 1, 0))
