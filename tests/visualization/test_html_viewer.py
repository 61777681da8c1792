"""Pages hold what is in the result, and need nothing from outside."""

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.drawn_people import drawn, write_video
from helpers.results import Array

from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.visualization import html_viewer
from actionpose.visualization.html_viewer import write_html
from actionpose.visualization.scene import scene_positions

picture = pytest.importorskip("PIL.Image")
Waving = Callable[..., Result]


def page_data(text: str) -> dict[str, Any]:
    found = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)
    assert len(found) == 1
    return json.loads(found[0])


def unpacked(packed: dict[str, Any], shape: tuple[int, ...]) -> Array:
    steps = np.frombuffer(base64.b64decode(packed["data"]), "<i2").reshape(shape)
    return np.where(steps == -32768, np.nan, steps * packed["step"])


def test_page_holds_the_result(waving: Waving, tmp_path: Path) -> None:
    result = waving(persons=2, root_m=np.linspace(1, 6, 48).reshape(2, 8, 3))
    result.uncertainty_mm = np.linspace(0, 90, 272, dtype=np.float32).reshape(2, 8, 17)
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
    halos = unpacked(data["uncertainty_mm"], (2, 8, 17))
    np.testing.assert_allclose(halos[valid], result.uncertainty_mm[valid], atol=2e-3)
    assert np.isnan(halos[~valid]).all()
    joints, _ = scene_positions(result)
    in_view = (pose + root[:, :, None]) @ np.array(data["view"]).T
    in_view -= np.array(data["offset_m"])[:, None, None]
    np.testing.assert_allclose(in_view, joints, atol=5e-4)
    np.testing.assert_allclose(data["time_s"], result.time_s, atol=1e-6)
    assert data["title"] == "walk" and data["track_id"] == [7, 8]
    assert data["facts"] == result.facts
    assert data["joints"] == list(H36M17.joints) and len(data["bones"]) == 16


def test_page_needs_nothing_from_outside(waving: Waving, tmp_path: Path) -> None:
    write_html(waving(), tmp_path / "a.html")
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


def test_page_is_deterministic(waving: Waving, tmp_path: Path) -> None:
    for name in ("a.html", "b.html"):
        write_html(waving(), tmp_path / name, title="x")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


@pytest.mark.parametrize("evil", ["</script><script>alert(1)</script>", "<!--<script>", "__DATA__"])
def test_page_escapes_titles_and_labels(waving: Waving, tmp_path: Path, evil: str) -> None:
    action = {"start_s": 0, "stop_s": 1, "label": evil, "score": 0.5}
    write_html(waving(), tmp_path / "plain.html")
    write_html(
        waving(header={"actions": [action], "scale_source": evil}), tmp_path / "a.html", title=evil
    )
    plain, text = (
        (tmp_path / name).read_text(encoding="utf-8") for name in ("plain.html", "a.html")
    )
    for tag in ("<script", "</script", "<!--"):
        assert text.count(tag) == plain.count(tag)
    data = page_data(text)
    assert data["title"] == evil and data["actions"][0]["label"] == evil
    assert data["facts"]["scale_source"] == evil


def test_page_of_one_frame_without_image_size(waving: Waving, tmp_path: Path) -> None:
    result = waving(frames=1, header={"image_size": None})
    write_html(result, tmp_path / "a.html")
    data = page_data((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert data["image_size"] is None and data["actions"] == [] and data["root_m"] is None


def test_page_embeds_small_videos_and_links_large_ones(
    waving: Waving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "videos & more"
    folder.mkdir()
    video = folder / "Tänzer 1.mov"
    content = write_video(tmp_path / "clip.mkv", [drawn((30, 60))] * 3).read_bytes()
    video.write_bytes(content)
    result = waving(header={"first_frame": 50, "fps": 25.0})
    write_html(result, tmp_path / "a.html", video=video)
    shown = page_data((tmp_path / "a.html").read_text(encoding="utf-8"))["video"]
    assert shown["src"] == "data:video/mp4;base64," + base64.b64encode(content).decode()
    assert shown["name"] == "Tänzer 1.mov" and shown["offset_s"] == 2
    assert (shown["is_image"], shown["time_scale"], shown["mirrored"]) == (False, 1.0, False)
    monkeypatch.setattr(html_viewer, "EMBED_BYTES", 5)
    (tmp_path / "pages").mkdir()
    write_html(result, tmp_path / "pages" / "b.html", video=video)
    shown = page_data((tmp_path / "pages" / "b.html").read_text(encoding="utf-8"))["video"]
    assert shown["src"] == "../videos%20%26%20more/T%C3%A4nzer%201.mov"
    write_html(result, tmp_path / "c.html")
    assert page_data((tmp_path / "c.html").read_text(encoding="utf-8"))["video"] is None
    video.write_text("not a video")
    for path in (video, tmp_path / "gone.mp4"):
        with pytest.raises(UserError, match=path.name):
            write_html(result, tmp_path / "d.html", video=path)
    assert not (tmp_path / "d.html").exists()


def test_page_shows_an_image_as_such(waving: Waving, tmp_path: Path) -> None:
    image = tmp_path / "photo.png"
    picture.fromarray(drawn((30, 60))).save(image)
    write_html(waving(frames=1), tmp_path / "a.html", video=image)
    shown = page_data((tmp_path / "a.html").read_text(encoding="utf-8"))["video"]
    assert shown["is_image"] and shown["src"].startswith("data:image/png;base64,")


def test_page_has_a_color_for_each_label(waving: Waving, tmp_path: Path) -> None:
    spans = [(0.0, 0.1, "walk"), (0.1, 0.2, "other"), (0.2, 0.3, "jump")]
    actions = [{"start_s": a, "stop_s": b, "label": label, "score": 1} for a, b, label in spans]
    write_html(waving(header={"actions": actions}), tmp_path / "a.html")
    data = page_data((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert set(data["label_colors"]) == {"walk", "jump", "other", "unknown"}
    assert len(set(data["label_colors"].values())) == 3


def test_live_page_connects_to_its_server_only(waving: Waving) -> None:
    text = html_viewer.live_page(waving().header, "live", ["walk"], places=3)
    assert "default-src 'none'; connect-src CONNECT;" in text[: text.index("<style>")]
    data = page_data(text)
    assert data["live"] == "CONNECT/poses" and "walk" in data["label_colors"]
    assert len(data["track_id"]) == 3 and not any(base64.b64decode(data["valid"]))
