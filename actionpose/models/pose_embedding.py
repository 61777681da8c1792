"""The layers before and after those in which <POSE> reads a motion.

Letters in shapes: B clips, T frames, J joints, D channels, E embedding.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.dstformer_block import NORM_EPS


class PosePooling(nn.Module):
    """The <POSE> token's features to one global embedding (Figure 6a).

    Its sum over joints does the same to each of them. For a directional embedding, a linear layer
    over all joints is added, in which the left hand has weights of its own.
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
    """Adds to the tokens of each frame a linear layer of their change since the frame before.

    Attention compares frames without regard to their order but for the temporal embedding, of which
    little is left in the middle layer. The velocity tells a turn to the left from one to the right.
    """

    def __init__(self, dim: int):
        super().__init__()
        self.linear = nn.Linear(dim, dim)
        self.init_weights()

    def init_weights(self) -> None:
        """A rotation, which keeps the size of the velocity."""
        nn.init.orthogonal_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """Tokens (B, T, J, D); the first frame stays as it is."""
        velocity = self.linear(frames[:, 1:] - frames[:, :-1])
        return frames + F.pad(velocity, (0, 0, 0, 0, 1, 0))
