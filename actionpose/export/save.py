"""A result into several files at once, beside the video that it came from."""

from collections.abc import Callable, Sequence
from pathlib import Path

from actionpose.result import Result
from actionpose.visualization.html_viewer import write_html
from actionpose.visualization.video_overlay import write_video


def save_files(
    result: Result,
    paths: Sequence[Path],
    *,
    video: Path | None = None,
    progress: Callable[[int], object] = lambda frames: None,
) -> list[Path]:
    """Write a result in the formats that the suffixes name.

    Args:
        video: that was lifted: under the overlay of an mp4, and in a page.
        progress: called with the number of frames of an mp4 that were drawn since the last call.

    Returns:
        The files: of several persons, some formats have one each.

    Raises:
        UserError: see `Result.save`.
    """
    files: list[Path] = []
    for path in paths:
        if path.suffix.lower() == ".mp4":
            write_video(result, path, video=video, progress=progress)
            files.append(path)
        elif path.suffix.lower() == ".html" and video is not None:
            write_html(result, path, video=video)
            files.append(path)
        else:
            files += result.save(path)
    return files
