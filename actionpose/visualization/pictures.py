"""A new matplotlib figure: what everything that draws begins with."""

from typing import TYPE_CHECKING, Any

from actionpose.utils.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float, **options: Any) -> "Figure":
    """A white figure that needs no display and leaves matplotlib's global state alone.

    Args:
        width, height: inches.
        options: of matplotlib's `Figure`.

    Raises:
        UserError: matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise UserError("a picture needs matplotlib: pip install 'actionpose[viz]'") from None
    figure = Figure(figsize=(width, height), facecolor="white", **options)
    FigureCanvasAgg(figure)
    return figure
