"""Commands that make corpora of motion capture files: `actionpose prepare cmu|hdm05|bandai|bvh`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.options import Quiet

if TYPE_CHECKING:
    from actionpose.prepare.mocap.common import Left, Take

Out = Annotated[Path, arg(aliases=["-o"], help="folder of the new corpus")]
Source = Annotated[Positional[Path], arg(help="folder of the original files; searched through")]

SHOWN = 10  # files named on the screen; the corpus names them all


def cmu(
    source: Source,
    out: Out,
    index: Path,
    fps: float | None = None,
    quiet: Quiet = False,
) -> None:
    """Make a corpus of the CMU database: ASF and AMC, or BVH conversions.

    Args:
        index: Descriptions and true rates of the trials: a saved page of the database's search
            (.html), or a .csv, .json or .txt; docs/datasets/mocap.md tells how.
        fps: Rate of trials whose rate the index does not give (120 is usual, 60 is not rare).
    """
    from actionpose.prepare.mocap import cmu as reader
    from actionpose.prepare.mocap.common import Left
    from actionpose.utils.errors import UserError

    if fps is not None and not 1 <= fps <= 1000:
        raise UserError(f"--fps is frames a second, such as 120, not {fps:g}")
    left = Left()
    takes = reader.takes(source, index, fps, left)
    _write(takes, source, out, reader.SOURCE, reader.LICENSE, left, quiet)


def hdm05(source: Source, out: Out, quiet: Quiet = False) -> None:
    """Make a corpus of HDM05: the cut AMC files and their skeletons."""
    from actionpose.prepare.mocap import hdm05 as reader
    from actionpose.prepare.mocap.common import Left

    left = Left()
    takes = reader.takes(source, left)
    _write(takes, source, out, reader.SOURCE, reader.LICENSE, left, quiet)


def bandai(source: Source, out: Out, quiet: Quiet = False) -> None:
    """Make a corpus of the Bandai-Namco-Research-Motiondataset (not for commercial use)."""
    from actionpose.prepare.mocap import bandai as reader
    from actionpose.prepare.mocap.common import Left

    left = Left()
    takes = reader.takes(source, left)
    _write(takes, source, out, reader.SOURCE, reader.LICENSE, left, quiet)


def bvh(
    source: Source,
    out: Out,
    rig: UseAppendAction[tuple[str, ...]] = (),
    labels: Path | None = None,
    title: str = "BVH files",
    license: str = "unknown",
    quiet: Quiet = False,
) -> None:
    """Make a corpus of any folder of BVH files.

    Args:
        rig: Which joints are which: a name (see `actionpose prepare rigs`) or a YAML file. May be
            repeated; the first that fits a file reads it.
        labels: A CSV with the columns file and text, and perhaps subject, split, start_s, stop_s.
        title: What the corpus says of its source.
        license: What the corpus says of its license.
    """
    from actionpose.prepare.mocap import folder as reader
    from actionpose.prepare.mocap.common import Left

    left = Left()
    takes = reader.takes(source, list(rig), labels, left)
    _write(takes, source, out, title, license, left, quiet)


def rigs(name: Positional[str | None] = None) -> None:
    """Rigs that ship with the package; with a name, its YAML, to copy and change.

    Args:
        name: One of them.
    """
    from actionpose.prepare.mocap.joint_map import load_rig, shipped, shipped_text

    if name is not None:
        print(shipped_text(name), end="")
        return
    for each in shipped():
        print(f"{each:10} {load_rig(each).about}")


def _write(
    takes: list["Take"],
    root: Path,
    out: Path,
    source: str,
    license: str,
    left: "Left",
    quiet: bool,
) -> None:
    """Write the corpus, print what is in it and what is not; exit code 3 if a file failed."""
    from tqdm import tqdm

    from actionpose.datasets.corpus import open_corpus
    from actionpose.prepare.mocap.common import write

    with tqdm(total=len(takes), unit="file", disable=True if quiet else None) as bar:
        write(
            takes,
            out,
            root=root,
            source=source,
            license=license,
            left=left,
            progress=bar.update,
        )
    corpus = open_corpus(out)
    motions = corpus.motions()
    splits = [segment.split for segment in motions.values()]
    counts = ", ".join(f"{splits.count(name)} {name}" for name in dict.fromkeys(splits))
    hours = corpus.info["frames"] / corpus.fps / 3600
    print(f"read    {len(motions)} of {len(takes) + len(left.out)} files: {counts}")
    print(f"        {hours:.2f} hours at {corpus.fps:g} Hz")
    for what, reasons in (("left out", left.out), ("failed", left.failed)):
        if reasons:
            print(f"{what:7} {len(reasons)}", file=sys.stderr)
        for name, reason in list(reasons.items())[:SHOWN]:
            print(f"        {name}: {reason}", file=sys.stderr)
        if len(reasons) > SHOWN:
            print(f"        ... all are named in {out / 'corpus.json'}", file=sys.stderr)
    print(f"wrote   {out}")
    if left.failed:
        sys.exit(3)
