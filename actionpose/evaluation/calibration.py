"""The threshold under which a label is rejected as "other", calibrated on joined spans."""

from collections.abc import Sequence

import numpy as np

from actionpose.actions.timeline import scores_over_time
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.recognition import Progress
from actionpose.evaluation.segmentation import make_tracks
from actionpose.evaluation.views import NUM_VIEWS, project
from actionpose.inference.predictor import ActionPose

NUM_OFFERED = 5  # labels of a timeline, about as many as users name


def calibrate(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
) -> dict[str, float]:
    """The cosine that best separates time steps whose label is offered from those whose is not.

    Time steps are those of timelines of joined spans, in four views. `NUM_OFFERED` labels of the
    split are drawn for each, once with its own among them and once without: the more are offered,
    the higher the best of wrong ones. The threshold maximizes the balanced accuracy.

    Returns:
        `rejection_threshold`, and at it `accepted` and `rejected`, percent of the time steps with
        and without their own label.

    Raises:
        UserError: see `make_tracks`; or the model knows no text.
    """
    tracks, labels = make_tracks(corpora, split)
    texts = model.embed_text(labels)
    rng = np.random.default_rng(0)
    offered, missing = [], []  # the best score with the own label offered, and without
    for track in progress(tracks):
        for view in range(NUM_VIEWS):
            keypoints = project(track.joints_m, track.id, view, track.fps)
            embeddings, spans_s = model.embed_windows(keypoints)
            edges_s, scores, valid = scores_over_time(embeddings[0], spans_s, texts)
            frames = ((edges_s[:-1] + edges_s[1:]) / 2 * track.fps).astype(int)
            frames = frames.clip(max=len(track.labels) - 1)  # the model's rate is another
            for row in np.flatnonzero(valid):
                own = labels.index(track.labels[frames[row]])
                wrong = rng.permutation(np.delete(scores[row], own))
                offered.append(max(scores[row, own], *wrong[: NUM_OFFERED - 1]))
                missing.append(wrong[:NUM_OFFERED].max())
    candidates = np.quantile(offered + missing, np.linspace(0, 1, 201))
    accepted = np.greater_equal.outer(offered, candidates).mean(axis=0)
    rejected = np.less.outer(missing, candidates).mean(axis=0)
    best = np.flatnonzero(accepted + rejected == (accepted + rejected).max())[-1]
    return {
        "rejection_threshold": round(float(candidates[best]), 4),
        "accepted": 100 * float(accepted[best]),
        "rejected": 100 * float(rejected[best]),
    }
