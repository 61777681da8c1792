"""Interface of networks that lift 2D keypoints, for pretraining, fine-tuning and inference.

A backbone embeds a clip, transforms its state in `depth` stages, and predicts poses from the last
state. Letters in shapes: B clips, T frames, J joints, D channels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from actionpose.utils.errors import UserError

Length = Literal["fixed", "at_most", "at_least", "any"]
Token = Literal["row", "proxy", "read"]
State = Any
"""Tokens (B, T', J', D), or a tuple that starts with them."""


class Backbone(nn.Module, ABC):
    """A lifting network with stages.

    Attributes:
        width: Number of channels per token (D).
        depth: Number of stages.
        frames: Number of frames per clip, subject to `length`.
        num_joints: Number of joints (J).
        length: Whether clips have exactly `frames` frames, at most or at least as many, or any
            number. With at least as many frames, T - frames + 1 poses are lifted.
        channels: Channels of the keypoints that are used: x and y, or also the confidence.
        joints_as_tokens: Whether each joint of a frame is a token; else a frame is a token.
        center_only: Whether a clip has only one pose, that of its middle frame.
        masks_padding: Whether padding, where `valid` is False, does not affect other frames. The
            other networks require padding with the last frame.
        unused: Parts of the names of parameters that are in official weights but are not used by
            `lift`.
        token: How an embedding of the whole motion can be computed: by a row of tokens before the
            frames, by an additional proxy, or by a query that reads the frames (`models.encoder`).
        carries_token: Whether a row or a proxy is used (`carry_token`).
    """

    length: ClassVar[Length] = "at_most"
    channels: ClassVar[Literal["xy", "xyc"]] = "xyc"
    joints_as_tokens: ClassVar[bool] = True
    center_only: ClassVar[bool] = False
    masks_padding: ClassVar[bool] = True
    token: ClassVar[Token] = "row"
    unused: tuple[str, ...] = ()
    carries_token: bool = False

    width: int
    depth: int
    frames: int
    num_joints: int

    @abstractmethod
    def embed(self, keypoints: Tensor, valid: Tensor | None = None) -> State:
        """Compute the input state of the first stage.

        Args:
            keypoints: (B, T, J, 3) Normalized x (right), y (down) and confidence. Networks with two
                channels also accept (B, T, J, 2).
            valid: (B, T) bool, False for padding.
        """

    @abstractmethod
    def stage(self, i: int, state: State, valid: Tensor | None = None) -> State:
        """Compute the state after stage `i`, counted from 0."""

    @abstractmethod
    def lift(self, state: State) -> Tensor:
        """Predict poses (B, T, J, 3) from the last state, in the units of the training data."""

    def token_readers(self) -> Sequence[nn.Module]:
        """The attention modules, one per stage, through which frames can attend to the token."""
        return ()

    def carry_token(self) -> None:
        """Add a token to the stages, to which frames attend with gates that are initially zero.

        The poses are those without the token until the gates are trained.
        """
        self.carries_token = True
        for attention in self.token_readers():
            num_heads: Any = attention.num_heads
            attention.token_gate = nn.Parameter(torch.zeros(num_heads, 1, 1))

    def with_token(self, state: State, token: Tensor) -> State:
        """Add a token (1, J', D) to the state before the first stage."""
        x = state[0] if isinstance(state, tuple) else state
        x = torch.cat([token.to(x.dtype).expand(len(x), 1, -1, -1), x], dim=1)
        return (x, *state[1:]) if isinstance(state, tuple) else x

    def token_of(self, state: State) -> Tensor:
        """The token (B, J', D) of a state."""
        return (state[0] if isinstance(state, tuple) else state)[:, 0]

    def without_token(self, state: State) -> State:
        """Remove the token from the last state, for `lift`."""
        return state[:, 1:]

    def poses(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        """Lift keypoints to poses (B, T, J, 3), or fewer frames, see `length` and `center_only`.

        Raises:
            UserError: If the number of frames, joints or channels is wrong.
        """
        self.check(keypoints)
        state = self.embed(keypoints, valid)
        for i in range(self.depth):
            state = self.stage(i, state, valid)
        return self.lift(state)

    def check(self, keypoints: Tensor) -> None:
        """Check that the network accepts clips.

        Raises:
            UserError: If it does not; names the accepted shape.
        """
        frames, joints, channels = keypoints.shape[1:]
        name = type(self).__name__
        wrong = {
            "fixed": frames != self.frames,
            "at_most": frames > self.frames,
            "at_least": frames < self.frames,
            "any": False,
        }[self.length]
        if wrong:
            how = {"fixed": "exactly", "at_most": "at most", "at_least": "at least"}[self.length]
            raise UserError(
                f"the clips have {frames} frames, but this {name} takes {how} {self.frames}: "
                f"cut or repeat frames, or load weights for {frames}"
            )
        if joints != self.num_joints:
            raise UserError(
                f"the clips have {joints} joints, but this {name} takes {self.num_joints}"
            )
        if channels < len(self.channels):
            raise UserError(
                f"the clips have {channels} channels, but this {name} needs x, y and confidence: "
                "add a third channel, 1 where the detector gives none"
            )

    @classmethod
    @abstractmethod
    def sizes(cls, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        """The constructor arguments that a state dict determines by its shapes.

        Raises:
            KeyError, IndexError, ValueError: If the weights are those of another network.
        """


def num_layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    """Number of entries of the list `prefix` in a state dict.

    Raises:
        KeyError: If there are none.
    """
    layers = [key.removeprefix(f"{prefix}.") for key in weights if key.startswith(f"{prefix}.")]
    if not layers:
        raise KeyError(prefix)
    return len({layer.split(".")[0] for layer in layers})
