"""A result into several files at once, beside the film that it came from."""

from collections.abc import Callable, Sequence
from pathlib import Path

from actionpose.result import Result
from actionpose.visualization import html_viewer as view
from actionpose.visualization import video_overlay as overlay


def save_files(
    result: Result,
    paths: Sequence[Path],
    *,
    film: Path | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> list[Path]:
    """Write a result in the formats that the suffixes name.

    Args:
        film: the video that was lifted: under the overlay of an mp4, and in a page.
        progress: called with the number of frames of an mp4 that were drawn since the last call.

    Returns:
        The files: of several persons, some formats have one each.

    Raises:
        UserError: see `Result.save`.
    """
    files: list[Path] = []
    for path in paths:
        if path.suffix.lower() == ".mp4":
            overlay.video(result, path, film=film, progress=progress)
            files.append(path)
        elif path.suffix.lower() == ".html" and film is not None:
            view.html(result, path, film=film)
            files.append(path)
        else:
            files += result.save(path)
    return files
