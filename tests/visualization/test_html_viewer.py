"""Pictures and pages show what is in the result, upright, and a page needs nothing from outside."""

import base64
import json
import re

import numpy as np
import pytest

from actionpose.geometry.axes import view_axes
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.visualization import html_viewer as view
from actionpose.visualization import picture as pictures
from actionpose.visualization import scene
from actionpose.visualization.drawing import COLORS
from actionpose.visualization.html_viewer import html
from actionpose.visualization.picture import picture
from actionpose.visualization.scene import place

CAMERA = "x right, y down, z away from the camera"

# a standing person, facing the camera: x to the person's left, height, nearness; meters
STANDING = {
    **{"pelvis": (0, 0.95, 0), "spine": (0, 1.2, 0), "thorax": (0, 1.45, 0)},
    **{"nose": (0, 1.6, 0.06), "head": (0, 1.72, 0)},
    **{"left_hip": (0.12, 0.95, 0), "left_knee": (0.13, 0.5, 0.02), "left_ankle": (0.13, 0.08, 0)},
    **{"left_shoulder": (0.18, 1.43, 0), "left_elbow": (0.25, 1.15, 0)},
    "left_wrist": (0.27, 0.9, 0.08),
}


def standing() -> np.ndarray:
    """(J, 3) in camera axes, root at the origin. The person's left is on the right."""
    pose = []
    for joint in H36M17.joints:
        x, height, near = STANDING[joint.replace("right_", "left_")]
        pose.append((-x if joint.startswith("right_") else x, 0.95 - height, -near))
    return np.array(pose)


def made_up(persons: int = 1, frames: int = 8, header=(), **changes) -> Result:
    pose = np.broadcast_to(standing(), (persons, frames, 17, 3)).copy()
    arm = H36M17.indices("left_elbow", "left_wrist")
    pose[..., arm, 1] -= 0.4 * np.linspace(0, 1, frames)[:, None]  # raised over time
    keypoints = np.ones((persons, frames, 17, 3))
    keypoints[..., :2] = [320, 240] + 150 * pose[..., :2]
    keypoints[..., 0] -= 60 * np.arange(persons)[:, None, None]  # the first is furthest right
    fields = {
        "pose_m": pose,
        "keypoints_px": keypoints,
        "valid": np.ones((persons, frames), bool),
        "track_id": np.arange(persons) + 7,
        "time_s": np.arange(frames) / 25,
        "header": {
            **{"units": "m", "axes": CAMERA, "root": "pelvis", "skeleton": "h36m17"},
            **{"scale_source": "average adult", "image_size": [640, 480]},
            **dict(header),
        },
    }
    return Result(**fields | changes)


def page_data(text: str) -> dict:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert len(found) == 1
    return json.loads(found[0])


def unpacked(packed: dict, shape: tuple[int, ...]) -> np.ndarray:
    steps = np.frombuffer(base64.b64decode(packed["data"]), "<i2").reshape(shape)
    return np.where(steps == -32768, np.nan, steps * packed["step"])


def pixels(path) -> np.ndarray:
    image = pytest.importorskip("matplotlib.image")
    return (image.imread(path)[..., :3] * 255).round().astype(int)


def is_color(image: np.ndarray, name: str) -> np.ndarray:
    rgb = [int(COLORS[name][i : i + 2], 16) for i in (1, 3, 5)]
    return (np.abs(image - rgb) < 12).all(axis=-1)


# ------------------------------------------------------------------ axes and places


def test_axes_are_understood_in_words():
    np.testing.assert_array_equal(view_axes(CAMERA), np.diag([1, -1, -1]))
    np.testing.assert_array_equal(view_axes("x right, y up, z towards the camera"), np.eye(3))
    world = view_axes("x right, y away from the camera, z up")
    np.testing.assert_array_equal(world @ [1, 2, 3], [1, 3, -2])


@pytest.mark.parametrize("axes", ["", "x right, y down", "x right, y left, z up", "x, y, z north"])
def test_axes_that_say_too_little_are_refused(axes, tmp_path):
    with pytest.raises(UserError, match="cannot draw a result whose axes are"):
        html(made_up(header={"axes": axes}), tmp_path / "a.html")


@pytest.mark.parametrize(
    ("axes", "order"),
    [(CAMERA, ([0, 1, 2], [1, 1, 1])), ("x right, y away, z up", ([0, 2, 1], [1, 1, -1]))],
)
def test_persons_stand_upright_on_the_floor(axes, order):
    columns, signs = order
    result = made_up(header={"axes": axes})
    result.pose_m[:] = result.pose_m[..., columns] * signs
    placed, _ = place(result)
    head, ankle = (placed[0, :, H36M17.joints.index(name)] for name in ("head", "left_ankle"))
    np.testing.assert_allclose(head[:, 1] - ankle[:, 1], 1.64, atol=1e-6)
    assert ankle[:, 1] == pytest.approx(scene.CLEARANCE_M)
    nose = placed[0, :, H36M17.joints.index("nose")]
    assert (nose[:, 2] > head[:, 2]).all()  # the face is towards the viewer
    left, right = (
        placed[0, :, H36M17.joints.index(f"{name}_hip"), 0] for name in ("left", "right")
    )
    assert (left > right).all()


