"""Speed of `PoseEncoder` compared with a plain implementation of MotionBERT's DSTformer.

    python benchmarks/encoder_speed.py            # about 10 minutes on one quiet core
    python benchmarks/encoder_speed.py --quick    # one small size, to see that it runs

The plain network uses matmul-softmax attention, concatenation and softmax for the fusion, and
permutations between joints and frames, in float32 with the defaults of PyTorch. Its equivalence is
verified first. All runs use one thread. Times are CPU time, which is the wall time of an idle
machine. Both networks run alternately, so that load on the machine affects both: the ratios
(medians over pairs of runs) are more reliable than the frames per second.

Prints two Markdown tables: inference of one clip, and training steps (forward, backward, AdamW).
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import tyro
from torch import Tensor, nn

from actionpose.models.dstformer import PoseEncoder
from actionpose.models.dstformer_block import NORM_EPS
from actionpose.training.process import tune_malloc

SIZES: dict[str, dict[str, Any]] = {
    "full": {},
    "Lite": {"dim": 256, "mlp_ratio": 4},
    "bundled": {"dim": 64, "depth": 4, "num_heads": 2, "dim_rep": 64},
}
# dim, frames, clips per step
STEPS = [(64, 81, 8), (64, 243, 4), (128, 81, 8), (128, 243, 4)]
TOLERANCE = 1e-5


class PlainAttention(nn.Module):
    def __init__(self, dim: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.proj = nn.Linear(dim, dim)
        self.qkv = nn.Linear(dim, 3 * dim)

    def forward(self, x: Tensor, over_frames: bool) -> Tensor:  # (B, T, J, D)
        clips, frames, joints, dim = x.shape
        heads, size = self.num_heads, dim // self.num_heads
        qkv = self.qkv(x).reshape(clips, frames, joints, 3, heads, size)
        # joints: (B, T, H, J, D/H) each; frames: (B, J, H, T, D/H)
        axes = (3, 0, 2, 4, 1, 5) if over_frames else (3, 0, 1, 4, 2, 5)
        q, k, v = qkv.permute(axes)
        weights = ((q @ k.transpose(-2, -1)) * size**-0.5).softmax(dim=-1)
        x = (weights @ v).permute((0, 3, 1, 2, 4) if over_frames else (0, 1, 3, 2, 4))
        out: Tensor = self.proj(x.reshape(clips, frames, joints, dim))
        return out


class PlainMLP(nn.Module):
    def __init__(self, dim: int, ratio: float):
        super().__init__()
        self.fc1 = nn.Linear(dim, int(ratio * dim))
        self.act = nn.GELU()
        self.fc2 = nn.Linear(int(ratio * dim), dim)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(x)))
        return out


class PlainBlock(nn.Module):
    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, frames_first: bool):
        super().__init__()
        self.frames_first = frames_first
        for axis in "st":
            self.add_module(f"norm1_{axis}", nn.LayerNorm(dim, eps=NORM_EPS))
            self.add_module(f"attn_{axis}", PlainAttention(dim, num_heads))
            self.add_module(f"norm2_{axis}", nn.LayerNorm(dim, eps=NORM_EPS))
            self.add_module(f"mlp_{axis}", PlainMLP(dim, mlp_ratio))

    def forward(self, x: Tensor) -> Tensor:
        for axis in "ts" if self.frames_first else "st":
            norm1, attn = self.get_submodule(f"norm1_{axis}"), self.get_submodule(f"attn_{axis}")
            norm2, mlp = self.get_submodule(f"norm2_{axis}"), self.get_submodule(f"mlp_{axis}")
            x = x + attn(norm1(x), axis == "t")
            x = x + mlp(norm2(x))
        return x


class PlainDSTformer(nn.Module):
    """MotionBERT's DSTformer, implemented from its description, with our parameter names."""

    def __init__(self, dim: int, depth: int, num_heads: int, mlp_ratio: float, dim_rep: int):
        super().__init__()
        joints, max_frames = 17, 243
        self.temp_embed = nn.Parameter(torch.zeros(1, max_frames, 1, dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, joints, dim))
        self.joints_embed = nn.Linear(3, dim)

        def blocks(frames_first: bool) -> nn.ModuleList:
            block = (PlainBlock(dim, num_heads, mlp_ratio, frames_first) for _ in range(depth))
            return nn.ModuleList(block)

        self.blocks_st, self.blocks_ts = blocks(False), blocks(True)
        self.norm = nn.LayerNorm(dim, eps=NORM_EPS)
        self.pre_logits = nn.Sequential()
        self.pre_logits.add_module("fc", nn.Linear(dim, dim_rep))
        self.pre_logits.add_module("act", nn.Tanh())
        self.head = nn.Linear(dim_rep, 3)
        self.ts_attn = nn.ModuleList(nn.Linear(2 * dim, 2) for _ in range(depth))

    def forward(self, keypoints: Tensor) -> Tensor:  # (B, T, J, 3), and back
        x = self.joints_embed(keypoints) + self.pos_embed
        x = x + self.temp_embed[:, : keypoints.shape[1]]
        for st_block, ts_block, fuse in zip(
            self.blocks_st, self.blocks_ts, self.ts_attn, strict=True
        ):
            st, ts = st_block(x), ts_block(x)
            share = fuse(torch.cat([st, ts], dim=-1)).softmax(dim=-1)
            x = st * share[..., 0:1] + ts * share[..., 1:2]
        out: Tensor = self.head(self.pre_logits(self.norm(x)))
        return out


