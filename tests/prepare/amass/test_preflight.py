"""The check before a corpus of AMASS is made."""

from pathlib import Path

import pytest
from helpers.amass import AmassFixture

from actionpose.cli import main as cli
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> AmassFixture:
    return AmassFixture(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> AmassFixture:
    """Twelve recordings without a defect."""
    return AmassFixture(tmp_path_factory.mktemp("small"), 12, defects=())


def test_check_ignores_single_damaged_files(
    tree: AmassFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Single damaged files are no reason to stop: `prepare` names them."""
    cli.run(tree.command("--check"))
    printed = capsys.readouterr().out
    assert "ok     body model         SMPL-H, female, male" in printed
    assert "annotations        BABEL: train.json 151" in printed
    assert "ok     CMU                40 of 40 recordings with a text\n" in printed
    assert "note   SSM_synced         19 of 20 recordings with a text; " in printed
    assert "squat_00_sync_poses.npz needs a body model for neutral" in printed


def test_check_names_the_other_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = AmassFixture(tmp_path, 4, defects=("smplx", "cut", "missing"))
    with pytest.raises(UserError, match="1 of 6 checks failed"):
        cli.run(own.command("--check"))
    printed = capsys.readouterr().out
    assert "is of SMPL-X, and the body model is SMPL-H: download the SMPL-H release" in printed
    assert "note   KIT                0 of 1 recordings with a text: download its arch" in printed
    assert "WRONG  CMU" in printed and "WRONG  BioMotion" not in printed


def test_check_finds_everything_at_once(
    small: AmassFixture, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = tmp_path / "nothing"
    with pytest.raises(UserError, match="3 of 3 checks"):
        cli.run(["prepare", "amass-babel", str(nothing), str(nothing), "--body-model",
                 str(nothing), "--check"])  # fmt: skip
    printed = capsys.readouterr().out
    for words in ("MANO web site", "give a folder of BABEL", "holds the data sets of AMASS"):
        assert words in printed
    cli.run(small.command("--check"))
    assert "WRONG" not in capsys.readouterr().out
