"""The prepared format: what goes in comes out, and what is wrong is refused with nothing left."""

import hashlib
import json
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from actionpose.datasets.corpus import Motion, open_corpus, verify_corpus, write_corpus
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


def some_motion(name: str = "a", frames: int = 8, **changes: Any) -> Motion:
    joints = np.random.default_rng(len(name) + frames).normal(0, 1, (frames, 17, 3))
    made = Motion(name, "s1", "train", joints.astype(np.float32), "walks about")
    return replace(made, **changes)


def write(folder: Path, *motions: Motion, **settings: Any) -> Path:
    settings = {"source": "made up", "license": "ours"} | settings
    return write_corpus(folder, motions, **settings)


def files(folder: Path) -> dict[str, Any]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A corpus of two motions, with a label in each and two that overlap."""
    labels = [(0, 3, "stand", "action"), (2, 8, "transit from stand to walk", "transition")]
    return write(
        tmp_path / "some",
        some_motion("a", 8, labels=labels),
        some_motion("bé", 5, split="val", text="", labels=[(4, 5, "wave “hi”", "action")]),
        fps=25.0,
        skipped={"c": "no such file"},
    )


def test_round_trip(folder: Path) -> None:
    opened = open_corpus(folder)
    assert opened.name == "some" and opened.fps == 25.0
    joints = [some_motion("a", 8).joints_m, some_motion("bé", 5).joints_m]
    np.testing.assert_array_equal(opened.joints_m, np.concatenate(joints))
    rows = [(s.motion, s.split, s.start, s.stop, s.text, s.kind) for s in opened.segments]
    assert rows == [
        ("a", "train", 0, 8, "walks about", "sequence"),
        ("a", "train", 0, 3, "stand", "action"),
        ("a", "train", 2, 8, "transit from stand to walk", "transition"),
        ("bé", "val", 8, 13, "", "sequence"),
        ("bé", "val", 12, 13, "wave “hi”", "action"),
    ]
    assert [len(segment) for segment in opened.segments] == [8, 3, 6, 5, 1]
    assert list(opened.motions()) == ["a", "bé"]
    assert list(opened.motions("val")) == ["bé"] and not opened.motions("test")
    assert opened.info["skipped"] == {"c": "no such file"}
    assert opened.info["motions"] == 2 and opened.info["frames"] == 13
    assert opened.info["source"] == "made up" and opened.info["license"] == "ours"
    assert verify_corpus(folder).segments == opened.segments


def test_joints_are_memory_mapped(folder: Path) -> None:
    joints = open_corpus(folder).joints_m
    assert isinstance(joints, np.memmap) and joints.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        joints[0] = 0


def test_joints_are_an_ordinary_npy_file(folder: Path) -> None:
    assert np.load(folder / "joints.npy", allow_pickle=False).shape == (13, 17, 3)


def test_other_precision_becomes_float32(tmp_path: Path) -> None:
    made = some_motion()
    written = write(tmp_path / "x", replace(made, joints_m=made.joints_m.astype(np.float64)))
    np.testing.assert_array_equal(open_corpus(written).joints_m, made.joints_m)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    motions = [some_motion("a", labels=[(0, 2, "stand", "action")]), some_motion("b", 40)]
    one = write(tmp_path / "one", *motions, skipped={"y": "late", "x": "early"})
    two = write(tmp_path / "two", *motions, skipped={"x": "early", "y": "late"})
    assert files(one) == files(two)
    assert sorted(files(one)) == ["corpus.json", "joints.npy", "segments.jsonl"]


def test_what_was_skipped_may_be_known_late(tmp_path: Path) -> None:
    skipped = {}

    def motions() -> Iterator[Any]:
        yield some_motion()
        skipped["broken.npz"] = "not finite"

    write_corpus(tmp_path / "x", motions(), source="", license="", skipped=skipped)
    assert open_corpus(tmp_path / "x").info["skipped"] == {"broken.npz": "not finite"}


def bad(value: Any) -> Any:
    joints = some_motion().joints_m.copy()
    joints[5, 3, 1] = value
    return some_motion(joints_m=joints)


REFUSED = {
    "motion a is not finite at frame 5": [bad(np.nan)],
    "motion b is not finite at frame 5": [some_motion("c"), replace(bad(np.inf), id="b")],
    r"motion a has shape \(8, 16, 3\)": [some_motion(joints_m=np.zeros((8, 16, 3)))],
    r"motion a has shape \(0, 17, 3\)": [some_motion(joints_m=np.zeros((0, 17, 3)))],
    r"motion a has shape \(17, 3\)": [some_motion(joints_m=np.zeros((17, 3)))],
    "motion a comes twice": [some_motion("a"), some_motion("b"), some_motion("a")],
    'label "sit" spans frames 4 to 9, but the motion has 8': [
        some_motion(labels=[(4, 9, "sit", "action")])
    ],
    "spans frames -1 to 2": [some_motion(labels=[(-1, 2, "sit", "action")])],
    "spans frames 3 to 3": [some_motion(labels=[(3, 3, "sit", "action")])],
    "spans frames 3.0 to 5, which are not integers": [
        some_motion(labels=[(3.0, 5, "sit", "action")])
    ],
    "motion a: kind: input should be 'action'": [some_motion(labels=[(3, 5, "sit", "Action")])],
    "motion a: text: input should be a valid string": [
        some_motion(labels=[(3, 5, None, "action")])
    ],
    "motion a: subject: input should be a valid string": [some_motion(subject=1)],
    "there is no motion": [],
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_and_nothing_left(tmp_path: Path, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write(tmp_path / "x", *REFUSED[message])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("settings", [{"fps": 0.5}, {"fps": np.nan}, {"skipped": {"b": 1}}])
def test_refused_settings_and_nothing_left(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"corpus\.json: {next(iter(settings))}"):
        write(tmp_path / "x", some_motion(), **settings)
    assert not list(tmp_path.iterdir())


def test_integers_and_rates_of_numpy_are_written(tmp_path: Path) -> None:
    labels = [(np.int64(2), np.uint8(5), "sit", "action")]
    written = write(tmp_path / "x", some_motion(labels=labels), fps=np.float32(60))
    opened = open_corpus(written)
    assert (opened.segments[1].start, opened.segments[1].stop, opened.fps) == (2, 5, 60.0)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_the_motions_fail_midway(tmp_path: Path, error: type[Any]) -> None:
    def motions() -> Iterator[Any]:
        yield some_motion()
        raise error("midway")

    with pytest.raises(error, match="midway"):
        write_corpus(tmp_path / "x", motions(), source="", license="")
    assert not list(tmp_path.iterdir())


def test_a_failing_read_is_not_called_a_failing_write(tmp_path: Path) -> None:
    """The motions come from files of the user's: say which of these cannot be read."""

    def motions() -> Iterator[Any]:
        yield some_motion()
        open(tmp_path / "missing.npz")

    with pytest.raises(Exception, match=r"missing\.npz"):
        write_corpus(tmp_path / "x", motions(), source="", license="")
    assert not list(tmp_path.iterdir())


