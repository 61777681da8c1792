"""Which actions a transition of BABEL leads from and to."""

from collections.abc import Sequence

MAX_GAP_S = 1.0  # between an action and the transition from or to it


def transition_neighbors(
    transition: tuple[float, float], spans: Sequence[tuple[float, float]], *, max_gap: float
) -> tuple[int | None, int | None]:
    """The places of the spans before and after a transition.

    The span before starts and ends before the transition does, and ends nearest to its start; the
    one after ends and starts later, and starts nearest to its end. Overlap is allowed: annotators
    let labels overlap, and TEACH pairs them so. Of equally near spans the longest counts.

    Args:
        transition: start and stop, in seconds or frames.
        spans: likewise, without the transition itself.
        max_gap: farthest end or start that still counts, in the same unit.

    Returns:
        Places in `spans`, None where there is none.
    """
    start, stop = transition
    before = [
        (abs(b - start), a - b, place)
        for place, (a, b) in enumerate(spans)
        if a < start and b < stop and start - b <= max_gap
    ]
    after = [
        (abs(a - stop), a - b, place)
        for place, (a, b) in enumerate(spans)
        if a > start and b > stop and a - stop <= max_gap
    ]
    return (min(before)[2] if before else None), (min(after)[2] if after else None)
