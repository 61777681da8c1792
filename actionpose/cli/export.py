"""Commands for results: conversion to other formats, the 3D viewer and joint angles."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.options import Part, PartOptions, Quiet, check_outputs, progress_bar
from actionpose.cli.postprocess import MotionOptions, described
from actionpose.utils.errors import UserError
from actionpose.utils.files import check_not_inputs

if TYPE_CHECKING:
    from actionpose.result import Result

Outputs = Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])]
Motion = Annotated[MotionOptions, arg(name="")]
Raw = Annotated[bool, arg(help="Do not place people on the ground in bvh and glb files.")]
_STANDING = (".bvh", ".glb")  # formats with people on the ground and constant bone lengths


def _prepared(path: Path, part: Part, motion: Motion) -> "Result":
    """Load a part of a result and apply the post-processing options; print a line for each step."""
    from actionpose.postprocessing.common import steps
    from actionpose.postprocessing.selection import select
    from actionpose.result import Result

    chosen = select(Result.load(path), **part.chosen())
    done = motion.apply(chosen)
    for line in described(done.header.get("processing", [])[len(steps(chosen)) :]):
        print(line)
    return done


def export(
    result: Positional[Path],
    out: Outputs = (),
    part: Part = PartOptions(),  # noqa: B008  (frozen)
    motion: Motion = MotionOptions(),  # noqa: B008
    raw: Raw = False,
    video: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Write a result in other formats, without lifting again.

    Args:
        result: Result of `actionpose lift` (npz).
        out: File to write. The suffix selects the format: npz, json, csv, png, html, mp4, bvh,
            trc, c3d or glb. May be repeated.
        video: Video that was lifted, shown in mp4 and html files. By default it is searched for at
            the path stored in the result and in the folder of the output.
    """
    from actionpose.export.common import standing
    from actionpose.export.save import save_files
    from actionpose.postprocessing.common import steps
    from actionpose.utils.writers import WRITERS

    check_outputs(out, list(WRITERS), "result.bvh")
    if video is not None and not video.is_file():
        raise UserError(f"there is no video {video}")
    loaded = _prepared(result, part, motion)
    if not raw and any(path.suffix.lower() in _STANDING for path in out):
        num_done = len(steps(loaded))
        for line in described(standing(loaded).header["processing"][num_done:]):
            print(f"{line} (bvh, glb)")
    with progress_bar(quiet=quiet, unit="frame") as bar:
        files = save_files(loaded, out, video=video, raw=raw, progress=bar.update)
    for file in files:
        print(f"wrote   {file}")


def view(
    result: Positional[Path],
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    video: Path | None = None,
    part: Part = PartOptions(),  # noqa: B008
    motion: Motion = MotionOptions(),  # noqa: B008
    open: bool = True,
) -> None:
    """Open a result in the 3D viewer, an HTML page that needs no network connection.

    Args:
        result: Result of `actionpose lift` (npz).
        out: HTML page to write. By default it is written beside the result, with the suffix html.
        video: Video that was lifted, shown under the keypoints. By default it is searched for at
            the path stored in the result and in the folder of the page. A small video is embedded
            in the page; a large one is linked.
        open: Whether to open the page in the browser.
    """
    from actionpose.visualization.html_viewer import write_html

    page = result.with_suffix(".html") if out is None else out
    check_outputs((page,), [".html", ".htm"], "page.html")
    check_not_inputs((page,), (result,))
    write_html(_prepared(result, part, motion), page, video=video)
    print(f"wrote   {page}")
    if open:
        webbrowser.open(page.absolute().as_uri())


def angles(
    result: Positional[Path],
    out: Outputs = (),
    part: Part = PartOptions(),  # noqa: B008
    motion: Motion = MotionOptions(),  # noqa: B008
) -> None:
    """Compute joint angles of hips, knees, ankles, shoulders, elbows and trunk over time.

    Args:
        result: Result of `actionpose lift` (npz).
        out: File to write: csv, or png with a plot. May be repeated. Without it, only a summary
            table is printed.
    """
    import numpy as np

    from actionpose.export import joint_angles as writers
    from actionpose.postprocessing.joint_angles import joint_angles
    from actionpose.postprocessing.visibility import visibility_notes

    if out:
        check_outputs(out, list(writers.WRITERS), "angles.csv")
    loaded = _prepared(result, part, motion)
    table = joint_angles(loaded)
    for person, track in enumerate(table.track_id):
        degrees = table.degrees[person]
        if len(table.track_id) > 1:
            print(f"id {track}")
        print(f"{'angle, degrees':28}{'least':>8}{'median':>8}{'most':>8}{'known':>8}")
        for number, name in enumerate(table.names):
            values = degrees[np.isfinite(degrees[:, number]), number]
            low, middle, high = (
                np.percentile(values, [0, 50, 100]) if values.size else (np.nan, np.nan, np.nan)
            )
            share = values.size / max(len(degrees), 1)
            cells = f"{low:8.1f}{middle:8.1f}{high:8.1f}".replace("nan", "  -")
            print(f"{name:28}{cells}{share:8.0%}")
    print("\n".join([*writers.notes(table), *visibility_notes(loaded)]))
    for path in out:
        writers.save(table, path)
        print(f"wrote   {path}")
