"""Official weights of other authors: properties of each file, and loading.

A file is a pickle. It is loaded with `weights_only` of PyTorch, which creates tensors and plain
containers and executes no code. NumPy objects next to the weights become `Inert`, without state.
"""

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from actionpose.models.backbone import Backbone
from actionpose.models.diffpose import DiffPose, DiffPoseRefiner
from actionpose.models.glagcn import GLAGCN
from actionpose.models.ktpformer import KTPFormer
from actionpose.models.mixste import MixSTE
from actionpose.models.motionagformer import MotionAGFormer
from actionpose.models.pstmo import PSTMO
from actionpose.models.stcformer import STCFormer, STCFormer3DHP
from actionpose.models.tcpformer import TCPFormer
from actionpose.models.videopose3d import VideoPose3D
from actionpose.skeletons import COCO17, H36M17, MPI_INF_3DHP17
from actionpose.utils.errors import UserError

# exceptions of PyTorch for a file that is damaged or not a pickle
UNREADABLE = (
    *(OSError, RuntimeError, EOFError, pickle.UnpicklingError),
    *(KeyError, IndexError, ValueError, AttributeError, TypeError),
)


@dataclass(frozen=True)
class Peer:
    """A kind of official weights.

    Args:
        cls: Class of the network.
        units: Units of poses: meters, millimeters, or half the width of the image.
        frame_step: Interval between the frames of a clip, in frames of a video at 50 Hz.
        skeleton: Joint layout of poses.
        frames: Number of frames per clip, if the weights do not determine it.
        license: License of the weights.
        keypoints: Joint layout of keypoints, if it differs from `skeleton`.
        windows: Windows that the authors evaluate on Human3.6M, see
            `evaluation.protocols.Protocol`.
        root: How the authors process the predicted pelvis.
        flip: Whether the authors average with the mirrored input.
    """

    cls: type[Backbone]
    units: Literal["m", "mm", "image"]
    frame_step: int = 1
    skeleton: str = H36M17.name
    frames: int | None = None
    license: str = "none stated"
    keypoints: str = ""
    windows: Literal["full", "covering", "padded", "context", "centered"] = "full"
    root: Literal["zero", "keep", "subtract"] = "zero"
    flip: bool = True

    @property
    def input_skeleton(self) -> str:
        """The joint layout of keypoints."""
        return self.keypoints or self.skeleton


_3DHP = MPI_INF_3DHP17.name
_VIDEOPOSE3D = Peer(VideoPose3D, "m", license="CC BY-NC 4.0", windows="context", root="keep")
_PSTMO = Peer(PSTMO, "m", 2, license="MIT", windows="centered")
PEERS = {
    "mixste": Peer(MixSTE, "m", windows="padded", root="keep"),
    "ktpformer": Peer(KTPFormer, "m", windows="padded", root="keep"),
    "videopose3d": _VIDEOPOSE3D,
    "videopose3d-coco": replace(_VIDEOPOSE3D, keypoints=COCO17.name),
    "stcformer": Peer(STCFormer, "m", 3, frames=81, windows="centered"),
    "stcformer-3dhp": Peer(STCFormer3DHP, "mm", skeleton=_3DHP, frames=81),
    "motionagformer": Peer(MotionAGFormer, "image", license="Apache-2.0"),
    "motionagformer-3dhp": Peer(MotionAGFormer, "image", skeleton=_3DHP, license="Apache-2.0"),
    "tcpformer": Peer(TCPFormer, "image"),
    "tcpformer-3dhp": Peer(TCPFormer, "image", skeleton=_3DHP),
    "pstmo": _PSTMO,
    "pstmo-3dhp": Peer(PSTMO, "mm", skeleton=_3DHP, license="MIT"),
    "pstmo-coco": replace(_PSTMO, keypoints=COCO17.name),
    "glagcn": Peer(GLAGCN, "m", windows="centered", root="keep"),
    "diffpose": Peer(DiffPose, "m", license="MIT", windows="covering", root="subtract", flip=False),
    "diffpose-refiner": Peer(DiffPoseRefiner, "m", license="MIT"),
}


