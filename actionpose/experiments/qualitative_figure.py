"""Figure 7: input 2D, our 3D and the baseline's 3D of chosen frames of Human3.6M, side by side."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose.datasets.paired import PairedDataset, covering_rows
from actionpose.evaluation.paired import Predict, Windows
from actionpose.evaluation.protocols import PROTOCOLS, SYNTHETIC
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.visualization.drawing import TARGET_COLOR, draw_bones, new_figure, turned

Array = NDArray[np.floating]

NUM_CHOSEN = 3  # rows of the paper's figure


def choose_frames(pairs: PairedDataset, number: int = NUM_CHOSEN) -> list[tuple[int, int]]:
    """Videos (their places) and frames: the least confident of different actions, and one clear.

    As in the paper's figure, whose first and third rows have occluded keypoints and whose second
    is clear.
    """
    confidence = np.asarray(pairs.keypoints_px[..., 2], dtype=np.float64).mean(axis=1)
    blocked = PROTOCOLS[pairs.kind].blocked
    worst = []
    for place, video in enumerate(pairs.videos):
        if video.name.startswith(blocked):
            confidence[video.start : video.stop] = -1  # bad ground truth
            continue
        frame = int(confidence[video.start : video.stop].argmin())
        worst.append((float(confidence[video.start + frame]), place, frame))
    chosen: list[tuple[int, int]] = []
    actions: set[str] = set()
    for _, place, frame in sorted(worst):
        if pairs.videos[place].action not in actions and len(chosen) < number - 1:
            chosen.append((place, frame))
            actions.add(pairs.videos[place].action)
    clearest = int(confidence.argmax())
    place = int(pairs.video_of_rows()[clearest])
    chosen.insert(1, (place, clearest - pairs.videos[place].start))
    return chosen


def parse_frames(texts: tuple[str, ...], pairs: PairedDataset) -> list[tuple[int, int]]:
    """VIDEO:FRAME as places and frames.

    Raises:
        UserError: no such video or frame.
    """
    names = [video.name for video in pairs.videos]
    result = []
    for text in texts:
        name, _, frame = text.rpartition(":")
        if name not in names:
            raise UserError(f"no video {name!r}; the first is {names[0]}, so say {names[0]}:0")
        place = names.index(name)
        if not frame.isdigit() or int(frame) >= len(pairs.videos[place]):
            raise UserError(f"{name} has frames 0 to {len(pairs.videos[place]) - 1}, not {frame}")
        result.append((place, int(frame)))
    return result


def draw_figure7(
    pairs: PairedDataset,
    chosen: list[tuple[int, int]],
    columns: dict[str, tuple[Predict, int]],
    path: Path,
) -> Path:
    """Draw the figure.

    Args:
        chosen: videos and frames, a row each.
        columns: a name to a predictor and the length of its windows; ours first.
        path: the picture; its suffix is the format.

    Raises:
        UserError: matplotlib is missing, or the file cannot be written.
    """
    views = 2  # from the camera, and turned
    figure = new_figure(
        2.6 * (1 + views * len(columns)), 2.8 * len(chosen) + 0.6, dpi=130, layout="constrained"
    )
    grid = figure.add_gridspec(len(chosen), 1 + views * len(columns))
    for line, (place, frame) in enumerate(chosen):
        video = pairs.videos[place]
        row = video.start + frame
        axes = figure.add_subplot(grid[line, 0])
        seen = np.asarray(pairs.keypoints_px[row], dtype=np.float64)
        draw_bones(axes, seen, reach=0.6 * float(np.ptp(seen[:, :2], axis=0).max()))
        weak = seen[seen[:, 2] < 0.5]
        axes.plot(weak[:, 0], weak[:, 1], "o", color="black", markersize=3, fillstyle="none")
        axes.set_title(f"{video.name}\nframe {frame}, input 2D", fontsize=7.5, loc="left")
        truth = np.asarray(pairs.truth_mm[row], dtype=np.float64)
        truth = truth - truth[:1]
        reach = 0.65 * float(np.ptp(truth, axis=0).max())
        for column, (name, (predict, frames)) in enumerate(columns.items()):
            pred = _pose_at(row, place, pairs, predict, frames)
            error = float(np.linalg.norm(pred - truth, axis=-1).mean())
            for view, (behind, front) in enumerate(((truth, pred), (turned(truth), turned(pred)))):
                axes = figure.add_subplot(grid[line, 1 + views * column + view])
                draw_bones(axes, behind, color=TARGET_COLOR, width=4.5)
                draw_bones(axes, front, reach=reach)
                if view == 0:
                    axes.set_title(f"{name}\n{error:.0f} mm", fontsize=7.5, loc="left")
    mark = f"{SYNTHETIC}. " if pairs.info.get("synthetic") else ""
    figure.suptitle(
        f"{mark}Orange is the person's right, blue the left, gray the truth; each 3D from the "
        "camera and turned. Circles: confidence below 0.5",
        fontsize=8,
    )
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished)
    return path


def _pose_at(row: int, place: int, pairs: PairedDataset, predict: Predict, frames: int) -> Array:
    """The pose (17, 3) of one row in millimeters, from the window that scores it."""
    windows = Windows(*covering_rows([pairs.videos[place]], frames), 0)
    window, frame = np.argwhere((windows.rows == row) & windows.scored)[0]
    pose = predict(windows, np.array([window]))[0, frame]
    assert pose.shape == (len(H36M17), 3)
    return pose - pose[:1]
