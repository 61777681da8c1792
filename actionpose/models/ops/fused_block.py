"""Fused attention and MLP of the encoder (half a block) for training on a CPU.

With the widths of small encoders, a training step spends most of its time on writing intermediate
results to memory and reading them. `fused_block.cpp` computes attention and MLP for a few sequences
at a time, with intermediate results in the cache, and recomputes them for the gradient. It is
compiled for the local processor on first use and stored in the cache folder of the user. The
environment variables CXX and CXXFLAGS select another compiler and further flags, such as
-mno-avx512bf16.
"""

import ctypes
import functools
import hashlib
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write, cache_folder

SOURCE = Path(__file__).with_name("fused_block.cpp")
_FLAGS = ["-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math"]
_FLAGS += ["-shared", "-fPIC", "-pthread"]
if platform.machine().lower() in ("x86_64", "amd64"):
    _FLAGS.append("-mprefer-vector-width=512")


def simd_width() -> int:
    """Number of floats per vector register; widths must be multiples of it."""
    return int(library().simd_width())


def has_bf16() -> bool:
    """Whether the processor and the compiler support products in bf16."""
    return bool(library().has_bf16())


def half_block(
    x: Tensor,
    parameters: list[Tensor],
    num_heads: int,
    valid: Tensor | None,
    *,
    over_frames: bool,
) -> Tensor:
    """y = x + attention(norm(x)), then y + MLP(norm(y)), over joints or over frames.

    Args:
        x: (B, T, J, D) float32 on the CPU. Under autocast to bf16, only the factors of products are
            rounded to bf16, if the processor supports such products (avx512_bf16).
        parameters: Weight and bias of the first norm, qkv, proj, the second norm, fc1 and fc2.
        num_heads: Number of attention heads.
        valid: (B, T) bool, True for frames that are attended to; only over frames.
        over_frames: Whether attention is over frames; else over joints.
    """
    apply: Any = _HalfBlock.apply
    result: Tensor = apply(x, num_heads, valid, over_frames, *parameters)
    return result


class _HalfBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, num_heads: int, valid: Tensor | None, over_frames: bool, *rest: Tensor
    ) -> Tensor:
        x = x.float().contiguous()
        valid = None if valid is None else valid.contiguous()
        ctx.save_for_backward(x, valid, *rest)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None
        bf16 = dtype == torch.bfloat16
        ctx.num_heads, ctx.over_frames, ctx.bf16 = num_heads, over_frames, bf16
        y = torch.empty_like(x)
        arguments = _arguments(x, num_heads, valid, over_frames, bf16, rest)
        library().forward(*arguments, _pointer(y))
        return y

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, ...]:
        x, valid, *rest = ctx.saved_tensors
        d_x, d_y = torch.empty_like(x), d_y.contiguous()
        flat = torch.empty(sum(p.numel() for p in rest))
        arguments = _arguments(x, ctx.num_heads, valid, ctx.over_frames, ctx.bf16, rest)
        library().backward(*arguments, _pointer(d_y), _pointer(d_x), _pointer(flat))
        parts = torch.split(flat, [p.numel() for p in rest])
        gradients = (part.view(p.shape) for part, p in zip(parts, rest, strict=True))
        return d_x, None, None, None, *gradients


def _arguments(
    x: Tensor,
    num_heads: int,
    valid: Tensor | None,
    over_frames: bool,
    bf16: bool,
    parameters: Any,
) -> tuple[Any, ...]:
    hidden = parameters[9].numel()  # the bias of fc1
    return (
        (ctypes.c_long * 7)(*x.shape, num_heads, hidden, bf16),
        over_frames,
        _pointer(x),
        (ctypes.c_void_p * len(parameters))(*(p.data_ptr() for p in parameters)),
        None if valid is None else _pointer(valid),
        ctypes.c_long(torch.get_num_threads()),
    )


def _pointer(x: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled `fused_block.cpp`; the first call on a machine takes a few seconds.

    Raises:
        UserError: If there is no C++ compiler, the compilation fails, or the cache folder cannot be
            used.
    """
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise UserError(
            "the fused kernels need a C++ compiler (g++ or clang++): install one, or set "
            "training.device to cpu"
        )
    command = [compiler, *_FLAGS, *os.environ.get("CXXFLAGS", "").split()]
    path = cache_folder() / f"fused-{_fingerprint(command)}.so"
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as unfinished:
                _compile(command, unfinished)
        return ctypes.CDLL(os.fspath(path))
    except OSError as error:
        raise UserError(
            f"cannot keep the fused kernels in {path.parent} ({error}): set XDG_CACHE_HOME to a "
            "folder that can be written and run from, or training.device to cpu"
        ) from error


def _compile(command: list[str], target: Path) -> None:
    files = ["-o", os.fspath(target), os.fspath(SOURCE)]
    try:
        subprocess.run([*command, *files], check=True, capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"cannot run the C++ compiler {command[0]}: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        first = next(iter(error.stderr.strip().splitlines()), "no message")
        raise UserError(
            f"{command[0]} cannot compile the fused kernels ({first}): set CXX to another "
            "compiler, or training.device to cpu"
        ) from error


def _fingerprint(command: list[str]) -> str:
    """A hash of the source, compiler, flags and processor, on which -march=native depends."""
    facts = [SOURCE.read_bytes(), *map(str.encode, command)]
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        facts += [line.encode() for line in lines if line.startswith(("flags", "Features"))][:1]
    except OSError:
        facts.append(platform.processor().encode())
    return hashlib.sha256(b"\0".join(facts)).hexdigest()[:16]
