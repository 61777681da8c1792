"""SMPL-H joints per second with the reduced body, compared with posing the full mesh.

    PYTHONPATH=tests python benchmarks/smplh_speed.py          # about 2 minutes on one quiet core
    PYTHONPATH=tests python benchmarks/smplh_speed.py --quick  # a few seconds, to see that it runs

The body model is synthetic, with the size of SMPL-H: 6,890 vertices, 52 joints, 16 shape
coefficients. The mesh is posed in batches with PyTorch in float32, with all sums as matrix
products, and then regressed to 17 joints. If the package smplx is installed, its SMPLH class is
also timed with the same body model. All runs use one thread. Times are CPU time, and the methods
alternate, so that load on the machine affects all of them: ratios (medians over rounds) are more
reliable than frames per second.

The regressor is local (12 vertices per joint, as in actual regressors) or dense (all vertices for
each joint).
"""

import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import tyro
from helpers.bodies import regressor, write_bodies
from torch import Tensor

from actionpose.prepare.amass.body_models import BodyModel, load_body
from actionpose.prepare.amass.smplh import pose_joints, reduce_body

VERTICES = 6890


class FullMesh:
    """Linear blend skinning of all vertices in batches."""

    def __init__(self, body: BodyModel, matrix: np.ndarray, dtype: torch.dtype) -> None:
        def tensor(value: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(value)).to(dtype)

        num_vertices = len(body.template_m)
        self.parents = body.parents.tolist()
        self.template, self.matrix = tensor(body.template_m), tensor(matrix)
        self.shape_dirs = tensor(body.shape_dirs)
        self.pose_dirs = tensor(body.pose_dirs.reshape(num_vertices * 3, -1).T)  # (9 (J - 1), 3 V)
        self.joint_regressor, self.weights = tensor(body.joint_regressor), tensor(body.weights)

    def __call__(self, poses: Tensor, betas: Tensor, trans_m: Tensor) -> Tensor:
        frames = len(poses)
        shaped = self.template + self.shape_dirs @ betas
        rest = self.joint_regressor @ shaped  # (J, 3)
        angle = poses.view(frames, -1, 3).norm(dim=-1, keepdim=True).clamp(min=1e-12)
        x, y, z = (poses.view(frames, -1, 3) / angle).unbind(-1)
        zero = torch.zeros_like(x)
        cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1)
        cross = cross.view(frames, -1, 3, 3)
        sine, cosine = angle.sin()[..., None], angle.cos()[..., None]
        turned = sine * cross + (1 - cosine) * (cross @ cross)  # (T, J, 3, 3), minus the identity
        offsets = (turned[:, 1:].reshape(frames, -1) @ self.pose_dirs).view(frames, -1, 3)
        rotation = turned + torch.eye(3, dtype=poses.dtype)
        world, place = [rotation[:, 0]], [rest[0].expand(frames, 3)]
        for joint, parent in enumerate(self.parents[1:], start=1):
            world.append(world[parent] @ rotation[:, joint])
            bone = rest[joint] - rest[parent]
            place.append(place[parent] + world[parent] @ bone)
        turns = torch.stack(world, dim=1)
        moves = torch.stack(place, dim=1) - (turns @ rest[..., None]).squeeze(-1)
        motion = torch.cat([turns, moves[..., None]], dim=-1).flatten(2)  # (T, J, 12)
        blended = (self.weights @ motion).view(frames, -1, 3, 4)
        posed = (blended[..., :3] @ (shaped + offsets)[..., None]).squeeze(-1) + blended[..., 3]
        return self.matrix @ (posed + trans_m[:, None])


def smplx_mesh(folder: Path, matrix: np.ndarray, batch: int) -> Callable[..., Tensor] | None:
    """The same computation with the package smplx, if it is installed."""
    try:
        import smplx
    except ImportError:
        return None
    with contextlib.redirect_stdout(io.StringIO()):  # it warns about 16 shape coefficients
        model = smplx.SMPLH(
            str(folder),
            gender="female",
            ext="npz",
            use_pca=False,
            flat_hand_mean=True,
            num_betas=10,
            batch_size=batch,
        )
    rows = torch.from_numpy(matrix).float()

    def run(poses: Tensor, betas: Tensor, trans_m: Tensor) -> Tensor:
        posed = model(
            betas=betas[:10].expand(len(poses), -1),  # it truncates 16 coefficients to 10
            global_orient=poses[:, :3],
            body_pose=poses[:, 3:66],
            left_hand_pose=poses[:, 66:111],
            right_hand_pose=poses[:, 111:],
            transl=trans_m,
        )
        return rows @ posed.vertices

    return run


