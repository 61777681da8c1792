"""Figure 7: input 2D, and 3D of this model and the baseline, for selected frames of Human3.6M.

A frame is given by its row in the arrays of the dataset.
"""

from pathlib import Path

import numpy as np

from actionpose.datasets.paired import PairedDataset, covering_rows
from actionpose.evaluation.error_analysis import draw_against_target
from actionpose.evaluation.paired import Predict, Windows, predict_row
from actionpose.evaluation.protocols import PROTOCOLS, SYNTHETIC
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.visualization.drawing import draw_bones, new_figure

NUM_CHOSEN = 3  # rows of the figure in the paper


def choose_frames(dataset: PairedDataset, number: int = NUM_CHOSEN) -> list[int]:
    """The least confident frames of different actions, with the most confident frame second.

    This corresponds to the figure in the paper, in which the first and third rows have occluded
    keypoints and the second row has not. Videos with wrong ground truth are excluded.
    """
    confidence = np.asarray(dataset.keypoints_px[..., 2], dtype=np.float64).mean(axis=1)
    usable = [v for v in dataset.videos if not v.name.startswith(PROTOCOLS[dataset.kind].blocked)]
    rows = np.concatenate([np.arange(video.start, video.stop) for video in usable])
    worst = [v.start + int(confidence[v.start : v.stop].argmin()) for v in usable]
    by_action: dict[str, int] = {}
    for row, video in sorted(zip(worst, usable, strict=True), key=lambda pair: confidence[pair[0]]):
        by_action.setdefault(video.action, row)
    chosen = list(by_action.values())[: number - 1]
    return [*chosen[:1], int(rows[confidence[rows].argmax()]), *chosen[1:]]


def parse_frames(texts: tuple[str, ...], dataset: PairedDataset) -> list[int]:
    """Rows of frames given as VIDEO:FRAME.

    Raises:
        UserError: If a video or frame does not exist.
    """
    videos = {video.name: video for video in dataset.videos}
    rows = []
    for text in texts:
        name, _, frame = text.rpartition(":")
        if name not in videos:
            first = dataset.videos[0].name
            raise UserError(f"no video {name!r}; the first is {first}, so say {first}:0")
        if not frame.isdigit() or int(frame) >= len(videos[name]):
            raise UserError(f"{name} has frames 0 to {len(videos[name]) - 1}, not {frame}")
        rows.append(videos[name].start + int(frame))
    return rows


def draw_figure7(
    dataset: PairedDataset,
    rows: list[int],
    columns: dict[str, tuple[Predict, int]],
    path: Path,
) -> list[str]:
    """Draw the figure.

    Args:
        dataset: Paired dataset.
        rows: Rows of the frames, one line each.
        columns: Predictor and window length by name, this model first.
        path: Image file to write; its suffix determines the format.

    Returns:
        The frames as VIDEO:FRAME.

    Raises:
        UserError: If matplotlib is not installed, or the file cannot be written.
    """
    width = 1 + 2 * len(columns)  # each 3D pose from the camera and rotated
    figure = new_figure(2.6 * width, 2.8 * len(rows) + 0.6, dpi=130, layout="constrained")
    names = []
    for row, axes in zip(rows, figure.subplots(len(rows), width, squeeze=False), strict=True):
        video = dataset.videos[dataset.video_of_rows()[row]]
        names.append(f"{video.name}:{row - video.start}")
        points = np.asarray(dataset.keypoints_px[row], dtype=np.float64)
        draw_bones(axes[0], points, reach=0.6 * float(np.ptp(points[:, :2], axis=0).max()))
        weak = points[points[:, 2] < 0.5]
        axes[0].plot(weak[:, 0], weak[:, 1], "o", color="black", markersize=3, fillstyle="none")
        title = f"{video.name}\nframe {row - video.start}, input 2D"
        axes[0].set_title(title, fontsize=7.5, loc="left")
        target = np.asarray(dataset.truth_mm[row], dtype=np.float64)
        target = target - target[:1]
        reach = 0.65 * float(np.ptp(target, axis=0).max())
        for number, (name, (predict, frames)) in enumerate(columns.items()):
            windows = Windows(*covering_rows([video], frames), 0)
            pred = predict_row(predict, windows, row)
            error = float(np.linalg.norm(pred - target, axis=-1).mean())
            views = axes[1 + 2 * number : 3 + 2 * number]
            draw_against_target(views, pred, target, reach)
            views[0].set_title(f"{name}\n{error:.0f} mm", fontsize=7.5, loc="left")
    mark = f"{SYNTHETIC}. " if dataset.info.get("synthetic") else ""
    figure.suptitle(
        f"{mark}Orange is the person's right, blue the left, gray the ground truth; each 3D from "
        "the camera and turned. Circles: confidence below 0.5",
        fontsize=8,
    )
    with atomic_write(path) as unfinished:
        figure.savefig(unfinished)
    return names
