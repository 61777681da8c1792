"""Feet in corpora and clips: absent ones are hidden and no target; others follow their legs."""

import json
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.motions import ANKLES, FEET_M, some_motion, with_feet

from actionpose.config import FinetuneDataConfig
from actionpose.datasets.corpus import (
    FEET,
    Corpus,
    open_corpus,
    verify_corpus,
    write_corpus,
)
from actionpose.datasets.feet import (
    feet_of,
    hidden_with_feet,
    resized_feet,
    toes_from_bases,
)
from actionpose.datasets.lifting import LiftingBatches
from actionpose.skeletons import H36M17, H36M17_FEET
from actionpose.utils.errors import UserError

PLAIN = FinetuneDataConfig(frames=20, mirror=0.0, normalization="box")


@pytest.fixture(scope="module")
def some_feet(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Whole feet, feet without toes, no feet, and a validation motion with derived toes."""
    toes = ("left_toe", "right_toe")
    motions = [
        with_feet(some_motion("whole", 40)),
        with_feet(some_motion("bases", 40), *toes),
        some_motion("none", 40),
        with_feet(some_motion("derived", 40, split="val"), derived=toes),
    ]
    folder = tmp_path_factory.mktemp("feet") / "some"
    return verify_corpus(write_corpus(folder, motions, source="made up", license="ours"))


def batches(corpus: Corpus, config: FinetuneDataConfig, **settings: object) -> LiftingBatches:
    return LiftingBatches([(corpus, 1.0)], config, **({"batch_size": 1, "seed": 3} | settings))


def test_corpus_keeps_feet_and_what_is_absent(some_feet: Corpus) -> None:
    assert FEET == ("left_toe_base", "left_toe", "right_toe_base", "right_toe")
    motions = some_feet.motions()
    rows = motions["whole"].start + np.arange(40)
    expected = some_feet.joints_m[rows][:, ANKLES] + FEET_M
    np.testing.assert_allclose(feet_of(some_feet, motions["whole"], rows), expected, atol=1e-6)
    rows = motions["bases"].start + np.arange(40)
    absent = np.isnan(feet_of(some_feet, motions["bases"], rows))
    assert absent[:, [1, 3]].all() and not absent[:, [0, 2]].any()
    rows = motions["derived"].start + np.arange(40)
    assert np.isfinite(feet_of(some_feet, motions["derived"], rows)).all()
    measured = feet_of(some_feet, motions["derived"], rows, derived=False)
    assert np.isnan(measured[:, [1, 3]]).all() and np.isfinite(measured[:, [0, 2]]).all()


def test_corpus_without_feet_has_the_files_it_had(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path / "c", [some_motion("a", 5)], source="s", license="l")
    assert sorted(path.name for path in folder.iterdir()) == [
        *("corpus.json", "joints.npy", "segments.jsonl"),
    ]
    assert "derived" not in (folder / "segments.jsonl").read_text()
    corpus = open_corpus(folder)
    assert corpus.feet_m is None
    assert np.isnan(feet_of(corpus, corpus.motions()["a"], np.arange(5))).all()


def test_corpus_refuses_feet_that_come_and_go(tmp_path: Path) -> None:
    motion = with_feet(some_motion("a", 5))
    assert motion.feet_m is not None
    motion.feet_m[2, 1] = np.nan
    with pytest.raises(UserError, match="a has a joint of the feet in only some frames"):
        write_corpus(tmp_path / "c", [motion], source="s", license="l")
    short = replace(motion, feet_m=motion.feet_m[:4])
    with pytest.raises(UserError, match="a has feet of shape"):
        write_corpus(tmp_path / "d", [short], source="s", license="l")
    assert not list(tmp_path.iterdir())


def test_toes_continue_the_foot_where_only_the_base_is_known() -> None:
    """Ankle to base 0.1 m along x under an upright shin: 0.044 m on, and 0.016 m up."""
    joints_m = np.zeros((1, 17, 3))
    joints_m[0, H36M17.indices("left_knee", "right_knee"), 2] = 0.4
    feet_m = np.full((1, 4, 3), np.nan)
    feet_m[0, 0] = [0.1, 0, 0]
    feet_m[0, 2:] = [[0.1, 0, 0], [0.5, 0.5, 0.5]]
    toes = toes_from_bases(joints_m, feet_m)
    np.testing.assert_allclose(toes[0, 1], [0.144, 0, 0.016], atol=1e-9)
    np.testing.assert_array_equal(toes[0, 3], [0.5, 0.5, 0.5])  # a measured one stays


def test_feet_grow_with_their_shins() -> None:
    motion = with_feet(some_motion("a", 6))
    joints_m, feet_m = motion.joints_m.astype(float), np.asarray(motion.feet_m, dtype=float)
    knee, ankle = H36M17.indices("left_knee", "left_ankle")
    longer = joints_m.copy()
    longer[:, ankle] = joints_m[:, knee] + 1.5 * (joints_m[:, ankle] - joints_m[:, knee])
    grown = resized_feet(feet_m, joints_m, longer) - longer[:, ANKLES]
    np.testing.assert_allclose(grown[:, 0], 1.5 * np.tile(FEET_M[0], (6, 1)), atol=1e-6)
    np.testing.assert_allclose(grown[:, 2], np.tile(FEET_M[2], (6, 1)), atol=1e-6)


def test_clips_with_feet_are_those_without_and_four_joints_more(some_feet: Corpus) -> None:
    plain, feet = (batches(some_feet, PLAIN, feet=feet, split="val") for feet in (False, True))
    one, other = plain.clip(0, 0), feet.clip(0, 0)
    assert one["name"] == other["name"] and "present" not in one
    unit_m = float(other["scale_m"])
    relative = other["pose"][:, 17] - other["pose"][:, 6]  # left ankle to toe base
    np.testing.assert_allclose(
        np.linalg.norm(relative, axis=-1) * unit_m, np.linalg.norm(FEET_M[0]), atol=1e-5
    )
    body = np.linalg.norm(one["pose"][:, 13] - one["pose"][:, 0], axis=-1) * float(one["scale_m"])
    same = np.linalg.norm(other["pose"][:, 13] - other["pose"][:, 0], axis=-1) * unit_m
    np.testing.assert_allclose(same, body, atol=1e-5)
    low, high = (edge(other["keypoints"][:, :17, :2], axis=1) for edge in (np.min, np.max))
    assert np.median((high - low).max(axis=1)) == pytest.approx(2, abs=1e-5)  # the body's box
    assert other["present"][:, [*range(18), 19]].all()
    assert not other["present"][:, [18, 20]].any()  # derived toes are not scored


@pytest.mark.parametrize("mirror", [0.0, 1.0])
def test_absent_feet_are_hidden_and_no_target(some_feet: Corpus, mirror: float) -> None:
    found = set()
    for index in range(40):
        clip = batches(some_feet, replace(PLAIN, mirror=mirror), feet=True).clip(0, index)
        name = str(clip["name"]).split("[")[0]
        hidden = clip["keypoints"][..., 2] == 0
        assert clip["keypoints"].shape == clip["pose"].shape == (20, 21, 3)
        assert np.isfinite(clip["pose"]).all() and hidden[~clip["present"]].all()
        assert clip["present"][:, :17].all()
        count = {"whole": 4, "bases": 2, "none": 0}[name]
        assert (clip["present"][:, 17:].sum(axis=1) == count).all()
        found.add((name, bool(hidden[:, 17:].all())))
    assert {("whole", False), ("whole", True), ("bases", False), ("none", True)} <= found


def test_feet_are_mirrored_with_the_body(some_feet: Corpus) -> None:
    straight, mirrored = (
        batches(some_feet, replace(PLAIN, mirror=mirror), feet=True, split="val").clip(0, 0)
        for mirror in (0.0, 1.0)
    )
    for key in ("pose", "keypoints"):
        swapped = straight[key][:, H36M17_FEET.mirror] * np.array([-1, 1, 1])
        np.testing.assert_allclose(mirrored[key], swapped, atol=1e-6)


def test_feet_are_hidden_with_their_ankles() -> None:
    hidden = np.zeros((3, 17), dtype=bool)
    hidden[1, H36M17.indices("left_ankle")] = True
    assert np.argwhere(hidden_with_feet(hidden)).tolist() == [[1, 6], [1, 17], [1, 18]]


def test_converted_sets_with_feet_become_corpora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A set of two sequences as differences in millimeters; the second lacks its toes."""
    motions = [with_feet(some_motion("a", 9)), with_feet(some_motion("b", 7))]
    start, deltas, rows = 0, [], []
    for motion in motions:
        joints = np.concatenate([motion.joints_m, np.asarray(motion.feet_m)], axis=1)
        if motion.id == "b":
            joints[:, [18, 20]] = -32.768
        mm = np.round(1000 * joints).astype(int)
        deltas.append(np.diff(mm, axis=0, prepend=np.zeros_like(mm[:1])))
        rows.append({"id": motion.id, "start": start, "stop": start + len(mm)})
        start += len(mm)
    delta_mm = np.concatenate(deltas).astype(np.int16)
    for name, part in (("cmu", delta_mm[:, :17]), ("cmu_feet", delta_mm[:, 17:])):
        np.savez(tmp_path / f"{name}.npz", delta_mm=part.reshape(start, -1).T)
    feet = [{joint: row["id"] == "a" or "base" in joint for joint in FEET} for row in rows]
    lines = [
        [row | {"subject": "s", "split": "train", "text": "walk"} for row in rows],
        [row | {"feet": known} for row, known in zip(rows, feet, strict=True)],
    ]
    for name, about in zip(("cmu", "cmu_feet"), lines, strict=True):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, about)))
    script = Path(__file__).parents[2] / "benchmarks" / "open_corpora.py"
    read = runpy.run_path(str(script))["read"]
    a, b = read(tmp_path, "cmu")
    np.testing.assert_allclose(a.feet_m, motions[0].feet_m, atol=1e-3)
    assert a.derived == () and b.derived == ("left_toe", "right_toe")
    np.testing.assert_allclose(b.feet_m[:, [0, 2]], motions[1].feet_m[:, [0, 2]], atol=1e-3)
    np.testing.assert_allclose(b.feet_m, toes_from_bases(b.joints_m, b.feet_m), atol=1e-6)
    assert np.isfinite(b.feet_m).all() and np.abs(b.feet_m[:, 1] - b.feet_m[:, 0]).max() < 0.1
