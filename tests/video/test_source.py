"""Files of videos and of keypoints."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionpose import Keypoints
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError, UserNotice
from actionpose.video.source import find_video, is_keypoint_file, read_source


def test_source_tells_videos_from_keypoints(tmp_path: Path) -> None:
    files = {"a.json": b"", "b.bin": b'\xef\xbb\xbf [{"x": 1}]', "c": b"PK\x03\x04.."}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert is_keypoint_file(tmp_path / name)
    (tmp_path / "d.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
    assert not is_keypoint_file(tmp_path / "d.mp4")
    assert not is_keypoint_file(tmp_path / "missing.mp4")
    with pytest.raises(UserError, match="missing.mp4"):
        read_source(tmp_path / "missing.mp4")


def test_source_takes_a_span_and_a_person() -> None:
    points = np.full((2, 10, 17, 3), [5.0, 6, 1])
    points[1, :6] = 0
    keypoints = Keypoints.from_array(points, skeleton=H36M17, fps=10, image_size=(10, 10))
    first, second = keypoints.track_id.tolist()
    assert read_source(keypoints) is keypoints
    part = read_source(keypoints, start_s=0.3, stop_s=0.6)
    assert part.track_id.tolist() == [first]
    np.testing.assert_allclose(part.times_s, [0.3, 0.4, 0.5])
    assert read_source(keypoints, person=second).track_id.tolist() == [second]


def facts_of(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"path": str(path), "bytes": len(content), "sha256": digest, "duration_s": 1.0}


def test_find_video_looks_where_it_was_and_beside_the_output(tmp_path: Path) -> None:
    video, near = tmp_path / "dance.mp4", tmp_path / "out" / "a.mp4"
    video.write_bytes(b"a video")
    header = {"video": facts_of(video), "source": "dance.mp4"}
    assert find_video(header, None, near) == video
    near.parent.mkdir()
    moved = video.rename(near.with_name("dance.mp4"))
    assert find_video(header, None, near) == moved
    elsewhere = moved.rename(tmp_path / "b.mp4")
    with pytest.warns(UserNotice, match=r"a.mp4 is without the video.*dance.mp4 is not there"):
        assert find_video(header, None, near) is None
    assert find_video(header, elsewhere, near) == elsewhere
    video.write_bytes(b"another")
    with pytest.warns(UserNotice, match=r"dance.mp4 has changed"):
        assert find_video(header, None, near) is None
    with pytest.raises(UserError, match=r"dance.mp4 is another video than the one that was lifted"):
        find_video(header, video, near)
    assert find_video({"source": "keypoints.json"}, None, near) is None
