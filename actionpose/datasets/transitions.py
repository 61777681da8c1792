"""The actions before and after a transition of BABEL, for corpora and clips."""

from collections.abc import Sequence

TRANSITION = "transition"  # text of a transition that does not name actions
MAX_GAP_S = 1.0  # maximum gap between an action and the transition


def transition_neighbors(
    transition: tuple[float, float], actions: Sequence[tuple[float, float, str]], *, max_gap: float
) -> tuple[int | None, int | None]:
    """The indices of the actions before and after a transition.

    The action before starts and ends before the transition, and its end is nearest to the start of
    the transition. The action after starts and ends later, and its start is nearest to the end.
    Overlap is allowed: annotated labels overlap, and TEACH pairs them in this way. Of equally near
    actions, the longest is used.

    Args:
        transition: Start and stop, in seconds or frames.
        actions: Start, stop and text of each action; transitions among them are ignored.
        max_gap: Maximum gap in the same unit.

    Returns:
        Indices of `actions`, or None if there is no such action.
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
    """The text of a transition in the paper."""
    return f"transit from {before} to {after}"
