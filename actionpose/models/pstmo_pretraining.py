"""The masked pretraining of P-STMO, and the refinement of its poses in published tables.

The parameter names are those of `Model_MAE` and `refine`, so that official weights load by name.
Letters in shapes: B clips, T frames, J joints, D channels.
"""

import torch
from torch import Tensor, nn

from actionpose.models.blocks import StdNorm
from actionpose.models.pstmo import FrameEncoder, FrameTransformer


class PSTMOPretraining(nn.Module):
    """The masked pretraining of `PSTMO`: reconstruct 2D from visible frames and joints.

    `encoder` and `Transformer` are those of `PSTMO`, which is initialized from them by name.
    The arguments are those of `PSTMO`.
    """

    def __init__(
        self,
        *,
        dim: int = 256,
        depth: int = 3,
        mlp_ratio: float = 2,
        max_frames: int = 243,
        num_joints: int = 17,
        dropout: float = 0.1,
    ):
        super().__init__()
        half, hidden = dim // 2, round(mlp_ratio * dim)
        self.num_joints = num_joints
        self.dec_pos_embedding = nn.Parameter(torch.randn(1, max_frames, half))
        self.mask_token = nn.Parameter(torch.randn(1, 1, half))
        self.spatial_mask_token = nn.Parameter(torch.randn(1, 1, 2))
        self.encoder = FrameEncoder(2 * num_joints, dim, dropout)
        self.Transformer = FrameTransformer(dim, depth, hidden, max_frames, dropout)
        self.Transformer_dec = FrameTransformer(half, depth - 1, hidden // 2, 0, dropout)
        self.encoder_to_decoder = nn.Linear(dim, half, bias=False)
        self.encoder_LN = StdNorm(dim)
        self.fcn_dec = nn.Sequential(nn.BatchNorm1d(half), nn.Conv1d(half, 2 * num_joints, 1))

    def forward(self, keypoints: Tensor, hidden_frames: Tensor, hidden_joints: Tensor) -> Tensor:
        """Reconstruct the keypoints (B, T, J, 2), first visible frames, then hidden frames.

        Args:
            keypoints: (B, T, J, 2) Keypoints.
            hidden_frames: (T,) bool, True for hidden frames.
            hidden_joints: (T, J) bool, True for hidden joints.
        """
        shown = torch.where(hidden_joints[..., None], self.spatial_mask_token, keypoints)
        x = self.encoder(shown.flatten(2).mT).mT + self.Transformer.pos_embedding
        x = x[:, ~hidden_frames]
        for layer in self.Transformer.model.layers:
            x = layer(x)
        x = self.encoder_to_decoder(self.encoder_LN(x))
        visible, hidden = (self.dec_pos_embedding[:, m] for m in (~hidden_frames, hidden_frames))
        masked = (self.mask_token + hidden).expand(len(x), -1, -1)
        x = torch.cat([x + visible, masked], dim=1)
        for layer in self.Transformer_dec.model.layers:
            x = layer(x)
        return self.fcn_dec(x.mT).mT.unflatten(-1, (self.num_joints, 2))

    def loss(self, keypoints: Tensor, hidden_frames: Tensor, hidden_joints: Tensor) -> Tensor:
        """Mean distance of the reconstructed keypoints of hidden frames and hidden joints."""
        order = torch.cat([(~hidden_frames).nonzero()[:, 0], hidden_frames.nonzero()[:, 0]])
        restored = self(keypoints, hidden_frames, hidden_joints)
        hidden = (hidden_joints | hidden_frames[:, None])[order]
        return (restored - keypoints[:, order]).norm(dim=-1)[:, hidden].mean()


class PSTMORefinement(nn.Module):
    """Combine x and y of two poses per frame: of the network, and of its depth on the 2D rays.

    The second pose requires the true root and camera, so that the refinement only serves to
    reproduce published tables.
    """

    def __init__(self, num_joints: int = 17, hidden: int = 1024):
        super().__init__()
        self.post_refine = nn.Sequential(
            *(nn.Linear(6 * num_joints, hidden), nn.ReLU(), nn.Dropout(0.5)),
            *(nn.Linear(hidden, 2 * num_joints), nn.Sigmoid()),
        )

    def forward(self, pose: Tensor, projected: Tensor) -> Tensor:
        """Combine two poses (B, T, J, 3)."""
        score = self.post_refine(torch.cat([pose, projected], dim=-1).flatten(2))
        score = score.unflatten(-1, (-1, 2))
        mixed = score * pose[..., :2] + (1 - score) * projected[..., :2]
        return torch.cat([mixed, pose[..., 2:]], dim=-1)
