"""`actionpose actions`: what it writes, and what it refuses."""

from pathlib import Path

import pytest
from helpers.command_line import call
from helpers.pretrained import write_checkpoint
from helpers.results import people, random_result

from actionpose import Keypoints, Result


def test_actions_command_writes_timelines(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arms_checkpoint: Path,
    arms_track: Keypoints,
    tmp_path: Path,
) -> None:
    arms_track.save(tmp_path / "k.npz")
    outs = [tmp_path / name for name in ("o.csv", "o.json", "o.txt", "o.png", "o.npz", "o.html")]
    flags = [word for path in outs for word in ("-o", path)]
    base = ("--checkpoint", arms_checkpoint, "--device", "cpu", "-q")
    code = call(
        monkeypatch, "actions", tmp_path / "k.npz", "--labels", "arms up,arms down", *flags, *base
    )
    shown = capsys.readouterr()
    assert code == 0, shown.err
    assert "arms down" in shown.out and "2 segments of 2 labels" in shown.out
    assert all(path.stat().st_size > 60 for path in outs)
    saved = Result.load(tmp_path / "o.npz").header["actions"]
    assert [a["label"] for a in saved] == ["arms down", "arms up"]
    assert '"arms down"' in (tmp_path / "o.html").read_text(encoding="utf-8")

    # a result as input, and no labels: all that the checkpoint knows
    assert call(monkeypatch, "actions", tmp_path / "o.npz", *base) == 0
    assert "2 segments of 2 labels" in capsys.readouterr().out

    file = tmp_path / "labels.txt"
    file.write_text("arms up\n\narms up\narms down, slowly\n")
    assert call(monkeypatch, "actions", tmp_path / "o.npz", "--labels-file", file, *base) == 0
    assert "of 2 labels" in capsys.readouterr().out


def test_actions_names_the_files_of_each_person(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arms_checkpoint: Path,
    tmp_path: Path,
) -> None:
    people(2).save(tmp_path / "r.npz")
    flags = ("--labels", "arms up", "-o", tmp_path / "o.bvh", "--checkpoint", arms_checkpoint)
    assert call(monkeypatch, "actions", tmp_path / "r.npz", *flags, "-q") == 0
    lines = capsys.readouterr().out.splitlines()
    wrote = [Path(line.split()[-1]) for line in lines if line.startswith("wrote")]
    assert [path.name for path in wrote] == ["o_id3.bvh", "o_id8.bvh"]
    assert all(path.is_file() for path in wrote)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--labels", ""], "no label"),
        (["--labels", "very " * 300], "300 words"),
        (["--labels", "a", "--labels-file", "b"], "not both"),
        (["--labels-file", "nowhere.txt"], "nowhere.txt"),
        (["--labels", "walk", "-o", "x.avi"], "suffix"),
        (["--labels", "walk", "--checkpoint", "TEXTLESS"], "knows no text"),
        (["--threshold", "nan"], "--threshold is -1 to 1, not nan"),
        (["--threshold", "5"], "--threshold is -1 to 1"),
        (["--transition-penalty", "nan"], "--transition-penalty is 0 or more"),
        (["--transition-penalty", "-1"], "--transition-penalty is 0 or more"),
        (["--min-length", "-1"], "--min-length is 0 or more"),
        (["--min-length", "inf"], "--min-length is 0 or more"),
    ],
)
def test_actions_command_refuses(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arms_checkpoint: Path,
    arms_track: Keypoints,
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    arms_track.save(tmp_path / "k.npz")
    if "TEXTLESS" in flags:
        textless = write_checkpoint(tmp_path / "textless")
        flags = [*flags[:-1], str(textless)]
    if "--checkpoint" not in flags:
        flags = [*flags, "--checkpoint", str(arms_checkpoint)]
    assert call(monkeypatch, "actions", tmp_path / "k.npz", *flags, "-q") == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.splitlines()) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--image-size", "foo"], "WIDTHxHEIGHT"),
        (["--fps", "-3"], "fps must be from 1"),
        (["--skeleton", "bar"], "no skeleton 'bar'"),
        (["--fps", "20"], "--fps does not apply to a result, and r.npz is one"),
        (["--retrack"], "--retrack does not apply to a result"),
    ],
)
def test_options_that_do_nothing_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    flags: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    random_result().save("r.npz")
    assert call(monkeypatch, "actions", "r.npz", *flags, "-q") == 2
    shown = capsys.readouterr().err
    assert message in shown and len(shown.splitlines()) == 1
