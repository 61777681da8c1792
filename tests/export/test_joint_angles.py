"""Files of joint angles: the table, the plot, and their notes."""

from pathlib import Path

import numpy as np
import pytest
from helpers.results import make_result, result_of, standing_pose, turned

from actionpose.export.joint_angles import notes, save
from actionpose.postprocessing.joint_angles import JointAngles, joint_angles
from actionpose.utils.errors import UserError


@pytest.fixture
def table() -> JointAngles:
    """A knee that bends."""
    pose = standing_pose()
    poses = [turned(pose, ("left_ankle",), "left_knee", (1, 0, 0), d) for d in range(30)]
    result = result_of(*poses, track_id=[4])
    result.valid[0, 10] = False
    return joint_angles(result)


def test_csv_equals_the_table(table: JointAngles, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    save(table, tmp_path / "a.csv")
    read = pandas.read_csv(tmp_path / "a.csv")
    assert list(read.columns[:4]) == ["person", "track_id", "frame", "time_s"]
    assert read["track_id"].unique().tolist() == [4] and read["valid"].sum() == 29
    found = read[[f"{name}_deg" for name in table.names]].to_numpy()
    np.testing.assert_allclose(found, table.degrees[0], atol=0.0051)
    np.testing.assert_allclose(read["time_s"], table.time_s, atol=1e-6)


def test_plot_shows_both_sides(table: JointAngles, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    save(table, tmp_path / "a.png")
    pixels = (image.imread(tmp_path / "a.png")[..., :3] * 255).round()
    for rgb in ([213, 94, 0], [0, 114, 178]):  # right, left
        assert (np.abs(pixels - rgb) < 12).all(axis=-1).sum() > 500
    save(table, tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_notes_name_vertical_and_undetermined_angles(table: JointAngles) -> None:
    vertical, unknown = notes(table)
    assert "camera" in vertical and "ankles" in unknown and "pronation" in unknown
    feet = joint_angles(make_result(np.ones((1, 26, 3)), header={"skeleton": "halpe26"}))
    assert "ankles" not in notes(feet)[1]


def test_save_refuses_other_suffixes_and_nobody(table: JointAngles, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the suffix must be .csv or .png"):
        save(table, tmp_path / "a.xlsx")
    nobody = result_of(standing_pose(), valid=np.zeros((1, 1), bool))
    with pytest.raises(UserError, match="nothing to draw"):
        save(joint_angles(nobody), tmp_path / "a.png")