def make_pair(**size: Any) -> tuple[PlainDSTformer, PoseEncoder]:
    """Both networks with the same weights; checks that they predict the same poses."""
    torch.manual_seed(0)
    values = {"dim": 512, "depth": 5, "num_heads": 8, "mlp_ratio": 2, "dim_rep": 512, **size}
    ours = PoseEncoder(**values, class_token=False)
    with torch.no_grad():  # the initial fusion weights are the same for both streams
        for fuse in ours.ts_attn.parameters():
            fuse.add_(torch.randn_like(fuse) * 0.1)
    plain = PlainDSTformer(**values)
    plain.load_state_dict(ours.state_dict())
    keypoints = torch.randn(2, 20, 17, 3)
    with torch.inference_mode():
        difference = float((plain(keypoints) - ours(keypoints).pose).abs().max())
    assert difference < TOLERANCE, difference
    return plain.eval(), ours.eval()


def in_turns(
    baseline: Callable[[], object], others: dict[str, Callable[[], object]], seconds: float
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Time functions alternately, at least three runs of each, for about `seconds` of CPU time.

    Args:
        baseline: Function to compare with.
        others: Functions to time, by name.
        seconds: Total CPU time in seconds.

    Returns:
        Median seconds of the baseline; and for each other function its median seconds, and the
        median ratio of the baseline's time to its time.
    """

    def timed(run: Callable[[], object]) -> float:
        started = time.process_time()
        run()
        return time.process_time() - started

    for run in (baseline, *others.values()):
        run()  # warm
    rounds: list[tuple[float, dict[str, float]]] = []
    stop = time.process_time() + seconds
    while len(rounds) < 3 or time.process_time() < stop:
        rounds.append((timed(baseline), {name: timed(run) for name, run in others.items()}))
    return median(first for first, _ in rounds), {
        name: (
            median(times[name] for _, times in rounds),
            median(first / times[name] for first, times in rounds),
        )
        for name in others
    }


def inference_row(name: str, size: dict[str, Any], frames: int, seconds: float) -> str:
    plain, ours = make_pair(**size)
    keypoints = torch.randn(1, frames, 17, 3)

    def bf16() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            ours(keypoints)

    with torch.inference_mode():
        base, times = in_turns(
            lambda: plain(keypoints), {"float32": lambda: ours(keypoints), "bf16": bf16}, seconds
        )
    cells = [f"{frames / time_s:.0f} ({ratio:.2f})" for time_s, ratio in times.values()]
    return f"| {name} | {frames} | {frames / base:.0f} | {' | '.join(cells)} |"


def training_row(dim: int, frames: int, clips: int, seconds: float) -> str:
    plain, ours = make_pair(dim=dim, dim_rep=dim)
    keypoints, target = torch.randn(2, clips, frames, 17, 3)

    def stepper(model: nn.Module, bf16: bool) -> Callable[[], None]:
        optimizer = torch.optim.AdamW(model.train().parameters(), lr=1e-4)

        def step() -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                output = model(keypoints)
            pose = output if isinstance(output, Tensor) else output.pose
            optimizer.zero_grad()
            (pose.float() - target).norm(dim=-1).mean().backward()
            optimizer.step()

        return step

    base, times = in_turns(stepper(plain, False), {"bf16": stepper(ours, True)}, seconds)
    time_s, ratio = times["bf16"]
    rates = f"{clips / base:.2f} | {clips / time_s:.2f} ({ratio:.2f})"
    return f"| {dim} | {frames} | {clips} | {rates} |"


def main(quick: bool = False, seconds: float = 15) -> None:
    """Print both tables.

    Args:
        quick: Run only the bundled size and dim 64, for a short time.
        seconds: Approximate CPU time per row.
    """
    torch.set_num_threads(1)
    sizes = {"bundled": SIZES["bundled"]} if quick else SIZES
    seconds = 1 if quick else seconds
    print(f"torch {torch.__version__}, one thread; ratio to plain float32 in brackets\n")
    print("Inference, batch 1, frames a second\n")
    print("| size | frames | plain float32 | ours float32 | ours bf16 |\n|---|---|---|---|---|")
    for name, size in sizes.items():
        for frames in (27, 81) if quick else (27, 81, 243):
            print(inference_row(name, size, frames, seconds), flush=True)
    tune_malloc()  # as in `actionpose finetune`; affects both, because it is process-wide
    print("\nTraining steps, clips a second\n")
    print("| dim | frames | clips | plain float32 | ours bf16 |\n|---|---|---|---|---|")
    for dim, frames, clips in STEPS[:1] if quick else STEPS:
        print(training_row(dim, frames, clips, seconds), flush=True)


if __name__ == "__main__":
    tyro.cli(main)
