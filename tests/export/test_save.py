"""What all writers of other formats have in common."""

import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.results import make_result, people

from actionpose.export.save import save_files
from actionpose.result import Result
from actionpose.utils.errors import UserError


def test_files_of_a_single_frame_have_plain_names(tmp_path: Path) -> None:
    ezc3d = pytest.importorskip("ezc3d")
    one = people(frames=1)
    for suffix in ("bvh", "trc", "c3d", "glb"):
        assert one.save(tmp_path / f"a.{suffix}") == [tmp_path / f"a.{suffix}"]
    file = ezc3d.c3d(str(tmp_path / "a.c3d"))
    assert file["parameters"]["POINT"]["LABELS"]["value"][0] == "Hip"
    assert file["data"]["points"].shape == (4, 17, 1)


@pytest.mark.parametrize("suffix", ["bvh", "trc", "c3d", "glb"])
def test_writers_refuse_nobody(tmp_path: Path, suffix: str) -> None:
    nobody = people(valid=np.zeros((1, 40), bool))
    with pytest.raises(UserError, match="nothing to write: person 3 has no valid frame"):
        nobody.save(tmp_path / f"a.{suffix}")
    empty = make_result(np.zeros((0, 4, 17, 3)))
    with pytest.raises(UserError, match="the result has no person"):
        empty.save(tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["bvh", "trc", "c3d", "glb"])
def test_writers_are_deterministic(rubbery: Result, tmp_path: Path, suffix: str) -> None:
    contents = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        rubbery.save(tmp_path / folder / f"a.{suffix}")
        contents.append((tmp_path / folder / f"a.{suffix}").read_bytes())
    assert contents[0] == contents[1]


@pytest.mark.parametrize(("suffix", "module"), [("c3d", "ezc3d"), ("glb", "pygltflib")])
def test_writers_name_missing_packages(
    rubbery: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"need {module}: pip install 'actionpose\[export\]'"):
        rubbery.save(tmp_path / f"a.{suffix}")


def test_writers_refuse_other_skeletons(tmp_path: Path) -> None:
    other = make_result(np.zeros((2, 26, 3)), header={"skeleton": "halpe26"})
    for suffix in ("bvh", "trc", "c3d", "glb"):
        with pytest.raises(
            UserError, match="needs the skeleton h36m17 or h36m17_feet, not halpe26"
        ):
            other.save(tmp_path / f"a.{suffix}")


def test_a_file_that_fails_does_not_keep_the_others(rubbery: Result, tmp_path: Path) -> None:
    bad, good = tmp_path / "none" / "a.bvh", tmp_path / "a.npz"
    with pytest.raises(UserError, match="there is no folder"):
        save_files(rubbery, [bad, good])
    assert Result.load(good).pose_m.shape == rubbery.pose_m.shape