def for_smplx(folder: Path) -> Path:
    """A copy of the body model with the additional keys that smplx requires."""
    arrays = dict(np.load(folder / "smplh" / "female" / "model.npz"))
    for side in "lr":
        arrays |= {f"hands_mean{side}": np.zeros(45), f"hands_components{side}": np.eye(45)}
    (folder / "package").mkdir()
    np.savez(folder / "package" / "SMPLH_FEMALE.npz", **arrays)
    return folder / "package"


def seconds_a_frame(run: Callable[[], Any], frames: int) -> float:
    started = time.process_time()
    run()
    return (time.process_time() - started) / frames


def table(folder: Path, local: bool, rounds: int) -> list[str]:
    body = load_body(folder / "smplh" / "female" / "model.npz")
    matrix = regressor(body.template_m, local)
    started = time.process_time()
    made = reduce_body(body, matrix)
    once = time.process_time() - started
    rng = np.random.default_rng(0)
    poses, trans_m = rng.normal(0, 0.4, (16384, 156)), rng.normal(0, 1, (16384, 3))
    betas = rng.normal(0, 1, 16)
    single = torch.float32
    mesh, oracle = (FullMesh(body, matrix, dtype) for dtype in (single, torch.float64))

    def on_mesh(run: Callable[..., Tensor], frames: int, batch: int) -> Callable[[], Any]:
        given = [torch.from_numpy(value).float() for value in (poses[:frames], trans_m[:frames])]
        shape = torch.from_numpy(betas).float()

        def go() -> None:
            for start in range(0, frames, batch):
                part = slice(start, start + batch)
                run(given[0][part], shape, given[1][part])

        return go

    package = for_smplx(folder) if not (folder / "package").exists() else folder / "package"
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "full mesh, batch 64": (on_mesh(mesh, 256, 64), 256),
        "full mesh, batch 1": (on_mesh(mesh, 32, 1), 32),
        "reduced body, float32": (lambda: pose_joints(made, poses, betas, trans_m), len(poses)),
        "reduced body, float64": (
            lambda: pose_joints(made, poses[:4096], betas, trans_m[:4096], torch.float64),
            4096,
        ),
    }
    for batch, frames in ((64, 256), (1, 32)):
        run = smplx_mesh(package, matrix, batch)
        if run is not None:
            ways[f"smplx, batch {batch}"] = (on_mesh(run, frames, batch), frames)
    with torch.inference_mode():
        expected = oracle(*(torch.from_numpy(v) for v in (poses[:64], betas, trans_m[:64]))).numpy()
        apart = {
            dtype: np.abs(
                pose_joints(made, poses[:64], betas, trans_m[:64], dtype) - expected
            ).max()
            for dtype in (torch.float32, torch.float64)
        }
        for run_way, _ in ways.values():
            run_way()
        times = [
            {name: seconds_a_frame(run, frames) for name, (run, frames) in ways.items()}
            for _ in range(rounds)
        ]
    lines = [
        f"\n{'Local' if local else 'Dense'} regressor: {len(made.joint)} pairs of joint and bone, "
        f"reduced in {once:.2f} s; against the mesh in float64 at most "
        f"{apart[torch.float32]:.1e} m off in float32, {apart[torch.float64]:.1e} m in float64\n",
        "| way | frames a second | against full mesh, batch 64 |\n|---|---|---|",
    ]
    for name in ways:
        ratio = median(row["full mesh, batch 64"] / row[name] for row in times)
        rate = 1 / median(row[name] for row in times)
        lines.append(f"| {name} | {rate:,.0f} | {ratio:.2f} |")
    return lines


def main(quick: bool = False, rounds: int = 7) -> None:
    """Print a table for each regressor.

    Args:
        quick: Run one round only.
        rounds: Number of rounds; each method runs once per round.
    """
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread, float32 unless said")
    with tempfile.TemporaryDirectory() as name:
        write_bodies(name, num_vertices=VERTICES, genders=("female",))
        for local in (True, False):
            print("\n".join(table(Path(name), local, 1 if quick else rounds)), flush=True)


if __name__ == "__main__":
    tyro.cli(main)
