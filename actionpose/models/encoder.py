"""Encoder for any backbone: missing joints, clips of any length, and a motion embedding.

Letters in shapes: B clips, T frames, J joints, D channels, E embedding dimension.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from actionpose.models.backbone import Backbone, State
from actionpose.models.blocks import MLP, CrossAttention, autocast_disabled, frame_mask
from actionpose.models.diffpose import DiffPoseRefiner
from actionpose.models.dstformer import PoseEncoder, PoseOutput
from actionpose.models.dstformer_block import NORM_EPS
from actionpose.models.peers import PEERS
from actionpose.models.pose_embedding import FrameVelocity, PosePooling
from actionpose.utils.errors import UserError


class FrameReader(nn.Module):
    """Attention of a query (N, 1, D) to frames (N, T, D), which do not attend to it, and an MLP."""

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float):
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(dim, eps=NORM_EPS) for _ in range(2))
        self.norm_frames = nn.LayerNorm(dim, eps=NORM_EPS)
        self.attention = CrossAttention(dim, num_heads)
        self.mlp = MLP(dim, mlp_ratio)

    def forward(self, query: Tensor, frames: Tensor, mask: Tensor | None) -> Tensor:
        query = query + self.attention(self.norm1(query), self.norm_frames(frames), mask)[1]
        return query + self.mlp(self.norm2(query))


class BackboneEncoder(nn.Module):
    """A backbone with the interface of `PoseEncoder`.

    If a backbone uses only x and y, `mask_token` times (1 - confidence) is added to the coordinates
    of a joint. It is initially zero, so that official weights compute the same function.
    If `backbone.token` allows it, the embedding is a token that passes through the stages with the
    frames, which attend to it with gates that are initially zero. Otherwise, or with
    `embedding_depth`, a query attends to the frames after `middle_layer` without affecting them.
    Short clips, and padding that the backbone cannot mask, are filled with copies of the first and
    last frames. Networks with one pose per clip are applied to a window around each frame.

    Args:
        backbone: Lifting network.
        num_heads: Number of attention heads of the query.
        mlp_ratio: Ratio of the hidden size of its MLP to the width of the backbone.
        class_token: Whether to return an embedding of the motion.
        middle_layer: Stage after which the embedding is taken, counted from 1.
        embedding_depth: Number of layers in which a query attends to the frames. With 0, a token of
            the backbone is used, or one such layer if the backbone has none.
        embedding_dim: Dimension of the embedding (E).
        directional_embedding: See `PosePooling` and `FrameVelocity`.
        pooling_dropout: Dropout rate in the pooling of the embedding.

    Raises:
        UserError: If sizes are inconsistent.
    """

    def __init__(
        self,
        backbone: Backbone,
        *,
        num_heads: int = 8,
        mlp_ratio: float = 2,
        class_token: bool = False,
        middle_layer: int = 3,
        embedding_depth: int = 0,
        embedding_dim: int = 512,
        directional_embedding: bool = False,
        pooling_dropout: float = 0.1,
    ):
        super().__init__()
        self.token_in_backbone = class_token and not embedding_depth and backbone.token != "read"
        stages = len(backbone.token_readers()) if self.token_in_backbone else backbone.depth
        if class_token and not 1 <= middle_layer <= stages:
            what = "stages that carry the token" if stages < backbone.depth else "stages"
            raise UserError(f"middle_layer ({middle_layer}) must be from 1 to the {stages} {what}")
        self.backbone = backbone
        self.depth, self.max_frames = backbone.depth, backbone.frames
        self.num_joints, self.heads = backbone.num_joints, None  # heads require a DSTformer
        self.class_token, self.middle_layer = class_token, middle_layer
        self.embedding_stride = 1  # the embedding uses every n-th frame
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(not any(part in name for part in backbone.unused))
        self.velocity: FrameVelocity | None = None
        if backbone.channels == "xy":
            self.mask_token = nn.Parameter(torch.zeros(2))
        if class_token:
            dim, joints = backbone.width, backbone.num_joints if backbone.joints_as_tokens else 1
            self.pose_token = nn.Parameter(torch.empty(1, joints, dim))
            if self.token_in_backbone:
                backbone.carry_token()
            else:
                self.readers = nn.ModuleList(
                    FrameReader(dim, num_heads, mlp_ratio) for _ in range(max(1, embedding_depth))
                )
            self.pooling = PosePooling(
                *(dim, joints, embedding_dim, pooling_dropout), directional_embedding
            )
            if directional_embedding and not self.token_in_backbone:
                self.velocity = FrameVelocity(dim)
            nn.init.trunc_normal_(self.pose_token, std=0.02)
            nn.init.constant_(self.pooling.joint_weight.weight, 1 / joints)

    def fuse(self) -> None:
        """Only DSTformer has fused kernels.

        Raises:
            UserError: Always.
        """
        raise UserError("the fused kernels are DSTformer's: change training.device to cpu")

    def freeze_body(self) -> None:
        """Only DSTformer has heads; `build_encoder` checks this.

        Raises:
            UserError: Always.
        """
        raise UserError("model.heads needs model.backbone dstformer")

    def freeze_lifting(self, frames: int, temporal_stride: int) -> None:
        """Train only the embedding; see `PoseEncoder.freeze_lifting`."""
        assert not self.token_in_backbone  # else lifting would depend on the embedding
        self.embedding_stride = temporal_stride
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(name.startswith(self.embedding_parameter_prefixes()))

    def freeze_embedding(self) -> None:
        """Exclude parameters from training that only the embedding uses, if no loss uses it."""
        for name, parameter in self.named_parameters():
            if name.startswith(("pose_token", "readers.", "velocity.", "pooling.")):
                parameter.requires_grad_(name == "pose_token" and self.token_in_backbone)

    def embedding_parameter_prefixes(self) -> tuple[str, ...]:
        """Name prefixes of parameters that an encoder without an embedding does not have."""
        gates = (name for name, _ in self.named_parameters() if name.endswith(".token_gate"))
        return ("pose_token", "readers.", "velocity.", "pooling.", *gates)

    def shared_parameters(self) -> list[nn.Parameter]:
        """Parameters of the backbone, some of which alignment and lifting both train."""
        return [p for p in self.backbone.parameters() if p.requires_grad]

    def branch_init_map(self) -> dict[str, str]:
        """No parameter of the embedding is copied from another one."""
        return {}

    def forward(
        self,
        keypoints: Tensor,
        valid: Tensor | None = None,
        *,
        embed: bool = True,
        margins: bool = False,
    ) -> PoseOutput:
        """Lift clips of keypoints.

        Args:
            keypoints: (B, T, J, 3) Keypoints, as for `PoseEncoder`. T is at most that of the
                backbone, if it is fixed.
            valid: (B, T) bool, False for padding.
            embed: Whether to return the embedding.
            margins: Whether to skip the repetition of frames. If the backbone uses windows, only
                frames in the middle of a complete window are lifted, and there is no embedding.

        Raises:
            UserError: See `Backbone.check`.
        """
        given = valid
        clips, valid = self._without_gaps(keypoints, valid)
        if margins:
            return PoseOutput(self._lift(self._run(clips, valid, self.depth, False)[0]), None)
        embed = embed and self.class_token
        frames, needed = clips.shape[1], self.backbone.frames
        apart = embed and (self.backbone.center_only or self.embedding_stride > 1)
        embedding = self.embed_motion(keypoints, given) if apart else None
        if not self.backbone.center_only:
            embed = embed and not apart
            state, found = self._run(*self._fitting(clips, valid), self.depth, embed)
            return PoseOutput(self._lift(state)[:, :frames], embedding if apart else found)
        centers, offsets = (torch.arange(n, device=clips.device) for n in (frames, needed))
        around = (centers[:, None] + offsets - needed // 2).clamp(0, frames - 1)
        windows = clips[:, around].flatten(0, 1)  # (B * T, frames, J, C)
        state, _ = self._run(windows, None, self.depth, False)
        return PoseOutput(self._lift(state).view(*clips.shape[:3], 3), embedding)

    def embed_motion(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor | None:
        """The embedding of `forward`, without the stages that only lifting requires."""
        if not self.class_token:
            return None
        valid = None if valid is None else valid[:, :: self.embedding_stride]
        return self.embed_subsampled(keypoints[:, :: self.embedding_stride], valid)

    def embed_subsampled(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        """The embedding (B, E) of clips that are already subsampled by the embedding stride."""
        clips = self._fitting(*self._without_gaps(keypoints, valid))
        embedding = self._run(*clips, self.middle_layer, True)[1]
        assert embedding is not None
        return embedding

    def _without_gaps(
        self, keypoints: Tensor, valid: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Replace missing joints and, if the backbone cannot mask it, padding."""
        if self.backbone.channels == "xy" and keypoints.shape[-1] == 3:
            keypoints = keypoints[..., :2] + (1 - keypoints[..., 2:]) * self.mask_token
        if valid is None or self.backbone.masks_padding:
            return keypoints, valid
        last = valid.shape[1] - 1
        first_valid = valid.int().argmax(dim=1, keepdim=True)
        last_valid = last - valid.flip(1).int().argmax(dim=1, keepdim=True)
        nearest = torch.arange(last + 1, device=valid.device)[None].clamp(first_valid, last_valid)
        return keypoints[torch.arange(len(valid), device=valid.device)[:, None], nearest], None

    def _fitting(self, clips: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Extend clips to a length that the backbone accepts; its first T poses are the result."""
        frames, needed = clips.shape[1], self.backbone.frames
        if self.backbone.length == "at_least":
            past = needed - 1 if getattr(self.backbone, "causal", False) else needed // 2
            return repeat_edges(clips, past, needed - 1 - past), None
        if self.backbone.length == "fixed" and frames < needed:
            if self.backbone.masks_padding:
                valid = (
                    clips.new_ones(clips.shape[:2], dtype=torch.bool) if valid is None else valid
                )
                valid = nn.functional.pad(valid, (0, needed - frames), value=False)
            clips = repeat_edges(clips, 0, needed - frames)
        return clips, valid

    def _run(
        self, clips: Tensor, valid: Tensor | None, stages: int, embed: bool
    ) -> tuple[State, Tensor | None]:
        """The state after `stages`, and the embedding."""
        self.backbone.check(clips)
        embedding = None
        with autocast_disabled(clips):
            state = self.backbone.embed(clips, valid)
        if self.token_in_backbone:
            state = self.backbone.with_token(state, self.pose_token)
            if valid is not None and self.backbone.token == "row":
                valid = nn.functional.pad(valid, (1, 0), value=True)
        for i in range(stages):
            state = self.backbone.stage(i, state, valid)
            if embed and i + 1 == self.middle_layer:
                embedding = self._embedding_of(state, valid)
        return self.backbone.without_token(state) if self.token_in_backbone else state, embedding

    def _embedding_of(self, state: State, valid: Tensor | None) -> Tensor:
        """The embedding (B, E) of a state."""
        if self.token_in_backbone:
            return self.pooling(self.backbone.token_of(state))
        tokens = state[0] if isinstance(state, tuple) else state  # (B, T', J', D)
        clips, _, joints, _ = tokens.shape
        if self.velocity is not None:
            tokens = self.velocity(tokens)
        mask = None if valid is None else frame_mask(valid, joints)
        query = self.pose_token.expand(clips, -1, -1).flatten(0, 1)[:, None]  # (B * J', 1, D)
        for reader in self.readers:
            query = reader(query, tokens.transpose(1, 2).flatten(0, 1), mask)
        return self.pooling(query.view(clips, joints, -1))

    def _lift(self, state: State) -> Tensor:
        parts = state if isinstance(state, tuple) else (state,)
        parts = tuple(x.float() if x.dtype == torch.bfloat16 else x for x in parts)
        with autocast_disabled(parts[0]):
            return self.backbone.lift(parts if isinstance(state, tuple) else parts[0])


Encoder = PoseEncoder | BackboneEncoder


def repeat_edges(clips: Tensor, before: int, after: int) -> Tensor:
    """Extend clips (B, T, ...) by copies of the first frame before and of the last frame after."""
    last = clips.shape[1] - 1
    return clips[:, torch.arange(-before, last + after + 1, device=clips.device).clamp(0, last)]


def build_encoder(backbone: str = "dstformer", **settings: Any) -> Encoder:
    """Build the encoder of a configuration.

    Args:
        backbone: dstformer, or a key of `models.peers.PEERS` except diffpose-refiner.
        settings: Arguments of `PoseEncoder`. For other backbones, those that they have, and their
            own sizes.

    Raises:
        UserError: If the backbone is unknown, or sizes are inconsistent.
    """
    if backbone == "dstformer":
        return PoseEncoder(**settings)
    names = [name for name, peer in PEERS.items() if peer.cls is not DiffPoseRefiner]
    if backbone not in names:
        raise UserError(f"no backbone {backbone}: choose from dstformer, {', '.join(names)}")
    for option in ("heads", "bone_features"):
        if settings.get(option):
            raise UserError(f"model.{option} needs model.backbone dstformer, not {backbone}")
    if (dim := settings.get("dim", 0)) % (heads := settings.get("num_heads", 1)):
        raise UserError(f"num_heads ({heads}) must divide dim ({dim})")
    cls = PEERS[backbone].cls
    sizes = {key: settings[key] for key in inspect.signature(cls).parameters & settings.keys()}
    own = inspect.signature(BackboneEncoder).parameters
    return BackboneEncoder(cls(**sizes), **{key: settings[key] for key in own & settings.keys()})