def test_an_existing_folder_stays_as_it_is(folder: Path) -> None:
    before = files(folder)
    with pytest.raises(UserError, match="exists already"):
        write(folder, some_motion())
    assert files(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["some"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write .*file/x"):
        write(tmp_path / "file" / "x", some_motion())


def test_verify_notices_one_changed_byte(folder: Path) -> None:
    for name in ("joints.npy", "segments.jsonl"):
        path = folder / name
        content = path.read_bytes()
        changed = bytearray(content)
        changed[-3] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(UserError, match=f"{name}.*changed|cannot be read|is not JSON"):
            verify_corpus(folder)
        path.write_bytes(content)
    verify_corpus(folder)


def edit_info(folder: Path, **changes: Any) -> None:
    path = folder / "corpus.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_verify_notices_a_segment_outside(folder: Path) -> None:
    path = folder / "segments.jsonl"
    path.write_text(path.read_text().replace('"stop": 13', '"stop": 14'))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    info = json.loads((folder / "corpus.json").read_text())
    edit_info(folder, sha256=info["sha256"] | {"segments.jsonl": digest})
    with pytest.raises(UserError, match="segment of bé lies outside"):
        verify_corpus(folder)


def test_another_format_is_refused(folder: Path) -> None:
    edit_info(folder, format=99)
    with pytest.raises(UserError, match="format 99; this version reads 1"):
        open_corpus(folder)


def test_truncated_joints_are_refused(folder: Path) -> None:
    path = folder / "joints.npy"
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(UserError, match="joints.npy cannot be read"):
        open_corpus(folder)


def test_joints_of_another_corpus_are_refused(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", some_motion("z", 3))
    (folder / "joints.npy").write_bytes((other / "joints.npy").read_bytes())
    with pytest.raises(UserError, match=r"shape \(3, 17, 3\)"):
        open_corpus(folder)


@pytest.mark.parametrize("name", ["corpus.json", "segments.jsonl", "joints.npy"])
def test_what_is_not_a_corpus_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"is not a corpus: .*corpus\.json is missing"):
        open_corpus(tmp_path)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"is not a corpus: .*{name} is missing"):
        open_corpus(folder)


@pytest.mark.parametrize("content", ["{", "[1]", "{}", "null", '{"format": 1}'])
def test_other_json_is_refused(folder: Path, content: str) -> None:
    (folder / "corpus.json").write_text(content)
    with pytest.raises(UserError, match="some"):
        open_corpus(folder)


@pytest.mark.parametrize("line", ["{", "[]", '{"motion": "a"}', "3"])
def test_broken_segments_are_refused(folder: Path, line: str) -> None:
    with (folder / "segments.jsonl").open("a") as table:
        table.write(line + "\n")
    with pytest.raises(UserError, match="some"):
        open_corpus(folder)


def test_joints_that_are_a_pickle_are_not_unpickled(folder: Path) -> None:
    np.save(folder / "joints.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="joints.npy cannot be read"):
        open_corpus(folder)


def test_text_with_line_separators_survives(tmp_path: Path) -> None:
    """Unicode has line ends of its own, which JSON does not escape."""
    text = "walks\u2028then\x85sits\x0bdown"
    written = write(tmp_path / "x", some_motion(text=text))
    assert open_corpus(written).segments[0].text == text


def test_open_sets_become_corpora(
    open_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script that makes the corpora of the open benchmark, on the real sets."""
    monkeypatch.setenv("ACTIONPOSE_OPEN_DATA", str(open_data))
    script = Path(__file__).parents[2] / "benchmarks" / "open_corpora.py"
    runpy.run_path(str(script))["main"](tmp_path)
    sizes = {folder.name: verify_corpus(folder).info["motions"] for folder in tmp_path.iterdir()}
    assert sizes == {
        **{"cmu": 285, "hdm05": 233, "bandai": 3076, "sie": 76, "cmu_extra": 17, "cc0anim": 68},
        **{"cc0kaykit": 52, "slanim": 78, "opencap": 26, "ase": 90, "kard": 540, "utd": 861},
    }
    for name, out_of_training in (("cmu", (60, 61, 88, 90, 94, 135)), ("cmu_extra", (88, 90, 135))):
        motions = open_corpus(tmp_path / name).motions("val-ood").values()
        assert {motion.subject for motion in motions} <= {f"cmu_{n}" for n in out_of_training}
        assert len(motions) > 1
    joints_m = open_corpus(tmp_path / "cmu").joints_m
    hips = joints_m[:, H36M17.indices("left_hip", "right_hip")]
    np.testing.assert_allclose(joints_m[:, 0], hips.mean(axis=1), atol=2e-3)
