"""The protocols of Human3.6M and MPI-INF-3DHP as plain loops, written from their descriptions."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.spatial
import scipy.spatial.transform

SIZES = {"54138969": (1000, 1002), "55011271": (1000, 1000)}
BLOCKED = ("s_09_act_05_subact_02", "s_09_act_10_subact_02", "s_09_act_13_subact_01")


def plain_distance(a: np.ndarray, b: np.ndarray) -> float:
    return sum((a[i] - b[i]) ** 2 for i in range(3)) ** 0.5


def plain_mpjpe(pred: np.ndarray, target: np.ndarray) -> float:
    return sum(plain_distance(p, t) for p, t in zip(pred, target, strict=True)) / len(pred)


def scipy_p_mpjpe(pred: np.ndarray, target: np.ndarray) -> float:
    """SciPy brings both to the origin and size 1; undo the target's part of that."""
    size = np.linalg.norm(target - target.mean(axis=0))
    a, b, _ = scipy.spatial.procrustes(target, pred)
    return np.linalg.norm(a - b, axis=-1).mean() * size


def rotation_p_mpjpe(pred: np.ndarray, target: np.ndarray) -> float:
    """SciPy's Procrustes also reflects; its best rotation does not."""
    x, y = pred - pred.mean(axis=0), target - target.mean(axis=0)
    turned = scipy.spatial.transform.Rotation.align_vectors(y, x)[0].apply(x)
    return np.linalg.norm((turned * y).sum() / (x * x).sum() * turned - y, axis=-1).mean()


def plain_n_mpjpe(pred: np.ndarray, target: np.ndarray) -> float:
    scale = sum(float(p @ t) for p, t in zip(pred, target, strict=True)) / sum(
        float(p @ p) for p in pred
    )
    return plain_mpjpe(scale * pred, target)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def plain_h36m(
    table: dict[str, Any],
    poses: np.ndarray,
    frames: int,
    p_mpjpe: Callable[[np.ndarray, np.ndarray], float] = scipy_p_mpjpe,
) -> list[float]:
    """MotionBERT's evaluation, one frame after the other.

    Args:
        poses: (C, frames, 17, 3) predictions in units of half the image's width.
    """
    starts, first = [], 0
    for i in range(1, len(table["source"]) + 1):
        if i == len(table["source"]) or table["source"][i] != table["source"][first]:
            start = first
            while start + frames <= i:
                starts.append(start)
                start += frames
            first = i
    by_action, velocities = {}, {}
    clip = 0
    before = None
    for start in starts:
        if table["source"][start].startswith(BLOCKED):
            continue
        for t in range(frames):
            row = start + t
            width, height = SIZES[table["camera_name"][row]]
            pred = np.array(poses[clip, t], dtype=np.float64)
            pred[0] = 0
            pred[:, 0] = (pred[:, 0] + 1) * width / 2
            pred[:, 1] = (pred[:, 1] + height / width) * width / 2
            pred[:, 2] = pred[:, 2] * width / 2
            pred = pred * float(table["2.5d_factor"][row])
            target = table["joints_2.5d_image"][row].astype(np.float64)
            pred, target = pred - pred[0], target - target[0]
            errors = (
                plain_mpjpe(pred, target),
                p_mpjpe(pred, target),
                plain_n_mpjpe(pred, target),
            )
            by_action.setdefault(table["action"][row], []).append(errors)
            if before is not None and before[0] == (row - 1, table["source"][row]):
                step = (pred - before[1]) - (target - before[2])
                velocities.setdefault(table["action"][row], []).append(
                    plain_mpjpe(step, np.zeros((17, 3)))
                )
            before = ((row, table["source"][row]), pred, target)
        clip += 1
    assert clip == len(poses)
    actions = sorted(by_action)
    result = [mean([mean([e[k] for e in by_action[a]]) for a in actions]) for k in range(3)]
    return [*result, mean([mean(velocities[a]) for a in actions])]


def plain_3dhp(
    data: dict[str, Any], poses: dict[str, np.ndarray], joints: int
) -> tuple[list[float], list[float]]:
    """MPI-INF-3DHP's evaluation. `poses` is a dict of (valid frames, 17, 3), its order."""
    frames, by_sequence = [], {}
    for name, sequence in data.items():
        number = 0
        for t in range(len(sequence["data_3d"])):
            if not sequence["valid"][t]:
                continue
            pred, target = poses[name][number], sequence["data_3d"][t].astype(np.float64)
            pred, target = pred - pred[14], target - target[14]
            errors = [plain_distance(pred[j], target[j]) for j in range(17)]
            counted = errors[:14] if joints == 14 else errors
            pck = mean([error < 150 for error in counted])
            auc = mean([mean([error < limit for error in counted]) for limit in range(0, 151, 5)])
            row = (100 * pck, 100 * auc, mean(errors), scipy_p_mpjpe(pred, target))
            frames.append(row)
            by_sequence.setdefault(name, []).append(row)
            number += 1
    over_frames = [mean([row[k] for row in frames]) for k in range(4)]
    sequences = [
        [mean([row[k] for row in rows]) for k in range(4)] for rows in by_sequence.values()
    ]
    return over_frames, [mean([row[k] for row in sequences]) for k in range(4)]
