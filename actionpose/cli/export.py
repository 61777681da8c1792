"""Commands that work on a result: other formats, the viewer, joint angles."""

import webbrowser
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.options import Quiet, check_outputs, progress_bar
from actionpose.cli.postprocess import MotionOptions, described
from actionpose.utils.errors import UserError

Outputs = Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])]
Motion = Annotated[MotionOptions, arg(name="")]
_HAS_RIGID_BONES = (".bvh", ".glb")


def export(
    result: Positional[Path],
    out: Outputs = (),
    motion: Motion = MotionOptions(),  # noqa: B008  (frozen)
    film: Path | None = None,
    quiet: Quiet = False,
) -> None:
    """Write a result in other formats, without lifting again.

    Args:
        result: An npz that `actionpose lift` wrote.
        out: A file to write; the suffix is the format: npz, json, csv, png, html, mp4, bvh, trc,
            c3d, glb. May be repeated.
        film: The video under the overlay of mp4, and in html.
    """
    from actionpose.export.save import save_files
    from actionpose.postprocessing.bone_lengths import rigid
    from actionpose.result import WRITERS, Result

    check_outputs(out, list(WRITERS), "result.bvh")
    if film is not None and not film.is_file():
        raise UserError(f"there is no film {film}")
    loaded = Result.load(result)
    known = len(loaded.header.get("processing", []))
    loaded = motion.apply(loaded)
    for line in described(loaded.header.get("processing", [])[known:]):
        print(line)
    steps = [step["step"] for step in loaded.header.get("processing", [])]
    if "rigid" not in steps and any(path.suffix.lower() in _HAS_RIGID_BONES for path in out):
        for line in described(rigid(loaded).header["processing"][-1:]):
            print(f"{line} (bvh, glb)")
    with progress_bar(quiet=quiet, unit="frame") as bar:
        files = save_files(loaded, out, film=film, progress=bar.update)
    for file in files:
        print(f"wrote   {file}")


def view(
    result: Positional[Path],
    out: Annotated[Path | None, arg(aliases=["-o"])] = None,
    film: Path | None = None,
    motion: Motion = MotionOptions(),  # noqa: B008
    open: bool = True,
) -> None:
    """Open a 3D viewer in the browser: a page that needs no network and no other program.

    Args:
        result: An npz that `actionpose lift` wrote.
        out: The page (html); else beside the result, with the suffix html.
        film: The video that was lifted: shown under the keypoints. A small one is put into the
            page, of a large one only the way to it.
        open: Show the page; else only write it.
    """
    from actionpose.result import Result
    from actionpose.visualization import html_viewer as viewer

    page = result.with_suffix(".html") if out is None else out
    check_outputs((page,), [".html", ".htm"], "page.html")
    loaded = motion.apply(Result.load(result))
    viewer.html(loaded, page, film=film)
    print(f"wrote   {page}")
    if open:
        webbrowser.open(page.absolute().as_uri())


def angles(
    result: Positional[Path],
    out: Outputs = (),
    motion: Motion = MotionOptions(),  # noqa: B008
) -> None:
    """Angles of hips, knees, shoulders, elbows and the trunk over time: table, CSV, plot.

    Args:
        result: An npz that `actionpose lift` wrote.
        out: A csv, or a png with curves. May be repeated; without it only the table is printed.
    """
    import numpy as np

    from actionpose.export import joint_angles as writers
    from actionpose.postprocessing.joint_angles import angles as angles_of
    from actionpose.result import Result

    if out:
        check_outputs(out, list(writers.WRITERS), "angles.csv")
    table = angles_of(motion.apply(Result.load(result)))
    for person, track in enumerate(table.track_id):
        degrees = table.degrees[person]
        if len(table.track_id) > 1:
            print(f"person {track}")
        print(f"{'angle, degrees':28}{'least':>8}{'median':>8}{'most':>8}{'known':>8}")
        for number, name in enumerate(table.names):
            values = degrees[np.isfinite(degrees[:, number]), number]
            low, middle, high = (
                np.percentile(values, [0, 50, 100]) if values.size else (np.nan, np.nan, np.nan)
            )
            share = values.size / max(len(degrees), 1)
            print(f"{name:28}{low:8.1f}{middle:8.1f}{high:8.1f}{share:8.0%}")
    print(f"vertical: {table.header['vertical']}")
    print(table.not_known)
    for path in out:
        writers.save(table, path)
        print(f"wrote   {path}")
