"""Which actions a transition of BABEL leads from and to: one rule for corpora and clips."""

from collections.abc import Sequence

TRANSITION = "transition"  # the text of a change of action that does not say of which
MAX_GAP_S = 1.0  # between an action and the transition from or to it


def transition_neighbors(
    transition: tuple[float, float], actions: Sequence[tuple[float, float, str]], *, max_gap: float
) -> tuple[int | None, int | None]:
    """The places of the actions before and after a transition.

    The action before starts and ends before the transition does, and ends nearest to its start; the
    one after ends and starts later, and starts nearest to its end. Overlap is allowed: annotators
    let labels overlap, and TEACH pairs them so. Of equally near actions the longest counts.

    Args:
        transition: start and stop, in seconds or frames.
        actions: start, stop and text of each; other transitions are no actions.
        max_gap: farthest end or start that still counts, in the same unit.

    Returns:
        Places in `actions`, None where there is none.
    """
    start, stop = transition
    named = [(a, b, place) for place, (a, b, text) in enumerate(actions) if text != TRANSITION]
    before = [
        (abs(b - start), a - b, place)
        for a, b, place in named
        if a < start and b < stop and start - b <= max_gap
    ]
    after = [
        (abs(a - stop), a - b, place)
        for a, b, place in named
        if a > start and b > stop and a - stop <= max_gap
    ]
    return (min(before)[2] if before else None), (min(after)[2] if after else None)


def transition_text(before: str, after: str) -> str:
    """The paper's text of a transition."""
    return f"transit from {before} to {after}"
