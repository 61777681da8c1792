"""Conversion of networks to ONNX, for inference engines and for other programs.

Letters in shapes: N clips, T frames, J joints, E embedding dimension, L labels.
"""

import contextlib
import hashlib
import io
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from actionpose import models
from actionpose.models import Encoder
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write, cache_folder

OUTPUTS = ("pose", "embedding", "label_scores")
PER_FRAME = ("pose", "log_error")
OPSET = 17  # from 2022, supported by all runtimes
_DIGEST = hashlib.sha256().digest_size


class ExportedNetwork(nn.Module):
    """An encoder as a function of only keypoints (N, T, J, 3).

    Args:
        encoder: Encoder in eval mode, on the CPU.
        outputs: Some of `OUTPUTS` in this order: `pose` (N, T, J, 3) with the pelvis at the origin,
            `embedding` (N, E) unit vectors, `label_scores` (N, L) cosine similarities with labels.
            Alternatively `log_error` (N, T, J) of networks with heads.
        labels: (L, E) Unit vectors of labels for `label_scores`.
    """

    labels: Tensor

    def __init__(self, encoder: Encoder, outputs: Sequence[str], labels: Tensor | None = None):
        super().__init__()
        self.encoder, self.outputs = encoder, outputs
        self.register_buffer("labels", labels)
        self.eval()

    def forward(self, keypoints: Tensor) -> list[Tensor]:
        found: dict[str, Tensor] = {}
        if "pose" in self.outputs:
            output = self.encoder(keypoints, embed="embedding" in self.outputs)
            found["pose"], embedding = output.pose - output.pose[:, :, :1], output.embedding
            found["log_error"] = output.log_error
        else:
            embedding = self.encoder.embed_motion(keypoints)
        if embedding is not None:
            found["embedding"] = nn.functional.normalize(embedding, dim=-1)
        if "label_scores" in self.outputs:
            found["label_scores"] = nn.functional.linear(found["embedding"], self.labels)
        return [found[name] for name in self.outputs]


def to_onnx(
    network: ExportedNetwork, frames: int, joints: int = len(H36M17), *, any_length: bool = False
) -> bytes:
    """Convert a network to an ONNX model in float32 for any number of clips.

    Args:
        network: Network to convert.
        frames: Number of frames of a clip.
        joints: Number of joints of a clip.
        any_length: Whether clips may have another number of frames. Some networks do not support
            this: compare the outputs.

    Raises:
        UserError: If the package onnx is missing, or torch cannot export the network.
    """
    try:
        import onnx  # noqa: F401  # required by the exporter of torch
    except ImportError:
        raise UserError("this needs the package onnx: pip install 'actionpose[onnx]'") from None
    axes = {0: "clips", 1: "frames"} if any_length else {0: "clips"}
    # a batch of one clip would become a constant
    example = torch.zeros(2, frames, joints, 3)
    file: Any = io.BytesIO()  # the exporter accepts it, in spite of its type annotation
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about traced values and this exporter
            with contextlib.suppress(AttributeError):  # no messages on failed exports
                torch._C._jit_set_onnx_log_enabled(False)
            torch.onnx.export(
                network,
                (example,),
                file,
                input_names=["keypoints"],
                output_names=list(network.outputs),
                dynamic_axes={"keypoints": axes}
                | {name: axes if name in PER_FRAME else {0: "clips"} for name in network.outputs},
                opset_version=OPSET,
                dynamo=False,
            )
    except Exception as error:  # torch and the network raise exceptions of many types
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"torch cannot export this network to ONNX: {reason}") from error
    return file.getvalue()


def cached_onnx(encoder: Encoder, frames: int, joints: int, outputs: Sequence[str]) -> bytes:
    """The ONNX model for clips of a number of frames and joints, stored in the user's cache.

    Raises:
        UserError: See `to_onnx`.
    """
    path = None
    with contextlib.suppress(UserError, OSError):
        path = cache_folder() / "onnx" / f"{fingerprint(encoder)}-{frames}-{joints}-{outputs[0]}"
        content = path.read_bytes()
        digest, model = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(model).digest() == digest:
            return model
    model = to_onnx(ExportedNetwork(encoder, outputs), frames, joints)
    if path:
        with contextlib.suppress(UserError, OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as unfinished:
                unfinished.write_bytes(hashlib.sha256(model).digest() + model)
    return model


def fingerprint(encoder: Encoder) -> str:
    """Hash of everything that affects an ONNX model: weights, settings, code and versions."""
    versions = f"{version('actionpose')} {torch.__version__} {OPSET}"
    digest = hashlib.sha256(f"{versions} {encoder!r}".encode())
    for source in (Path(__file__), *sorted(Path(models.__file__).parent.glob("*.py"))):
        digest.update(source.read_bytes())
    for module in encoder.modules():  # settings without a shape, such as the number of heads
        plain = {k: v for k, v in vars(module).items() if isinstance(v, (int, float, str))}
        digest.update(repr(sorted(plain.items())).encode())
    for name, value in encoder.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:24]
