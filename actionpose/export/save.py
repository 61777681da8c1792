"""A result into several files at once, beside the video that it came from."""

from collections.abc import Callable, Sequence
from pathlib import Path

from actionpose.result import Result
from actionpose.utils.errors import UserError

_OPTIONS = {  # of the writers
    ".mp4": ("video", "progress"),
    ".html": ("video",),
    ".bvh": ("raw",),
    ".glb": ("raw",),
}


def save_files(
    result: Result,
    paths: Sequence[Path],
    *,
    video: Path | None = None,
    raw: bool = False,
    progress: Callable[[int], object] = lambda frames: None,
) -> list[Path]:
    """Write a result in the formats that the suffixes name.

    Args:
        video: that was lifted: under the overlay of an mp4, and in a page.
        raw: people of bvh and glb files stay where the result has them; else they stand on the
            ground, with bones of constant length (`standing`).
        progress: called with the number of frames of an mp4 that were drawn since the last call.

    Returns:
        The files: of several persons, some formats have one each.

    Raises:
        UserError: see `Result.save`; of the first file that fails, when the others are written.
    """
    given = {"video": video, "raw": raw, "progress": progress}
    files: list[Path] = []
    failed: UserError | None = None
    for path in paths:
        options = {name: given[name] for name in _OPTIONS.get(path.suffix.lower(), ())}
        try:
            files += result.save(path, **options)
        except UserError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return files