def test_the_floor_ignores_a_stray_frame():
    result = made_up(frames=100)
    result.pose_m[0, 50, 0, 1] = 9.0
    placed, _ = place(result)
    assert placed[0, 0, H36M17.joints.index("left_ankle"), 1] == pytest.approx(scene.CLEARANCE_M)


def test_without_places_persons_stand_in_the_order_of_the_image():
    placed, _ = place(made_up(persons=3))
    x = placed[:, 0, 0, 0]
    np.testing.assert_allclose(x, [scene.SPACING_M, 0, -scene.SPACING_M])


def test_with_a_trajectory_persons_stay_apart_as_they_are():
    root = np.zeros((2, 8, 3))
    root[0, :, 0], root[1, :, 0] = -1, 2
    root[..., 2] = 4 + np.arange(8) / 10
    result = made_up(persons=2, root_m=root)
    placed, offset = place(result)
    np.testing.assert_allclose(placed[1, :, 0, 0] - placed[0, :, 0, 0], 3, atol=1e-6)
    np.testing.assert_allclose(np.diff(placed[0, :, 0, 2]), -0.1, atol=1e-6)
    np.testing.assert_array_equal(offset[0], offset[1])
    assert placed[..., 1].min() == pytest.approx(scene.CLEARANCE_M)


