"""The threshold of "other", calibrated on timelines of joined spans."""

from collections.abc import Sequence

import numpy as np

from actionpose.actions.timeline import scores_over_time
from actionpose.datasets.corpus import Corpus
from actionpose.evaluation.open_benchmark import VIEWS_OF_A_WINDOW
from actionpose.evaluation.recognition import Progress
from actionpose.evaluation.segmentation import make_tracks
from actionpose.evaluation.views import as_keypoints, labeled_spans, see
from actionpose.inference.predictor import ActionPose
from actionpose.utils.errors import UserError

OFFERED = 5  # labels that a timeline has when "other" is calibrated, about as many as users name


def calibrate(
    model: ActionPose,
    corpora: Sequence[Corpus],
    split: str = "val",
    progress: Progress = lambda items: items,
) -> dict[str, float]:
    """The cosine that best tells moments whose label is offered from moments whose label is not.

    Moments are those of timelines of joined spans, seen from four sides. `OFFERED` labels of the
    split are drawn for each moment, once with its own among them and once without: the more are
    offered, the higher the best of wrong ones. The threshold maximizes the mean of the two shares
    that are told rightly.

    Returns:
        `rejection_threshold` and the shares `accepted` and `rejected` at it, percent.

    Raises:
        UserError: the split has too few labeled spans.
    """
    spans = labeled_spans(corpora, split)
    labels = sorted({span.text for span in spans})
    tracks = make_tracks(spans)
    if not tracks:
        raise UserError(f"the split {split!r} has too few labeled spans to join")
    texts = model.embed_text(labels)
    rng = np.random.default_rng(0)
    known, other = [], []
    for track in progress(tracks):
        for view in range(VIEWS_OF_A_WINDOW):
            points_px = see(track.joints_m, track.id, view)
            keypoints = as_keypoints(points_px, track.fps)
            embeddings, spans_s = model.space.embed_windows(keypoints)
            edges_s, scores, there = scores_over_time(embeddings[0], spans_s, texts)
            frames = ((edges_s[:-1] + edges_s[1:]) / 2 * track.fps).astype(int)
            frames = frames.clip(max=len(track.label_of_frame) - 1)  # the model's rate is another
            for row in np.flatnonzero(there):
                own = labels.index(track.label_of_frame[frames[row]])
                wrong = rng.permutation(np.delete(scores[row], own))
                known.append(max(scores[row, own], *wrong[: OFFERED - 1]))
                other.append(wrong[:OFFERED].max())
    with_own, without = np.array(known), np.array(other)
    best = (-1.0, 0.0, 0.0, 0.0)
    for threshold in np.quantile(np.concatenate([with_own, without]), np.linspace(0, 1, 201)):
        accepted, rejected = (with_own >= threshold).mean(), (without < threshold).mean()
        best = max(best, ((accepted + rejected) / 2, float(threshold), accepted, rejected))
    return {
        "rejection_threshold": round(best[1], 4),
        "accepted": 100 * float(best[2]),
        "rejected": 100 * float(best[3]),
    }
