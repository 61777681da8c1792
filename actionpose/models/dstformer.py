"""The pose encoder: MotionBERT's DSTformer with a <POSE> token, its pooling, and the 3D head.

The encoder has five pairs of transformer blocks. One block of a pair attends over the joints of a
frame and then over the frames of a joint; the other uses the reverse order. A learned weight per
token combines both. The parameter names are those of MotionBERT's DSTformer, so that its weights
load by name. Without class token and bone features, the encoder computes the same function.

The <POSE> token of the paper passes through all pairs with the frames. With `embedding_depth` above
0, the embedding has a separate branch: additional pairs, in which the token attends to the frames
of the middle layer, while the backbone does not contain the token. Lifting is then also that of
MotionBERT.

Letters in shapes: B clips, T frames, J joints, D channels, H heads, R representation channels, E
embedding dimension.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from actionpose.models.backbone import Backbone
from actionpose.models.blocks import autocast_disabled
from actionpose.models.bone_features import bone_features
from actionpose.models.dstformer_block import NORM_EPS, Block
from actionpose.models.heads import BODY, NUM_FEET, Heads
from actionpose.models.ops.fused_block import simd_width
from actionpose.models.pose_embedding import FrameVelocity, PosePooling
from actionpose.utils.errors import UserError

PAIR = ("blocks_st", "blocks_ts", "ts_attn")  # module lists of the parts of a pair


class PoseOutput(NamedTuple):
    """The outputs of the encoder."""

    pose: Tensor  # (B, T, J, 3) x, y, z in the units of the input's x and y
    embedding: Tensor | None  # (B, E) motion embedding, not normalized; None if not computed
    log_error: Tensor | None = None  # (B, T, J) of `heads.ErrorHead`; None without heads


class PoseEncoder(Backbone):
    """Encoder of 2D keypoint sequences that predicts 3D poses and a motion embedding.

    Args:
        dim: Number of channels per token (D).
        depth: Number of block pairs.
        num_heads: Number of attention heads, a divisor of `dim`.
        mlp_ratio: Ratio of the hidden size of the MLPs to `dim`.
        dim_rep: Number of channels of the motion representation before the 3D head (R).
        max_frames: Maximum number of frames per clip, the length of the temporal embedding.
        num_joints: Number of joints (J).
        bone_features: Whether to add bone vectors to the input (`bone_features`); for 17 joints.
        heads: Whether to add heads that lift the joints of the feet, if clips have those of
            H36M17_FEET, and return error bars (`models.heads`); for 17 joints.
        class_token: Whether to prepend the learned <POSE> token and return its embedding.
        middle_layer: Pair after which the embedding is taken (l1 in the paper), counted from 1.
        embedding_depth: Number of additional pairs for the embedding above the middle layer; 0 in
            the paper.
        embedding_dim: Dimension of the embedding (E).
        directional_embedding: See `PosePooling` and, for an embedding branch, `FrameVelocity`.
        pooling_dropout: Dropout rate in the pooling of the embedding.

    Raises:
        UserError: If sizes are inconsistent.
    """

    def __init__(
        self,
        *,
        dim: int = 512,
        depth: int = 5,
        num_heads: int = 8,
        mlp_ratio: float = 2,
        dim_rep: int = 512,
        max_frames: int = 243,
        num_joints: int = 17,
        bone_features: bool = False,
        heads: bool = False,
        class_token: bool = True,
        middle_layer: int = 3,
        embedding_depth: int = 0,
        embedding_dim: int = 512,
        directional_embedding: bool = False,
        pooling_dropout: float = 0.1,
    ):
        super().__init__()
        if dim % num_heads:
            raise UserError(f"num_heads ({num_heads}) must divide dim ({dim})")
        if class_token and not 1 <= middle_layer <= depth:
            raise UserError(f"middle_layer ({middle_layer}) must be from 1 to depth ({depth})")
        if embedding_depth < 0:
            raise UserError(f"embedding_depth ({embedding_depth}) must be 0 or more")
        pairs = depth + embedding_depth * class_token  # those of the embedding are the last
        self.width, self.depth, self.frames = dim, depth, max_frames
        self.max_frames = max_frames
        self.num_joints = num_joints
        self.middle_layer = middle_layer
        self.temp_embed = nn.Parameter(torch.empty(1, max_frames, 1, dim))
        self.pos_embed = nn.Parameter(torch.empty(1, num_joints, dim))
        self.bone_features = bone_features
        self.joints_embed = nn.Linear(9 if bone_features else 3, dim)
        self.blocks_st = nn.ModuleList(Block(dim, num_heads, mlp_ratio) for _ in range(pairs))
        self.blocks_ts = nn.ModuleList(Block(dim, num_heads, mlp_ratio) for _ in range(pairs))
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.pre_logits = nn.ModuleDict({"fc": nn.Linear(dim, dim_rep)})
        self.head = nn.Linear(dim_rep, 3)
        self.ts_attn = nn.ModuleList(nn.Linear(2 * dim, 2) for _ in range(pairs))
        self.token_in_backbone = class_token and not embedding_depth
        if class_token:
            self.pose_token = nn.Parameter(torch.empty(1, 1, num_joints, dim))
            self.pooling = PosePooling(
                *(dim, num_joints, embedding_dim, pooling_dropout), directional_embedding
            )
        branch = class_token and not self.token_in_backbone
        self.velocity = FrameVelocity(dim) if branch and directional_embedding else None
        self.class_token = class_token
        self.embedding_stride = 1  # the embedding uses every n-th frame
        self.init_weights()
        self.heads = Heads(dim_rep) if heads else None

    @torch.no_grad()
    def init_weights(self) -> None:
        """Truncated normal of 0.02, zero biases, and equal weights of the two blocks of a pair."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        for name, parameter in self.ts_attn.named_parameters():
            nn.init.constant_(parameter, 0.5 if name.endswith("bias") else 0.0)
        nn.init.trunc_normal_(self.temp_embed, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.class_token:
            nn.init.trunc_normal_(self.pose_token, std=0.02)
            nn.init.constant_(self.pooling.joint_weight.weight, 1 / self.num_joints)
        if self.velocity is not None:
            self.velocity.init_weights()

    def fuse(self) -> None:
        """Use the kernels of `ops.fused_block`, which are equivalent and faster in CPU training.

        Raises:
            UserError: If the widths are not supported, or the kernels cannot be compiled.
        """
        for module in (*self.blocks_st, *self.blocks_ts):
            block = cast(Block, module)
            for size in block.mlp_s.fc1.weight.shape:
                if size % simd_width():
                    raise UserError(
                        f"the fused kernels need widths that are multiples of {simd_width()}, not "
                        f"{size}: change model.dim or model.mlp_ratio, or use training.device cpu"
                    )
            block.fused = True

    def freeze_body(self) -> None:
        """Train only the heads."""
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith("heads."))

    def freeze_lifting(self, frames: int, temporal_stride: int) -> None:
        """Train only the embedding, with a stride that it keeps.

        Args:
            frames: Number of frames of the training clips.
            temporal_stride: Stride of these frames.

        Raises:
            UserError: If the clips are too long.
        """
        assert not self.token_in_backbone  # else lifting would depend on the embedding
        if (length := (frames - 1) * temporal_stride + 1) > self.max_frames:
            raise UserError(
                f"to train the embedding alone, clips must not extend over more than "
                f"model.max_frames ({self.max_frames}): lower data.frames or "
                f"data.temporal_stride, which make {length}"
            )
        self.embedding_stride = temporal_stride
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(self.embedding_parameter_prefixes()))

    def freeze_embedding(self) -> None:
        """Exclude parameters from training that only the embedding uses, if no loss uses it."""
        for name, parameter in self.named_parameters():
            if name.startswith(self.embedding_parameter_prefixes()):
                parameter.requires_grad_(name == "pose_token" and self.token_in_backbone)

    @classmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        """The sizes of MotionBERT's weights, which have no <POSE> token."""
        _, max_frames, _, dim = weights["temp_embed"].shape
        return {
            "dim": dim,
            "depth": sum(key.startswith("ts_attn.") and key.endswith(".bias") for key in weights),
            "mlp_ratio": weights["blocks_st.0.mlp_s.fc1.bias"].shape[0] / dim,
            "dim_rep": weights["head.weight"].shape[1],
            "max_frames": max_frames,
            "num_joints": weights["pos_embed"].shape[1],
            "class_token": False,
        }

    def embedding_parameter_prefixes(self) -> tuple[str, ...]:
        """Name prefixes of parameters that an encoder without an embedding does not have."""
        branch = range(self.depth, len(self.ts_attn))
        return (
            "pose_token",
            "pooling.",
            "velocity.",
            *(f"{part}.{n}." for part in PAIR for n in branch),
        )

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters below the embedding, which alignment and lifting both train."""
        names = ["temp_embed", "pos_embed", "joints_embed."]
        names += ["pose_token"] * self.token_in_backbone
        names += [f"{part}.{layer}." for part in PAIR for layer in range(self.middle_layer)]
        return [
            parameter
            for name, parameter in self.named_parameters()
            if name.startswith(tuple(names)) and parameter.requires_grad
        ]

    def branch_init_map(self) -> dict[str, str]:
        """Names of the embedding branch parameters, mapped to the backbone parameters they copy.

        These are at the same distance above the middle layer. Further pairs of the branch keep
        their random initialization.
        """
        shift = self.depth - self.middle_layer
        layers = range(self.depth, min(len(self.ts_attn), self.depth + shift))
        prefixes = {f"{part}.{n}.": f"{part}.{n - shift}." for part in PAIR for n in layers}
        return {
            name: name.replace(branch, backbone, 1)
            for name, _ in self.named_parameters()
            for branch, backbone in prefixes.items()
            if name.startswith(branch)
        }

    def embed(self, keypoints: Tensor, valid: Tensor | None = None, *, stride: int = 1) -> Tensor:
        """Input tokens of the first pair: (B, T, J, D), or (B, 1 + T, J, D) with <POSE> first.

        With a stride, the temporal embedding is subsampled by the same stride.
        """
        with autocast_disabled(keypoints):
            rows = self.temp_embed[:, ::stride][:, : keypoints.shape[1]]
            if self.bone_features:
                keypoints = torch.cat([keypoints, bone_features(keypoints)], dim=-1)
            x = self.joints_embed(keypoints) + rows + self.pos_embed
        return self._prepend_token(x) if self.token_in_backbone else x

    def _prepend_token(self, x: Tensor) -> Tensor:
        """<POSE> has no row in the temporal embedding, which is that of MotionBERT."""
        token = (self.pose_token + self.pos_embed).to(x.dtype)
        return torch.cat([token.expand(x.shape[0], -1, -1, -1), x], dim=1)

    def pair(self, layer: int, x: Tensor, mask: Tensor | None) -> Tensor:
        """One pair of blocks with the learned weighting of both; input and output (B, T, J, D)."""
        first, second = cast(Block, self.blocks_st[layer]), cast(Block, self.blocks_ts[layer])
        st = first.over_frames(first.over_joints(x), mask)
        ts = second.over_joints(second.over_frames(x, mask))
        fuse = cast(nn.Linear, self.ts_attn[layer])
        # softmax over two logits is a sigmoid of their difference; order of MotionBERT: st, then ts
        w_st, w_ts = (fuse.weight[0] - fuse.weight[1]).chunk(2)
        alpha = torch.sigmoid(st @ w_st + ts @ w_ts + (fuse.bias[0] - fuse.bias[1]))
        return torch.lerp(ts, st, alpha[..., None].to(ts.dtype))

    def stage(self, i: int, state: Tensor, valid: Tensor | None = None) -> Tensor:
        """One pair, in which no frame attends to padding."""
        return self.pair(i, state, self._mask(valid, token=self.token_in_backbone))

    def lift(self, state: Tensor) -> Tensor:
        """Predict poses (B, T, J, 3) of the body, without <POSE>."""
        return self._lift(state)[1]

    def _lift(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """The motion representation and the poses."""
        x = state[:, 1:] if self.token_in_backbone else state
        with autocast_disabled(x):
            representation = self.representation(x)
            return representation, self.head(representation)

    def representation(self, x: Tensor) -> Tensor:
        """The motion representation (B, T, J, R), the input of the head."""
        return torch.tanh(self.pre_logits["fc"](self.norm(x)))

    def forward(
        self, keypoints: Tensor, valid: Tensor | None = None, *, embed: bool = True
    ) -> PoseOutput:
        """Lift clips of keypoints.

        Args:
            keypoints: (B, T, J, 3) Normalized x (right), y (down) and confidence. Masked or missing
                joints are (0, 0, 0). T is at most `max_frames`. With heads, the joints may be those
                of H36M17_FEET; the feet do not affect the pose of the body or the embedding.
            valid: (B, T) bool, False for padding, which is not attended to.
            embed: Whether to return the embedding; False skips the layers that only it requires.

        Raises:
            UserError: If the number of joints or channels is wrong, or there are more than
                `max_frames` frames.
        """
        embed = embed and self.class_token
        apart = embed and self.embedding_stride > 1
        x, embedding = self._backbone(keypoints, valid, self.depth, embed and not apart)
        if apart:
            embedding = self.embed_motion(keypoints, valid)
        representation, pose = self._lift(x)
        if self.heads is None:
            return PoseOutput(pose, embedding)
        with autocast_disabled(x):
            pose, log_error = self.heads(representation, pose, keypoints, valid)
        return PoseOutput(pose, embedding, log_error)

    def embed_motion(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor | None:
        """The embedding of `forward`, without the layers that only lifting requires."""
        if not self.class_token:
            return None
        valid = None if valid is None else valid[:, :: self.embedding_stride]
        return self.embed_subsampled(keypoints[:, :: self.embedding_stride], valid)

    def embed_subsampled(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        """The embedding (B, E) of clips that are already subsampled by the embedding stride."""
        stride = self.embedding_stride
        embedding = self._backbone(keypoints, valid, self.middle_layer, True, stride)[1]
        assert embedding is not None
        return embedding

    def _backbone(
        self, keypoints: Tensor, valid: Tensor | None, layers: int, embed: bool, stride: int = 1
    ) -> tuple[Tensor, Tensor | None]:
        """The tokens (B, T, J, D) after `layers` pairs, and the embedding."""
        if self.heads is not None and keypoints.shape[2] == BODY + NUM_FEET:
            keypoints = keypoints[:, :, :BODY]
        frames, *rest = keypoints.shape[1:]
        if rest != [self.num_joints, 3] or frames > self.max_frames:
            raise UserError(
                f"keypoints are {tuple(keypoints.shape)}; this encoder takes "
                f"(B, T <= {self.max_frames}, {self.num_joints}, 3)"
            )
        token_mask = self._mask(valid, token=True)
        mask = token_mask if self.token_in_backbone else self._mask(valid)
        x, embedding = self.embed(keypoints, stride=stride), None
        for layer in range(layers):
            x = self.pair(layer, x, mask)
            if embed and layer + 1 == self.middle_layer:
                branch = x
                if not self.token_in_backbone:
                    branch = self._prepend_token(x if self.velocity is None else self.velocity(x))
                for own in range(self.depth, len(self.ts_attn)):
                    branch = self.pair(own, branch, token_mask)
                embedding = self.pooling(branch[:, 0])
        return x, embedding

    def _mask(self, valid: Tensor | None, *, token: bool = False) -> Tensor | None:
        """The mask of the frames and of <POSE> for `Attention` over (B * J, L, D)."""
        if valid is None:
            return None
        if token:
            valid = F.pad(valid, (1, 0), value=True)
        return valid.repeat_interleave(self.num_joints, dim=0)[:, None, None, :]
