"""Writing a result to several files."""

from collections.abc import Callable, Sequence
from pathlib import Path

from actionpose.result import Result
from actionpose.utils.errors import UserError

_OPTIONS = {  # options of the writers
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
    """Write a result to several files, in the formats of their suffixes.

    Args:
        result: Result to write.
        paths: Files to write.
        video: Video that was lifted, shown in mp4 and html files.
        raw: Whether to keep the positions of the result in bvh and glb files. By default people
            stand on the ground, with constant bone lengths (`standing`).
        progress: Function that is called with the number of mp4 frames drawn since the last call.

    Returns:
        The written files; some formats have one file per person.

    Raises:
        UserError: See `Result.save`; raised for the first file that fails, after writing the
            others.
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