class Inert:
    """Replacement for an object next to the weights, with any arguments and without state."""

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


_INERT = ["numpy.dtype", "numpy.ndarray", "numpy.random.__RandomState_ctor"]
_INERT += [
    f"numpy.{core}.multiarray.{name}"
    for core in ("core", "_core")
    for name in ("scalar", "_reconstruct")
]
_INERT += [f"numpy.random._pickle.__{name}_ctor" for name in ("randomstate", "bit_generator")]
_INERT += [f"numpy.random.{name}" for name in ("_mt19937.MT19937", "mtrand.RandomState")]
_INERT += ["numpy.random.mtrand.__RandomState_ctor"]


def read_file(path: Path | str, what: str) -> Any:
    """Load the content of a file of weights.

    Args:
        path: File to load.
        what: Description of the expected file, for the error message.

    Raises:
        UserError: If the file does not exist, is not such a file, or requires code to be unpickled.
    """
    try:
        with torch.serialization.safe_globals([(Inert, name) for name in _INERT]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise UserError(f"no such file: {path}") from error
    except UNREADABLE as error:
        raise UserError(f"{path} is not a file of {what}: {refusal(error)}") from error


def refusal(error: Exception) -> str:
    """The reason why PyTorch did not load a file, in one line that names what was refused."""
    refused = re.search(r"GLOBAL (\S+)", str(error))  # in the middle of a long message
    if refused:
        return f"it holds {refused[1]}, which could run code"
    return next(iter(str(error).splitlines()), "it is empty or cut off")


def state_dict(content: Any, where: str, *, ema: bool = False) -> dict[str, Tensor]:
    """The weights in the content of a file, without the `module.` prefix of DataParallel.

    Args:
        content: A state dict, a dict with one under `model_pos` or `model`, or a list whose first
            entry is one and whose fifth entry has averages of it.
        where: Name of the file, for the error message.
        ema: Whether to use the averages; the official scores are without them.

    Raises:
        UserError: If there are no weights.
    """
    if ema:
        if not isinstance(content, list) or len(content) < 5:
            raise UserError(f"{where} has no averaged weights: leave ema out")
        content = content[4]
    elif isinstance(content, list) and content:
        content = content[0]
    if isinstance(content, Mapping):
        content = content.get("model_pos", content.get("model", content))
    if not isinstance(content, Mapping) or not content:
        raise UserError(
            f"{where}: no weights: expected a state dict, or a dict with the key model_pos"
        )
    weights = {str(key).removeprefix("module."): value for key, value in content.items()}
    if strange := [key for key, value in weights.items() if not isinstance(value, Tensor)]:
        raise UserError(f"{where}: these are no weights: {strange[0]} is not a tensor")
    return weights


def sizes_of(name: str, weights: Mapping[str, Tensor], where: str) -> dict[str, Any]:
    """The constructor arguments of a network that weights determine.

    Raises:
        UserError: If the weights are those of another network, which is named, or of other joints.
    """
    try:
        sizes = PEERS[name].cls.sizes(weights)
    except UNREADABLE as error:
        others = [other for other in PEERS if _fits(other, weights)]
        hint = f": they are {' or '.join(others)}'s" if others else ""
        raise UserError(f"{where} has no weights of {name}{hint}") from error
    if (joints := sizes.get("num_joints", len(H36M17))) != len(H36M17):
        humaneva = ", as HumanEva has" if joints == 15 else ""
        raise UserError(f"{where} has weights for {joints} joints{humaneva}: only 17 are lifted")
    return sizes


def _fits(name: str, weights: Mapping[str, Tensor]) -> bool:
    try:
        PEERS[name].cls.sizes(weights)
    except UNREADABLE:
        return False
    return True
