"""Files written by version 0.1 still load, and mean what they meant then."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from actionpose import ActionPose, Keypoints, Result, checkpoint
from actionpose.datasets.corpus import verify_corpus
from actionpose.postprocessing.smoothing import smooth

FILES = Path(__file__).parent / "reference_outputs" / "format_0_1"


@pytest.fixture(scope="module")
def model() -> ActionPose:
    return ActionPose.from_pretrained(FILES / "checkpoint", "cpu")


def test_checkpoint_of_0_1_has_its_weights_and_settings() -> None:
    encoder, meta = checkpoint.load_encoder(FILES / "checkpoint")
    stored = load_file(FILES / "checkpoint" / "weights.safetensors")
    assert encoder.state_dict().keys() == stored.keys() and not encoder.training
    assert all(torch.equal(value, stored[name]) for name, value in encoder.state_dict().items())
    assert (meta["step"], meta["stage"], meta["fps"], meta["frames"]) == (7, "pretrain", 30.0, 9)
    assert meta["normalization"] == "box" and meta["rejection_threshold"] == 0.25
    assert meta["data"][0]["license"] == "ours" and meta["data"][0]["name"] == "corpus"


def test_checkpoint_of_0_1_knows_its_labels(model: ActionPose) -> None:
    labels, embeddings = checkpoint.load_labels(FILES / "checkpoint") or ([], None)
    assert labels == ["walk", "run"]
    np.testing.assert_allclose(model.embed_text(["run", "walk"]), embeddings[[1, 0]], rtol=1e-6)


def test_corpus_of_0_1_has_its_motions() -> None:
    corpus = verify_corpus(FILES / "corpus")  # compares the hashes
    assert corpus.fps == 30.0 and corpus.info["license"] == "ours"
    assert corpus.joints_m.shape == (36, 17, 3)
    np.testing.assert_array_equal(corpus.joints_m, np.load(FILES / "corpus" / "joints.npy"))
    assert list(corpus.motions("train")) == ["m0", "m1"] and list(corpus.motions("val")) == ["m2"]
    spans = [(s.motion, s.start, s.stop, s.text, s.kind) for s in corpus.segments]
    assert spans[2:4] == [
        ("m1", 12, 24, "march forward", "sequence"),
        ("m1", 12, 22, "march", "action"),
    ]


def test_keypoints_of_0_1_are_read() -> None:
    keypoints = Keypoints.read(FILES / "keypoints.npz")
    with np.load(FILES / "keypoints.npz") as stored:
        np.testing.assert_array_equal(keypoints.keypoints_px, stored["keypoints_px"])
        np.testing.assert_array_equal(keypoints.valid, stored["valid"])
    assert keypoints.skeleton.name == "mediapipe33" and keypoints.fps == 30.0
    assert keypoints.image_size == (1768, 994) and keypoints.rate_source == "file"
    assert keypoints.detector.startswith("MediaPipe Pose 0.10.14")
    np.testing.assert_allclose(keypoints.times_s, np.arange(12) / 30)


def test_result_of_0_1_is_what_the_same_checkpoint_lifts_today(
    model: ActionPose, tmp_path: Path
) -> None:
    before = Result.load(FILES / "result.npz")
    today = smooth(model.lift(FILES / "keypoints.npz", quality="best"), "butterworth")
    assert np.ptp(before.pose_m) > 0.5
    for name in ("pose_m", "keypoints_px", "valid", "track_id", "time_s", "embeddings"):
        np.testing.assert_allclose(getattr(before, name), getattr(today, name), atol=1e-5)
    # the same units, axes, rate and steps of processing, in the same words
    today.save(tmp_path / "today.npz")
    headers = [result.header for result in (before, Result.load(tmp_path / "today.npz"))]
    for header in headers:
        header.pop("versions")
        header["checkpoint"] = header["checkpoint"]["sha256"]
    assert headers[0] == {key: headers[1][key] for key in headers[0]}  # others are new
