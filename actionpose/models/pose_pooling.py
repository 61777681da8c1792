"""The pooling of the <POSE> token to the embedding of a motion.

Letters in shapes: B clips, J joints, D channels, E embedding.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.dstformer_block import NORM_EPS


class PosePooling(nn.Module):
    """The <POSE> token's features to one global embedding (Figure 6a).

    Its sum over joints does the same to each of them. With `linear_pooling`, a linear layer over
    all joints is added, in which the left hand has weights of its own.
    """

    def __init__(
        self,
        dim: int,
        num_joints: int,
        embedding_dim: int,
        dropout: float,
        linear_pooling: bool = False,
    ):
        super().__init__()
        self.norm_in = nn.LayerNorm(dim, eps=NORM_EPS)  # the backbone does not normalize
        self.fc = nn.Linear(dim, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim, eps=NORM_EPS)
        self.dropout = nn.Dropout(dropout)
        self.joint_weight = nn.Linear(num_joints, 1)
        self.linear = nn.Linear(num_joints * dim, embedding_dim) if linear_pooling else None

    def forward(self, token: Tensor) -> Tensor:  # (B, J, D)
        token = self.norm_in(token)
        x = self.dropout(self.norm(F.gelu(self.fc(token))))  # (B, J, E)
        pooled: Tensor = self.joint_weight(x.transpose(1, 2)).squeeze(-1)  # (B, E)
        if self.linear is not None:
            pooled = pooled + self.dropout(self.linear(token.flatten(1)))
        return pooled
