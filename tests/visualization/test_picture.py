"""Pictures show what is in the result, upright."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.results import Array

from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.visualization.drawing import SIDE_COLORS, rgb
from actionpose.visualization.html_viewer import write_html
from actionpose.visualization.picture import _PANEL_IN, write_picture

Waving = Callable[..., Result]


def pixels(path: Path) -> Array:
    image = pytest.importorskip("matplotlib.image")
    return (image.imread(path)[..., :3] * 255).round().astype(int)


def is_color(image: Array, name: str) -> Array:
    return (np.abs(image - 255 * rgb(SIDE_COLORS[name])) < 12).all(axis=-1)


@pytest.mark.parametrize(("frames", "columns", "rows"), [(8, 6, 3), (3, 3, 3), (1, 3, 1)])
def test_picture_has_a_column_per_frame(
    waving: Waving, tmp_path: Path, frames: int, columns: int, rows: int
) -> None:
    waving(frames=frames).save(tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    panel = 150 * _PANEL_IN
    np.testing.assert_allclose(
        image.shape[:2], [rows * panel + 150 * 1.24, columns * panel + 150 * 0.46], atol=1.5
    )
    assert (image[0] == 255).all()  # a white border
    for name in ("left", "right", "middle"):
        assert is_color(image, name).sum() > 300
    # left is on the viewer's right in every panel that is seen from the front
    first = image[100 : int(panel), 60 : int(panel)]
    x_left, x_right = (np.nonzero(is_color(first, name))[1].mean() for name in ("left", "right"))
    assert x_left > x_right + 20


def test_picture_is_upright(waving: Waving, tmp_path: Path) -> None:
    write_picture(waving(frames=1), tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    for panel in np.array_split(image[100:-90], 3, axis=1):
        trunk = np.nonzero(is_color(panel, "middle"))[0]
        legs = np.nonzero(is_color(panel, "left") | is_color(panel, "right"))[0]
        assert trunk.size and trunk.min() < legs.min() and trunk.max() < legs.max() - 60


def test_picture_omits_undetected_joints(waving: Waving, tmp_path: Path) -> None:
    result = waving(frames=1)
    write_picture(result, tmp_path / "all.png")
    left = [i for i, joint in enumerate(H36M17.joints) if joint.startswith("left")]
    result.keypoints_px[:, :, left, 2] = 0
    write_picture(result, tmp_path / "some.png")
    before, after = (pixels(tmp_path / name)[100:, :320] for name in ("all.png", "some.png"))
    assert is_color(before, "left").sum() > 100 and is_color(after, "left").sum() == 0
    result.keypoints_px[..., 2] = 0
    write_picture(result, tmp_path / "none.png")
    assert is_color(pixels(tmp_path / "none.png")[100:, :320], "right").sum() == 0


def test_picture_shows_valid_frames_of_one_person(waving: Waving, tmp_path: Path) -> None:
    result = waving(persons=2)
    result.valid[1, ::2] = False
    result.pose_m[1, ::2] = np.nan
    result.pose_m[0] = np.nan
    write_picture(result, tmp_path / "a.png", person=1, num_frames=2)
    assert is_color(pixels(tmp_path / "a.png"), "left").sum() > 100
    for person in (2, -1):
        with pytest.raises(UserError, match=f"no person {person}: the result has 2"):
            write_picture(result, tmp_path / "b.png", person=person)
    with pytest.raises(UserError, match="nothing to draw: person 0"):
        write_picture(result, tmp_path / "b.png")
    with pytest.raises(UserError, match="num_frames must be at least 1"):
        write_picture(result, tmp_path / "b.png", person=1, num_frames=0)
    assert not (tmp_path / "b.png").exists()


def test_picture_is_deterministic_and_takes_any_words(waving: Waving, tmp_path: Path) -> None:
    result = waving(frames=2, header={"scale_source": r"$\no^ 5% {1}$"})
    for name in ("a.png", "b.png"):
        write_picture(result, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_picture_leaves_global_state_of_matplotlib_alone(waving: Waving, tmp_path: Path) -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot")
    write_picture(waving(frames=1), tmp_path / "a.png")
    assert pyplot.get_fignums() == []


def test_drawing_refuses_nobody(waving: Waving, tmp_path: Path) -> None:
    result = waving(valid=np.zeros((1, 8), bool))
    for draw, name in ((write_html, "a.html"), (write_picture, "a.png")):
        with pytest.raises(UserError, match="nothing to draw"):
            draw(result, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
