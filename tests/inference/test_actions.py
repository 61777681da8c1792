"""`ActionPose.actions`: from keypoints and results to timelines; embeddings; labels."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.arm_motions import arms, one_person
from helpers.pretrained import write_checkpoint

import actionpose
from actionpose import ActionPose, Keypoints, Result
from actionpose.actions.timeline import DEFAULT_LABELS, OTHER
from actionpose.models import PoseEncoder, build_encoder
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


@pytest.mark.parametrize(("short", "frames"), [(0.5, 27), (0.0, 81), (None, 81)])
def test_embed_windows_have_the_length_of_training(short: float | None, frames: int) -> None:
    data = {} if short is None else {"temporal_crop": short}
    meta = {"frames": 81, "fps": 30.0, "normalization": "box", "config": {"data": data}}
    sizes = {"dim": 16, "depth": 1, "num_heads": 1, "dim_rep": 16, "middle_layer": 1}
    encoder = PoseEncoder(**sizes, max_frames=81)
    model = ActionPose(encoder.eval(), meta, name="random")
    rng = np.random.default_rng(0)
    seen = Keypoints(
        keypoints_px=rng.random((1, 100, 17, 3), dtype=np.float32),
        valid=np.ones((1, 100), bool),
        track_id=np.zeros(1, np.int64),
        fps=30.0,
        image_size=None,
        skeleton=H36M17,
    )
    _, spans_s = model.embed_windows(seen)
    assert set(np.rint(np.diff(spans_s).ravel() * 30)) == {frames}
    _, spans_s = model.embed_windows(seen, length=81)
    assert set(np.rint(np.diff(spans_s).ravel() * 30)) == {81}


def test_actions_of_keypoints_at_any_frame_rate(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    found = model.actions(arms_track, ["Arms up", "arms down"])
    assert [a.label for a in found] == ["arms down", "Arms up"]
    assert found[0].stop_s == pytest.approx(3, abs=0.5)
    assert found[-1].stop_s == pytest.approx(6, abs=0.05)
    # the same at another rate of frames
    slow = one_person(arms_track.keypoints_px[0, ::2], fps=15)
    assert [a.label for a in model.actions(slow, ["arms up", "arms down"])] == [
        "arms down",
        "arms up",
    ]


def test_embed_motion_and_text_give_unit_vectors(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    motion, text = model.embed_motion(arms_track), model.embed_text(["arms up", "walk on a chair"])
    assert motion.shape == (1, 16) and text.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm([*motion, *text], axis=1), 1, atol=1e-5)
    windows, spans_s = model.embed_windows(arms_track)
    assert windows.shape == (1, len(spans_s), 16)
    # one label at a time gives what all at once give
    one = np.stack([model.embed_text([label])[0] for label in ("arms up", "walk on a chair")])
    np.testing.assert_allclose(text, one, atol=1e-6)


@pytest.mark.parametrize("texts", ["arms up", []])
def test_embed_text_takes_a_list_of_texts(arms_checkpoint: Path, texts: str | list[str]) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    with pytest.raises(UserError, match="a list of one text or more"):
        model.embed_text(texts)


def test_embed_motion_needs_no_layers_above(arms_checkpoint: Path, arms_track: Keypoints) -> None:
    encoder = ActionPose.from_pretrained(arms_checkpoint, "cpu").encoder
    clips = torch.from_numpy(arms_track.keypoints_px[:, :20] / 1000)
    with torch.no_grad():
        torch.testing.assert_close(encoder.embed_motion(clips), encoder(clips).embedding)
        valid = torch.arange(20)[None] < 12
        torch.testing.assert_close(
            encoder.embed_motion(clips, valid), encoder(clips, valid).embedding
        )


def test_actions_have_none_where_nobody_is_visible(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    points = arms_track.keypoints_px[0].copy()
    points[60:120] = 0
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    found = model.actions(one_person(points), ["arms up", "arms down"])
    assert {a.label for a in found} == {"arms up", "arms down"}
    gap = [(a.stop_s, b.start_s) for a, b in itertools.pairwise(found) if a.stop_s < b.start_s]
    assert len(gap) == 1 and gap[0][0] < 2.7 and gap[0][1] > 3.3


def test_actions_begin_and_end_where_the_person_is_visible(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    """Windows reach beyond that; a few missed frames at an end are nothing."""
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    valid = np.ones((1, arms_track.num_frames), bool)
    valid[0, :35] = valid[0, 88:92] = valid[0, 145:] = False
    points = np.where(valid[..., None, None], arms_track.keypoints_px, 0)
    seen = replace(arms_track, valid=valid, keypoints_px=points)
    found = model.actions(seen, ["arms up", "arms down"])
    assert found[0].start_s == pytest.approx(35 / 30, abs=2e-3)
    assert found[-1].stop_s == pytest.approx(145 / 30, abs=2e-3)
    for one, other in itertools.pairwise(found):
        assert one.stop_s == other.start_s


def test_actions_of_a_result_use_its_embeddings(
    arms_checkpoint: Path, arms_track: Keypoints, tmp_path: Path
) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    model.lift(arms_track).save(tmp_path / "r.npz")
    result = Result.load(tmp_path / "r.npz")
    assert result.embeddings is not None and result.embeddings.dtype == np.float32
    assert result.header["checkpoint"]["name"] == str(arms_checkpoint)
    found = model.actions(result, ["arms up", "arms down"])
    assert [a.label for a in found] == ["arms down", "arms up"]
    assert found == model.actions(arms_track, ["arms up", "arms down"])


def test_actions_are_on_the_clock_of_the_input(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    """Times that begin late and are uneven: from keypoints, a result, and a result of another."""
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    kept = np.arange(arms_track.num_frames) % 10 != 3
    uneven = replace(
        arms_track,
        keypoints_px=arms_track.keypoints_px[:, kept],
        valid=arms_track.valid[:, kept],
        time_s=arms_track.times_s[kept] + 5,
    )
    expected = model.actions(arms_track, ["arms up", "arms down"])
    result = model.lift(uneven)
    for source in (uneven, result, replace(result, embeddings=None)):
        found = model.actions(source, ["arms up", "arms down"])
        assert [a.label for a in found] == [a.label for a in expected]
        for a, b in zip(found, expected, strict=True):
            assert (a.start_s - 5, a.stop_s - 5) == pytest.approx((b.start_s, b.stop_s), abs=0.1)


def test_actions_of_a_result_of_another_model_embed_it_anew(
    arms_checkpoint: Path, arms_track: Keypoints, tmp_path: Path
) -> None:
    other = ActionPose.from_pretrained(
        write_checkpoint(tmp_path / "other", seed=1, text=True), "cpu"
    )
    result = other.lift(arms_track)
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    expected = model.actions(arms_track, ["arms up", "arms down"])
    assert model.actions(result, ["arms up", "arms down"]) == expected
    del result.header["checkpoint"]  # of a model that nobody knows
    assert model.actions(result, ["arms up", "arms down"]) == expected


def test_embed_windows_of_a_result_anew_for_another_length_or_model(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    result = model.lift(arms_track)
    for length in (9, model.timeline_frames):
        for found, expected in zip(
            model.embed_windows(result, length=length),
            model.embed_windows(arms_track, length=length),
            strict=True,
        ):
            np.testing.assert_allclose(found, expected, atol=1e-4)
    # models without hashes of their weights are not the same for it
    meta = {"frames": 27, "fps": 30.0, "normalization": "box"}
    a, b = (
        ActionPose(build_encoder(dim=16, depth=1, num_heads=2, middle_layer=1).eval(), meta, name=n)
        for n in "ab"
    )
    embeddings, _ = a.embed_windows(arms_track)
    made = replace(
        result, embeddings=embeddings, header={**result.header, "checkpoint": a.checkpoint}
    )
    np.testing.assert_array_equal(b.embed_windows(made)[0], b.embed_windows(arms_track)[0])


def test_embed_windows_of_a_drifting_rate_are_on_the_clock_of_the_input(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    """Each step is near that of the model, so that frames are taken as they are."""
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    frames = arms_track.num_frames
    time_s = np.cumsum(np.where(np.arange(frames) < frames // 2, 1 / 30, 1 / 27.5))
    _, spans_s = model.embed_windows(replace(arms_track, time_s=time_s))
    assert spans_s[0, 0] == time_s[0]
    assert spans_s[-1, 0] == time_s[-27] and spans_s[-1, 1] == pytest.approx(time_s[-1] + 1 / 30)


def test_actions_of_motions_shorter_than_a_window(arms_checkpoint: Path) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    for frames in (1, 2, 10):
        short = one_person(arms(True, frames, np.random.default_rng(0)))
        found = model.actions(short, ["arms up", "arms down"])
        assert len(found) == 1 and found[0].stop_s == pytest.approx(frames / 30, abs=1e-3)


def test_actions_with_one_label_and_five_thousand(
    arms_checkpoint: Path, arms_track: Keypoints
) -> None:
    model = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    cosines = model.embed_windows(arms_track)[0][0] @ model.embed_text(["arms up"])[0]
    between = float(cosines.min() + cosines.max()) / 2
    found = model.actions(arms_track, ["arms up"], threshold=between, transition_penalty=0)
    assert [a.label for a in found] == [OTHER, "arms up"]
    words = ["walk", "run", "sit", "stand", "up", "down", "chair", "hand", "wave", "person"]
    many = [" ".join(p) for p in itertools.product(words, repeat=4)][:5000]
    found = model.actions(arms_track, [*many, "arms up", "arms down"], threshold=-1)
    assert found and found[-1].stop_s == pytest.approx(6, abs=0.05)
    assert all(len(a.top) == 3 for a in found)


def test_labels_of_checkpoints_without_text(
    arms_checkpoint: Path, arms_track: Keypoints, tmp_path: Path
) -> None:
    known = {"arms up": np.ones(16), "walk": -np.ones(16)}
    model = ActionPose.from_pretrained(write_checkpoint(tmp_path / "known", labels=known), "cpu")
    assert model.actions(arms_track, ["ARMS  up"])  # known labels need no text encoder
    with pytest.raises(UserError, match="no text encoder, and 'fly' is none of its 2 labels"):
        model.actions(arms_track, ["arms up", "fly"])
    silent = ActionPose.from_pretrained(write_checkpoint(tmp_path / "silent"), "cpu")
    assert silent.lift(arms_track).embeddings is None
    with pytest.raises(UserError, match="knows no text"):
        silent.actions(arms_track, ["walk"])
    folder = write_checkpoint(tmp_path / "no_token", class_token=False, labels=known)
    with pytest.raises(UserError, match="no <POSE> token"):
        ActionPose.from_pretrained(folder, "cpu").actions(arms_track, ["walk"])


def test_labels_that_are_damaged_are_refused(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "c")
    (folder / "labels.safetensors").write_bytes(b"not a table")
    with pytest.raises(UserError, match="damaged"):
        ActionPose.from_pretrained(folder, "cpu")


def test_default_labels_are_known_and_the_rest_is_unknown(arms_checkpoint: Path) -> None:
    tiny = ActionPose.from_pretrained("tiny", "cpu")
    assert tiny.default_labels() == list(DEFAULT_LABELS)
    assets = Path(actionpose.__file__).parent / "assets"
    jacks = Keypoints.read(assets / "demo_keypoints.npz")
    (first,) = tiny.actions(jacks)
    assert first.top[0][0] == "jumping jacks"
    (action,) = tiny.actions(jacks, ["jumping jacks", "walk", "squat"])
    assert action.label == "jumping jacks" and action.margin is not None and action.margin > 0.3
    (nothing,) = tiny.actions(jacks, threshold=0.99)
    (other,) = tiny.actions(jacks, ["walk"], threshold=0.99)
    assert (nothing.label, other.label) == ("unknown", "other") and nothing.margin is None
    arms = ActionPose.from_pretrained(arms_checkpoint, "cpu")
    assert arms.default_labels() == ["arms down", "arms up"]
