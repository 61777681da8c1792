"""Other backbones scored as their authors do, against plain loops written from descriptions."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.command_line import call
from helpers.plain_protocols import plain_mpjpe
from safetensors.torch import save_file

from actionpose.datasets.paired import PairedDataset
from actionpose.evaluation.paired import evaluate, protocol_for
from actionpose.evaluation.paired_models import authors_protocol, load_model, model_predict
from actionpose.models import build_encoder
from actionpose.skeletons import H36M17, MPI_INF_3DHP17

FRAMES = 9
LEFT, RIGHT = [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]
# of MPI-INF-3DHP's joints, their places among Human3.6M's: head top, neck, right arm, left arm,
# right leg, left leg, pelvis, spine, head
ORDER_3DHP = [10, 8, 14, 15, 16, 11, 12, 13, 1, 2, 3, 4, 5, 6, 0, 7, 9]


@dataclass
class Way:
    """How a family scores, said independently of the package.

    Args:
        output: all frames of a window, its middle one, or as many as convolutions leave.
        step: between the frames of a window.
        twice: the overlap of the last window counts twice.
        pelvis: keep, zero or subtract.
    """

    output: str
    step: int = 1
    twice: bool = False
    pelvis: str = "zero"
    flip: bool = True
    frames: int = FRAMES


WAYS = {
    "mixste": Way("all", twice=True, pelvis="keep"),
    "ktpformer": Way("all", twice=True, pelvis="keep"),
    "videopose3d": Way("middle", pelvis="keep"),
    "stcformer": Way("middle", step=3),
    "pstmo": Way("middle", step=2),
    "glagcn": Way("middle", pelvis="keep"),
    "diffpose": Way("all", pelvis="subtract", flip=False, frames=1),
}


def checkpoint_of(folder: Path, name: str, frames: int = FRAMES, **meta: Any) -> Path:
    """A small backbone as a file of its authors would be converted."""
    torch.manual_seed(0)
    model = {"backbone": name, "dim": 16, "depth": 1, "num_heads": 2, "max_frames": frames}
    encoder = build_encoder(**model)
    for parameter in encoder.parameters():  # no pose is near 0
        parameter.data += 0.02 * torch.randn_like(parameter)
    skeleton = (MPI_INF_3DHP17 if name.endswith("-3dhp") else H36M17).name
    facts = {"format": 1, "model": model, "frames": frames, "normalization": "image"}
    folder.mkdir()
    save_file(encoder.state_dict(), folder / "weights.safetensors")
    (folder / "meta.json").write_text(json.dumps(facts | {"skeleton": skeleton} | meta))
    return folder


def mirrored(points: np.ndarray) -> np.ndarray:
    result = points.copy()
    result[..., LEFT, :], result[..., RIGHT, :] = points[..., RIGHT, :], points[..., LEFT, :]
    result[..., 0] *= -1
    return result


def run(network: Any, clips: np.ndarray, order: list[int]) -> np.ndarray:
    """(N, T, 17, 3) of Human3.6M's joints to (N, T', 17, 3) of them."""
    with torch.inference_mode():
        found = network.poses(torch.from_numpy(clips[:, :, order]).float()).double().numpy()
    result = np.empty_like(found)
    result[:, :, order] = found
    return result


def windows(length: int, way: Way) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
    """The frames of each window, and which of its outputs score which frame."""
    if way.output == "middle":
        for t in range(length):
            half = way.frames // 2
            frames = [t + way.step * k for k in range(-half, half + 1)]
            yield [min(max(f, 0), length - 1) for f in frames], [(0, t)]
        return
    start = 0
    while start < length:
        first = max(min(start, length - way.frames), 0)
        frames = [min(first + k, length - 1) for k in range(way.frames)]
        kept = [k for k in range(way.frames) if way.twice or start <= first + k < length]
        yield frames, [(k, frames[k]) for k in kept]
        start += way.frames


def plain_error(
    network: Any,
    pairs: PairedDataset,
    video: Any,
    way: Way,
    to_mm: float,
    order: list[int],
    keep: np.ndarray,
) -> list[float]:
    """The errors of a video's frames, millimeters, as often as they count."""
    rows = slice(video.start, video.stop)
    truth = np.asarray(pairs.truth_mm[rows], np.float64)
    px = np.asarray(pairs.keypoints_px[rows, :, :2], np.float64)
    points = np.stack(
        [
            px[..., 0] / video.width * 2 - 1,
            px[..., 1] / video.width * 2 - video.height / video.width,
        ],
        axis=-1,
    )
    points = np.concatenate([points, np.ones_like(points[..., :1])], axis=-1)
    chosen = [w for w in windows(len(truth), way) if any(keep[t] for _, t in w[1])]
    clips = np.array([points[frames] for frames, _ in chosen])
    poses = run(network, clips, order)
    if way.flip:
        poses = (poses + mirrored(run(network, mirrored(clips), order))) / 2
    errors = []
    for pose, (_, scored) in zip(poses, chosen, strict=True):
        if way.pelvis == "subtract":
            pose = pose - pose[:, :1]
        if way.pelvis == "zero":
            pose[:, 0] = 0
        if way.output == "middle" and len(pose) > 1:
            pose = pose[len(pose) // 2][None]
        for k, t in scored:
            errors.append(plain_mpjpe(to_mm * pose[k], truth[t] - truth[t][:1]))
    return errors


@pytest.mark.parametrize("name", WAYS)
def test_cpn_score_is_that_of_a_plain_loop(
    cpn: tuple[PairedDataset, Any, Any], tmp_path: Path, name: str
) -> None:
    """Of two videos, of 40 frames: no multiple of a window."""
    pairs, way = cpn[0], WAYS[name]
    folder = checkpoint_of(tmp_path / "m", name, way.frames, unit_mm=1000.0, frame_step=way.step)
    model = load_model(str(folder), pairs.kind, "cpu")
    protocol = protocol_for(pairs, authors_protocol(model, pairs), blocked=all_but(pairs, 2))
    report = evaluate(model_predict(model, pairs, protocol), pairs, protocol).report
    videos = [v for v in pairs.videos if not v.name.startswith(protocol.blocked)]
    order, keep = list(range(17)), np.ones(40, bool)
    errors = {
        v.action: plain_error(model.encoder.backbone, pairs, v, way, 1000, order, keep)
        for v in videos
    }
    assert len(errors) == 2
    expected = np.mean([np.mean(own) for own in errors.values()])
    assert report["mpjpe_mm"] == pytest.approx(expected, rel=1e-5)
    assert f"T = {way.frames}" in report["protocol"] and f"of {name}" in report["protocol"]
    assert ("one of" in report["protocol"]) == (way.step > 1)


def all_but(pairs: PairedDataset, number: int) -> tuple[str, ...]:
    """Names of the videos to leave out, but the first of so many actions."""
    firsts = {video.action: video.name for video in reversed(pairs.videos)}
    kept = list(firsts.values())[:number]
    return tuple(video.name for video in pairs.videos if video.name not in kept)


@pytest.mark.parametrize(
    ("name", "unit_mm", "scale"),
    [
        ("stcformer-3dhp", 1.0, "constant"),
        ("pstmo-3dhp", 1.0, "constant"),
        ("motionagformer-3dhp", None, "image_width"),
    ],
)
def test_3dhp_score_of_its_own_joints_is_that_of_a_plain_loop(
    dhp: PairedDataset, tmp_path: Path, name: str, unit_mm: float | None, scale: str
) -> None:
    folder = checkpoint_of(tmp_path / "m", name, unit_mm=unit_mm)
    model = load_model(str(folder), dhp.kind, "cpu")
    videos = [dhp.videos[0], dhp.videos[-1]]  # a square image and a wide one
    blocked = tuple(v.name for v in dhp.videos if v not in videos)
    protocol = protocol_for(dhp, authors_protocol(model, dhp), blocked=blocked)
    in_units = model.unit_mm == dhp.unit_mm
    report = evaluate(model_predict(model, dhp, protocol), dhp, protocol, in_units=in_units).report
    errors = []
    for video in videos:
        keep = np.asarray(dhp.scored[video.start : video.stop])
        to_mm = video.width / 2 if unit_mm is None else unit_mm
        way = Way("middle")
        errors += plain_error(model.encoder.backbone, dhp, video, way, to_mm, ORDER_3DHP, keep)
    assert report["mpjpe_mm"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert protocol.scale == scale and (unit_mm is None) == ("scales" in report)


def test_network_of_one_frame_is_scored_on_the_other_file(
    sh: PairedDataset, tmp_path: Path
) -> None:
    for name, windows_of_it in (("pstmo", "centered"), ("motionagformer", "full")):
        model = load_model(str(checkpoint_of(tmp_path / name, name)), sh.kind, "cpu")
        protocol = protocol_for(sh, authors_protocol(model, sh))
        assert (protocol.windows, protocol.frames) == (windows_of_it, FRAMES)
        assert ("tails too" in protocol.title) == (name == "pstmo")


def test_evaluate_chooses_the_way_and_says_which(
    cpn: tuple[PairedDataset, Any, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = checkpoint_of(tmp_path / "m", "diffpose", 1, unit_mm=1000.0)
    command = ("evaluate", "h36m", "--data", cpn[0].folder, "--checkpoint", folder)
    options = ("--device", "cpu", "--quiet", "--batch-size", "1024")
    assert call(monkeypatch, *command, *options) == 0
    out = capsys.readouterr().out
    assert "covering windows, pelvis: subtract, T = 1, no flip, of diffpose" in out
    assert call(monkeypatch, *command, *options, "--family", "pstmo") == 0
    assert "NOT as the authors of diffpose score" in capsys.readouterr().out
    assert call(monkeypatch, *command, "--frames", "3") == 2
    assert "was trained with 1 frames" in capsys.readouterr().err