def test_nothing_to_draw_is_said(tmp_path):
    result = made_up(valid=np.zeros((1, 8), bool))
    for draw, name in ((html, "a.html"), (picture, "a.png")):
        with pytest.raises(UserError, match="nothing to draw"):
            draw(result, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------ pages


def test_a_page_holds_the_result(tmp_path):
    result = made_up(persons=2, root_m=np.linspace(1, 6, 48).reshape(2, 8, 3))
    result.valid[1, 3:] = False
    result.pose_m[1, 3:] = 1e6  # meaningless, must not coarsen the rest
    result.keypoints_px[0, 2, 5, 2] = 0
    result.save(tmp_path / "walk.html")
    data = page_data((tmp_path / "walk.html").read_text(encoding="utf-8"))
    valid = np.frombuffer(base64.b64decode(data["valid"]), np.uint8).reshape(2, 8).astype(bool)
    np.testing.assert_array_equal(valid, result.valid)
    pose = unpacked(data["pose_m"], (2, 8, 17, 3))
    np.testing.assert_allclose(pose[valid], result.pose_m[valid], atol=1e-4)
    assert np.isnan(pose[~valid]).all()
    root = unpacked(data["root_m"], (2, 8, 3))
    np.testing.assert_allclose(root[valid], result.root_m[valid], atol=2e-4)
    xy = unpacked(data["xy_px"], (2, 8, 17, 2))
    seen = valid[..., None] & (result.keypoints_px[..., 2] > 0)
    np.testing.assert_allclose(xy[seen], result.keypoints_px[..., :2][seen], atol=0.02)
    assert np.isnan(xy[~seen]).all()
    confidence = np.frombuffer(base64.b64decode(data["confidence"]), np.uint8).reshape(2, 8, 17)
    np.testing.assert_array_equal(confidence, np.where(seen, 255, 0))
    placed, _ = place(result)
    in_view = (pose + root[:, :, None]) @ np.array(data["view"]).T
    in_view -= np.array(data["offset_m"])[:, None, None]
    np.testing.assert_allclose(in_view, placed, atol=5e-4)
    np.testing.assert_allclose(data["time_s"], result.time_s, atol=1e-6)
    assert data["title"] == "walk" and data["track_id"] == [7, 8]
    assert data["facts"]["scale_source"] == "average adult" and data["facts"]["axes"] == CAMERA
    assert data["joints"] == list(H36M17.joints) and len(data["bones"]) == 16


def test_a_page_needs_nothing_from_outside(tmp_path):
    html(made_up(), tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    head = text[: text.index("<style>")]
    assert "default-src 'none'" in head  # the browser itself refuses any request
    markup = re.sub(r"(<script[^>]*>).*?</script>", r"\1", text, flags=re.S)
    assert not re.search(r"\b(src|href|action|poster)\s*=", markup)
    assert not re.search(r"@import|url\(", markup)
    assert not re.search(r"""\b(from|import)\s*\(?\s*["']https?:""", text)
    assert "three.js authors" in text and "Permission is hereby granted" in text  # its license
    assert len(text) < 700_000
    assert "__DATA__" not in text and "__TITLE__" not in text


def test_a_page_is_always_the_same(tmp_path):
    for name in ("a.html", "b.html"):
        html(made_up(), tmp_path / name, title="x")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("evil", ["</script><script>alert(1)</script>", "<!--<script>", "__DATA__"])
def test_titles_and_labels_cannot_end_the_script(tmp_path, evil):
    action = {"start_s": 0, "stop_s": 1, "label": evil, "score": 0.5}
    html(made_up(), tmp_path / "plain.html")
    html(made_up(header={"actions": [action], "root": evil}), tmp_path / "a.html", title=evil)
    plain, text = (
        (tmp_path / name).read_text(encoding="utf-8") for name in ("plain.html", "a.html")
    )
    for tag in ("<script", "</script", "<!--"):
        assert text.count(tag) == plain.count(tag)
    data = page_data(text)
    assert data["title"] == evil and data["actions"][0]["label"] == evil
    assert data["facts"]["root"] == evil


def test_an_unknown_image_size_and_one_frame(tmp_path):
    result = made_up(frames=1, header={"image_size": None})
    html(result, tmp_path / "a.html")
    data = page_data((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert data["image_size"] is None and data["actions"] == [] and data["root_m"] is None


def test_a_small_film_is_in_the_page_and_a_large_one_beside_it(tmp_path, monkeypatch):
    folder = tmp_path / "films & more"
    folder.mkdir()
    film = folder / "Tänzer 1.mov"
    film.write_bytes(b"not looked at")
    result = made_up(header={"first_frame": 50, "fps": 25.0})
    html(result, tmp_path / "a.html", film=film)
    shown = page_data((tmp_path / "a.html").read_text(encoding="utf-8"))["film"]
    assert shown["src"] == "data:video/mp4;base64," + base64.b64encode(b"not looked at").decode()
    assert shown["name"] == "Tänzer 1.mov" and shown["offset_s"] == 2
    monkeypatch.setattr(view, "EMBED_BYTES", 5)
    (tmp_path / "pages").mkdir()
    html(result, tmp_path / "pages" / "b.html", film=film)
    shown = page_data((tmp_path / "pages" / "b.html").read_text(encoding="utf-8"))["film"]
    assert shown["src"] == "../films%20%26%20more/T%C3%A4nzer%201.mov"
    html(result, tmp_path / "c.html")
    assert page_data((tmp_path / "c.html").read_text(encoding="utf-8"))["film"] is None
    with pytest.raises(UserError, match="cannot read the film"):
        html(result, tmp_path / "d.html", film=tmp_path / "gone.mp4")
    assert not (tmp_path / "d.html").exists()


# ------------------------------------------------------------------ pictures


@pytest.mark.parametrize(("frames", "columns", "rows"), [(8, 6, 3), (3, 3, 3), (1, 3, 1)])
def test_a_picture_has_a_column_per_frame(tmp_path, frames, columns, rows):
    made_up(frames=frames).save(tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    panel = 150 * pictures._PANEL_IN
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


def test_a_picture_is_upright(tmp_path):
    picture(made_up(frames=1), tmp_path / "a.png")
    image = pixels(tmp_path / "a.png")
    for panel in np.array_split(image[100:-90], 3, axis=1):
        trunk = np.nonzero(is_color(panel, "middle"))[0]
        legs = np.nonzero(is_color(panel, "left") | is_color(panel, "right"))[0]
        assert trunk.size and trunk.min() < legs.min() and trunk.max() < legs.max() - 60


def test_unseen_joints_are_not_drawn(tmp_path):
    result = made_up(frames=1)
    picture(result, tmp_path / "all.png")
    left = [i for i, joint in enumerate(H36M17.joints) if joint.startswith("left")]
    result.keypoints_px[:, :, left, 2] = 0
    picture(result, tmp_path / "some.png")
    before, after = (pixels(tmp_path / name)[100:, :320] for name in ("all.png", "some.png"))
    assert is_color(before, "left").sum() > 100 and is_color(after, "left").sum() == 0
    result.keypoints_px[..., 2] = 0
    picture(result, tmp_path / "none.png")
    assert is_color(pixels(tmp_path / "none.png")[100:, :320], "right").sum() == 0


def test_the_chosen_person_and_only_valid_frames_are_drawn(tmp_path):
    result = made_up(persons=2)
    result.valid[1, ::2] = False
    result.pose_m[1, ::2] = np.nan
    result.pose_m[0] = np.nan
    picture(result, tmp_path / "a.png", person=1, num_frames=2)
    assert is_color(pixels(tmp_path / "a.png"), "left").sum() > 100
    for person in (2, -1):
        with pytest.raises(UserError, match=f"no person {person}: the result has 2"):
            picture(result, tmp_path / "b.png", person=person)
    with pytest.raises(UserError, match="nothing to draw: person 0"):
        picture(result, tmp_path / "b.png")
    with pytest.raises(UserError, match="num_frames must be at least 1"):
        picture(result, tmp_path / "b.png", person=1, num_frames=0)
    assert not (tmp_path / "b.png").exists()


def test_a_picture_is_always_the_same_and_takes_any_words(tmp_path):
    result = made_up(frames=2, header={"scale_source": r"$\no^ 5% {1}$"})
    for name in ("a.png", "b.png"):
        picture(result, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_drawing_leaves_the_global_state_of_matplotlib_alone(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    picture(made_up(frames=1), tmp_path / "a.png")
    assert pyplot.get_fignums() == []
