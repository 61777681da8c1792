"""Networks from official weights of MotionBERT and other authors, matched by name."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from actionpose.models import PoseEncoder
from actionpose.models.backbone import Backbone
from actionpose.models.peers import PEERS, read_file, sizes_of, state_dict
from actionpose.utils.errors import UserError


def load_by_name(
    model: nn.Module,
    weights: Mapping[str, Tensor],
    where: str,
    *,
    may_miss: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    only_check: bool = False,
) -> None:
    """Load weights whose names and shapes must all match.

    Args:
        model: Model to load the weights into.
        weights: State dict.
        where: Name of the source, for the error message.
        may_miss: Prefixes of names that may be missing in the weights.
        ignore: Prefixes of names that are not loaded.
        only_check: Whether to check the weights without loading them.

    Raises:
        UserError: If names exist on one side only, or shapes differ; lists them.
    """
    own = model.state_dict()
    weights = {key: value for key, value in weights.items() if not key.startswith(ignore)}
    wrong = [f"{key} is not in the model" for key in weights.keys() - own.keys()]
    for key, value in own.items():
        if key not in weights:
            if not key.startswith((*may_miss, *ignore)):
                wrong.append(f"{key} is not in the file")
        elif weights[key].shape != value.shape:
            shapes = f"{tuple(weights[key].shape)}, not {tuple(value.shape)}"
            wrong.append(f"{key} has shape {shapes}")
    if wrong:
        more = f" and {len(wrong) - 8} more" if len(wrong) > 8 else ""
        raise UserError(f"{where} does not fit: {'; '.join(sorted(wrong)[:8])}{more}")
    if not only_check:
        model.load_state_dict({**own, **weights})


def motionbert_weights(source: Path | str | Mapping[str, Any]) -> dict[str, Tensor]:
    """MotionBERT's weights with their original names, without the `module.` of DataParallel.

    Args:
        source: Official `.bin` file, its content, or its state dict.

    Raises:
        UserError: If the file does not exist, is not such a file, or requires code to be unpickled.
    """
    if isinstance(source, (str, Path)):
        source = read_file(source, "MotionBERT's weights")
    weights = state_dict(source, "MotionBERT's file")
    if "temp_embed" not in weights or "head.weight" not in weights:
        raise UserError(
            "these weights are not MotionBERT's DSTformer: temp_embed or head.weight is missing"
        )
    return weights


def load_motionbert(source: Path | str | Mapping[str, Any], *, num_heads: int = 8) -> PoseEncoder:
    """Build MotionBERT's DSTformer from its official weights, in eval mode.

    Args:
        source: Official file, see `motionbert_weights`. The sizes are determined by the shapes.
        num_heads: Number of attention heads, which the shapes do not determine; 8 in all official
            files.

    Raises:
        UserError: See `motionbert_weights`; or if the weights do not match.
    """
    weights = motionbert_weights(source)
    encoder = PoseEncoder(**motionbert_sizes(weights, num_heads))
    load_by_name(encoder, weights, "MotionBERT's file")
    return encoder.eval()


def motionbert_sizes(weights: Mapping[str, Tensor], num_heads: int) -> dict[str, Any]:
    """The arguments of `PoseEncoder`, from the shapes of MotionBERT's weights."""
    if weights["temp_embed"].ndim != 4:
        raise UserError("these weights are not MotionBERT's: temp_embed is not (1, T, 1, dim)")
    try:
        return PoseEncoder.sizes(weights) | {"num_heads": num_heads}
    except KeyError as error:
        raise UserError(f"MotionBERT's weights lack {error}") from error
    except (ArithmeticError, LookupError) as error:
        raise UserError(f"MotionBERT's weights have other shapes: {error}") from error


def load_peer(
    name: str,
    path: Path | str,
    *,
    num_heads: int | None = None,
    frames: int | None = None,
    ema: bool = False,
) -> Backbone:
    """Build a network of other authors from its official weights, in eval mode.

    Args:
        name: Name of the network, a key of `models.peers.PEERS`, which contains units, frame step
            and license.
        path: File of the weights. The sizes are determined by the shapes.
        num_heads: Number of attention heads, if it differs from the official one.
        frames: Number of frames per clip, if the weights do not determine it.
        ema: Whether to load the averaged weights that some files contain in addition.

    Raises:
        UserError: If the name or file does not exist, a number is below 1, the file contains code,
            or the weights do not match the network (lists the differences).
    """
    if name not in PEERS:
        raise UserError(f"no network {name}: choose from {', '.join(PEERS)}")
    for setting, value in (("num_heads", num_heads), ("frames", frames)):
        if value is not None and value < 1:
            raise UserError(f"{setting} ({value}) must be at least 1")
    weights = state_dict(read_file(path, f"{name}'s weights"), str(path), ema=ema)
    sizes = sizes_of(name, weights, str(path))
    fixed = sizes.get("max_frames") or prod(sizes.get("widths", ()))
    if frames and fixed > 1 and frames != fixed:
        raise UserError(f"{path} has weights for clips of {fixed} frames, not {frames}")
    given = {"num_heads": num_heads, "max_frames": frames or (fixed < 2 and PEERS[name].frames)}
    network = PEERS[name].cls(**sizes | {key: value for key, value in given.items() if value})
    load_by_name(network, weights, str(path))
    return network.eval()
