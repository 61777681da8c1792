"""Evaluation of the heads on held-out people: coverage of error bars, and errors of feet.

Windows and views are those of the open benchmark, with feet if a corpus has them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from actionpose.datasets.corpus import Corpus
from actionpose.datasets.feet import feet_of, present_joints
from actionpose.datasets.projection import IMAGE_SIZE
from actionpose.evaluation.open_benchmark import WINDOW_FRAMES, benchmark_rows, check_rates
from actionpose.evaluation.views import NUM_VIEWS, project_clip
from actionpose.geometry.camera import image_frame
from actionpose.geometry.stature import STATURE_PER_CHAIN, chain_length
from actionpose.inference.predictor import ActionPose
from actionpose.models.heads import ANKLES, BODY, ErrorBars
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array, BoolArray

Progress = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass
class PersonErrors:
    """Errors of all windows of a person, as lists of arrays.

    Attributes:
        ratios: Ratios of errors to expected errors of all present joints except the pelvis.
        expected: (N,) Expected errors relative to the body height.
        feet_mm: Errors of present feet relative to the pelvis, at true scale.
        from_ankle_mm: Errors of present feet relative to the ankle, at true scale.
    """

    ratios: list[Array] = field(default_factory=list)
    expected: list[Array] = field(default_factory=list)
    feet_mm: list[Array] = field(default_factory=list)
    from_ankle_mm: list[Array] = field(default_factory=list)


def heads_errors(
    model: ActionPose,
    corpora: Iterable[Corpus],
    split: str,
    progress: Progress = lambda windows: windows,
) -> dict[str, PersonErrors]:
    """The errors of each person of a split, in four views.

    Errors are those of `ErrorBars`: relative to the pelvis, after a clip is scaled to the person's
    height.

    Args:
        model: Model with heads.
        corpora: Corpora at 30 Hz.
        split: Split of the corpora.
        progress: Function that wraps the iterable of windows.

    Raises:
        UserError: If the model has no heads, no corpus has the split, or a corpus is not at 30 Hz.
    """
    if model.encoder.heads is None:
        raise UserError(f"{model.checkpoint['name']} has no heads for feet and error bars")
    corpora = list(corpora)
    check_rates(corpora)
    people: dict[str, PersonErrors] = defaultdict(PersonErrors)
    image = image_frame(IMAGE_SIZE)
    for corpus in corpora:
        frames = min(WINDOW_FRAMES, model.frames)
        for motion, name, rows in progress(benchmark_rows(corpus, split, frames)):
            joints_m: Array = np.asarray(corpus.joints_m[rows], dtype=np.float64)
            present: BoolArray = np.ones(joints_m.shape[:2], dtype=bool)
            if corpus.feet_m is not None:
                feet_m = feet_of(corpus, motion, rows, derived=False)
                joints_m, present = present_joints(np.concatenate([joints_m, feet_m], axis=1))
            clips = [project_clip(joints_m, name, view) for view in range(NUM_VIEWS)]
            keypoints = np.stack([clip["keypoints"] for clip in clips]) * present[..., None]
            pose, log_error = model.predict_with_error(image.denormalize(keypoints), IMAGE_SIZE)
            assert log_error is not None
            for clip, pose_units, log in zip(clips, pose / image.unit_px, log_error, strict=True):
                to_mm = 1000 * float(clip["scale_m"])
                _add(people[motion.subject], to_mm * pose_units, to_mm * clip["pose"], log, present)
    if not people:
        raise UserError(f"no corpus has motion in the split {split!r}")
    return dict(people)


def _add(
    errors: PersonErrors, pose_mm: Array, target_mm: Array, log_error: Array, present: BoolArray
) -> None:
    """Add a clip: poses (T, J, 3), log of expected errors (T, J), and present joints."""
    chain = chain_length(target_mm)
    scaled_mm = pose_mm * (chain / chain_length(pose_mm))
    distance = np.linalg.norm(scaled_mm - target_mm, axis=-1) / (chain * STATURE_PER_CHAIN)
    scored = present & (np.arange(present.shape[1]) > 0)
    errors.ratios.append((distance / np.exp(log_error))[scored])
    errors.expected.append(np.exp(log_error)[scored])
    if present.shape[1] > BODY:
        off = (pose_mm - target_mm)[:, BODY:]
        feet = present[:, BODY:]
        errors.feet_mm.append(np.linalg.norm(off, axis=-1)[feet])
        relative = off - (pose_mm - target_mm)[:, ANKLES]
        errors.from_ankle_mm.append(np.linalg.norm(relative, axis=-1)[feet])


def coverage(people: Iterable[PersonErrors], bars: ErrorBars) -> tuple[float, float]:
    """Percentages of joints within the radii of 68 and 95 %."""
    ratios = np.concatenate([each for person in people for each in person.ratios])
    within = [100 * float((ratios < f).mean()) for f in (bars.factor_68, bars.factor_95)]
    return within[0], within[1]


def fitted_bars(people: Iterable[PersonErrors], calibrated_on: str = "") -> ErrorBars:
    """The factors with which 68 and 95 % of the joints of these people are covered."""
    ratios = np.concatenate([each for person in people for each in person.ratios])
    near, far = (round(float(factor), 4) for factor in np.quantile(ratios, [0.68, 0.95]))
    return ErrorBars(factor_68=near, factor_95=far, calibrated_on=calibrated_on)


def coverage_of_others(people: dict[str, PersonErrors]) -> tuple[float, float]:
    """`coverage` of each person with factors fitted to all others, averaged over all joints.

    Raises:
        UserError: If there is only one person.
    """
    if len(people) < 2:
        raise UserError("error bars are calibrated on two people or more, to test them on others")
    held: list[tuple[int, float, float]] = []
    for name, person in people.items():
        others = fitted_bars(other for key, other in people.items() if key != name)
        held.append((sum(map(len, person.ratios)), *coverage([person], others)))
    counts, near, far = np.array(held).T
    return float(np.average(near, weights=counts)), float(np.average(far, weights=counts))


def report(people: dict[str, PersonErrors], bars: ErrorBars) -> dict[str, float]:
    """Scores by name: coverage in percent, the mean radius of 68 %, and the errors of feet."""
    all_people = list(people.values())
    scores = dict(zip(("coverage_68", "coverage_95"), coverage(all_people, bars), strict=True))
    expected = np.concatenate([each for person in all_people for each in person.expected])
    scores["radius_68"] = 100 * bars.factor_68 * float(expected.mean())
    for name in ("feet_mm", "from_ankle_mm"):
        parts = [each for person in all_people for each in getattr(person, name)]
        if sum(map(len, parts)):
            scores[name] = float(np.concatenate(parts).mean())
    return scores


TERMS = {
    "coverage_68": "joints within the radius of 68 %, percent (height scale, from the pelvis)",
    "coverage_95": "joints within the radius of 95 %, percent",
    "radius_68": "mean radius of 68 %, percent of the stature",
    "feet_mm": "MPJPE of toe bases and toes at true scale, from the pelvis",
    "from_ankle_mm": "the same, from the ankle",
}
