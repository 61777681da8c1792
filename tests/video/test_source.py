"""Files of videos and of keypoints."""

from pathlib import Path

import pytest

from actionpose.utils.errors import UserError
from actionpose.video.source import is_keypoint_file, read_source


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
