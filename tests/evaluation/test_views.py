"""Labeled spans, and their views."""

from pathlib import Path

import numpy as np

from actionpose.datasets.corpus import Motion, open_corpus, write_corpus
from actionpose.datasets.synthetic.generate import motion
from actionpose.evaluation.views import labeled_spans, project, project_clip
from actionpose.geometry.camera import image_frame


def test_labeled_spans_are_actions_or_else_whole_motions(tmp_path: Path) -> None:
    joints_m = motion("walk", np.random.default_rng(0), duration_s=2).joints_m
    motions = [
        Motion("a", "s", "val", joints_m, text="A  whole", labels=[(5, 20, "Part.", "action")]),
        Motion("b", "s", "val", joints_m, text="only whole"),
        Motion("c", "s", "val", joints_m),
        Motion("d", "s", "train", joints_m, text="other split"),
    ]
    corpus = open_corpus(write_corpus(tmp_path / "c", motions, source="x", license="y"))
    spans = labeled_spans([corpus], "val")
    assert [(s.label, len(s.joints_m)) for s in spans] == [("part", 15), ("only whole", 60)]


def test_project_is_the_clip_in_pixels() -> None:
    joints_m = motion("walk", np.random.default_rng(0), duration_s=2).joints_m.astype(float)
    clip = project_clip(joints_m, "walk", 1)["keypoints"]
    keypoints = project(joints_m, "walk", 1, 30.0)
    visible = clip[..., 2] > 0
    points_px = image_frame((1000, 1000)).denormalize(clip)
    np.testing.assert_array_equal(keypoints.keypoints_px[0][visible], points_px[visible])
    assert not keypoints.keypoints_px[0][~visible].any()
    assert keypoints.valid.all() and keypoints.fps == 30
