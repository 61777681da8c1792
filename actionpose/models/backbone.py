"""What pretraining, fine-tuning and lifting ask of a network that lifts 2D keypoints.

A backbone embeds a clip, transforms the state in `depth` stages, and reads poses from the last one.
Letters in shapes: B clips, T frames, J joints, D channels.
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
"""A tensor of tokens (B, T', J', D), or a tuple whose first entry these are."""


class Backbone(nn.Module, ABC):
    """A lifting network in stages.

    Attributes:
        width: channels of a token (D).
        depth: number of stages.
        frames: of a clip, as `length` says.
        num_joints: J.
        length: clips have exactly `frames` frames; at most or at least as many (then T - frames + 1
            poses are lifted); or any number.
        channels: of keypoints that count: x and y, or the confidence too.
        joints_as_tokens: a frame has a token for each joint; else it is one token.
        center_only: a clip has one pose, that of its middle frame.
        masks_padding: whether padding, where `valid` is False, changes nothing in other frames. The
            other networks need the last frame repeated there.
        unused: parts of names of parameters that official weights have and `lift` does not use.
        token: how an embedding of the whole motion may be carried: by a row of tokens before the
            frames, by a further proxy, or by a query that reads the frames (`models.encoder`).
        carries_token: it is, by a row or a proxy (`carry_token`).
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
        """The state that enters the first stage.

        Args:
            keypoints: (B, T, J, 3) normalized x (right), y (down) and confidence; networks of two
                channels also take (B, T, J, 2).
            valid: (B, T) bool, False on padding.
        """

    @abstractmethod
    def stage(self, i: int, state: State, valid: Tensor | None = None) -> State:
        """The state after stage `i`, from 0."""

    @abstractmethod
    def lift(self, state: State) -> Tensor:
        """Poses (B, T, J, 3) of the last state, in the units that the weights were trained in."""

    def token_readers(self) -> Sequence[nn.Module]:
        """The attention of each stage through which frames may read the token."""
        return ()

    def carry_token(self) -> None:
        """Let the stages carry a token, which frames read by gates that start at zero.

        What is lifted stays what it is without the token until the gates are trained.
        """
        self.carries_token = True
        for attention in self.token_readers():
            num_heads: Any = attention.num_heads
            attention.token_gate = nn.Parameter(torch.zeros(num_heads, 1, 1))

    def with_token(self, state: State, token: Tensor) -> State:
        """The state before the first stage with a token (1, J', D)."""
        x = state[0] if isinstance(state, tuple) else state
        x = torch.cat([token.to(x.dtype).expand(len(x), 1, -1, -1), x], dim=1)
        return (x, *state[1:]) if isinstance(state, tuple) else x

    def token_of(self, state: State) -> Tensor:
        """The token (B, J', D) in a state."""
        return (state[0] if isinstance(state, tuple) else state)[:, 0]

    def without_token(self, state: State) -> State:
        """The state after the last stage, as `lift` takes it."""
        return state[:, 1:]

    def poses(self, keypoints: Tensor, valid: Tensor | None = None) -> Tensor:
        """All of it: (B, T, J, 3), or fewer frames as `length` and `center_only` say.

        Raises:
            UserError: another number of frames, joints or channels.
        """
        self.check(keypoints)
        state = self.embed(keypoints, valid)
        for i in range(self.depth):
            state = self.stage(i, state, valid)
        return self.lift(state)

    def check(self, keypoints: Tensor) -> None:
        """Refuse clips that the network does not take.

        Raises:
            UserError: says which ones it takes.
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
        """The arguments that fit a state dict, but for those that shapes do not tell.

        Raises:
            KeyError, IndexError, ValueError: the weights are of another network.
        """


def num_layers(weights: Mapping[str, Tensor], prefix: str) -> int:
    """How many entries the list `prefix` of a state dict has.

    Raises:
        KeyError: none.
    """
    layers = [key.removeprefix(f"{prefix}.") for key in weights if key.startswith(f"{prefix}.")]
    if not layers:
        raise KeyError(prefix)
    return len({layer.split(".")[0] for layer in layers})
