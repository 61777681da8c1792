"""`actionpose prepare SOURCE`: convert public datasets into corpora and paired datasets."""

import importlib
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.options import Quiet, progress_bar
from actionpose.utils.errors import UserError

Source = Annotated[
    Positional[Path],
    arg(metavar="FOLDER", help="Folder of the original files, searched recursively."),
]
Corpus = Annotated[Positional[Path], arg(metavar="OUT", help="Folder of the new corpus.")]
Force = Annotated[
    bool,
    arg(
        help="Prepare the data even if the checks of body sides or sizes fail, and record the "
        "failures."
    ),
]
Paired = Annotated[Positional[Path], arg(metavar="OUT", help="Folder of the prepared data.")]

SHOWN = 10  # maximum number of files to print; the corpus lists all of them


def amass_babel(
    amass: Positional[Path],
    annotations: Positional[Path],
    out_dir: Annotated[
        Positional[Path | None], arg(metavar="OUT", help="Folder of the new corpus.")
    ] = None,
    *,
    body_model: Path,
    regressor: Path | None = None,
    approximate: bool = False,
    text: Literal["proc_label", "raw_label"] = "proc_label",
    workers: int | None = None,
    check: bool = False,
    quiet: Quiet = False,
) -> None:
    """Create a corpus from AMASS with the labels of BABEL, HumanML3D or KIT-ML.

    The data require registration. docs/datasets/amass_babel.md lists the required files and
    explains the report. After an interruption, the same command resumes.

    Args:
        amass: Folder of AMASS with its datasets (CMU, KIT, ...).
        annotations: Folder of BABEL (train.json, ...) or HumanML3D (index.csv, texts), or a json
            file of AMASS-Annotation-Unifier.
        body_model: Folder with male/model.npz and female/model.npz of SMPL-H.
        regressor: Joint regressor of Human3.6M, J_regressor_h36m_correct.npy.
        approximate: Use the joints of the body model instead of a regressor. They differ from
            those of Human3.6M by some centimeters.
        text: Text of the labels: BABEL's cleaned label, or the annotator's original text.
        workers: Number of processes. By default one per core.
        check: Only check the inputs, and report what is missing and where to get it.
    """
    if regressor is not None and approximate:
        raise UserError("give --regressor or --approximate, not both")
    if check:
        _check_amass(amass, annotations, body_model, regressor, approximate)
        return
    from actionpose.prepare.amass.build import prepare

    if out_dir is None:
        raise UserError("name the folder of the new corpus after the annotations")
    if workers is None:
        # the process may be restricted to some of the cores
        here = getattr(os, "sched_getaffinity", None)
        workers = len(here(0)) if here else os.cpu_count() or 1
    if workers < 1:
        raise UserError(f"--workers must be 1 or more, not {workers}")
    with progress_bar(quiet=quiet, unit="file") as bar:

        def progress(done: int, total: int) -> None:
            if bar.total is None:
                bar.reset(total)
                bar.initial = done  # so that the rate is that of this run
            bar.update(done - bar.n)

        report = prepare(
            amass,
            annotations,
            out_dir,
            body_model=body_model,
            regressor=regressor,
            approximate=approximate,
            text=text,
            workers=workers,
            progress=progress,
        )
    for line in report.lines():
        print(line)
    print(f"wrote       {out_dir}")


def _check_amass(
    amass: Path, annotations: Path, body_model: Path, regressor: Path | None, approximate: bool
) -> None:
    from actionpose.prepare.amass.preflight import check

    findings = check(amass, annotations, body_model, regressor, approximate)
    for finding in findings:
        mark = {True: "ok", False: "WRONG", None: "note"}[finding.ok]
        print(f"{mark:6} {finding.subject:18} {finding.message}")
    wrong = sum(finding.ok is False for finding in findings)
    if wrong:
        raise UserError(f"{wrong} of {len(findings)} checks failed, see above")


def cmu(
    source: Source, out_dir: Corpus, *, index: Path, fps: float | None = None, quiet: Quiet = False
) -> None:
    """Create a corpus from the CMU database: ASF and AMC files, or BVH conversions.

    Args:
        index: File with the description and frame rate of each trial: a page saved from the search
            of the database (.html), or a .csv, .json or .txt file. docs/datasets/mocap.md describes
            the formats.
        fps: Frame rate in Hz of trials without a rate in the index (usually 120, sometimes 60).
    """
    if fps is not None and not 1 <= fps <= 1000:
        raise UserError(f"--fps is frames a second, such as 120, not {fps:g}")
    _write_corpus("cmu", source, out_dir, quiet, index=index, fps=fps)


def hdm05(source: Source, out_dir: Corpus, quiet: Quiet = False) -> None:
    """Create a corpus from HDM05: the cut AMC files and their skeletons."""
    _write_corpus("hdm05", source, out_dir, quiet)


def bandai(source: Source, out_dir: Corpus, quiet: Quiet = False) -> None:
    """Create a corpus from Bandai-Namco-Research-Motiondataset (not for commercial use)."""
    _write_corpus("bandai", source, out_dir, quiet)


def bvh(
    source: Source,
    out_dir: Corpus,
    joint_map: UseAppendAction[tuple[str, ...]] = (),
    labels: Path | None = None,
    title: str = "BVH files",
    license: str = "unknown",
    quiet: Quiet = False,
) -> None:
    """Create a corpus from a folder of BVH files.

    Args:
        joint_map: Mapping of the joints: a name listed by `actionpose prepare joint-maps`, or a
            YAML file. May be repeated; each file is read with the first map that fits.
        labels: CSV file with the columns file and text, and optionally subject, split, start_s and
            stop_s.
        title: Source of the data, stored in the corpus.
        license: License of the data, stored in the corpus.
    """
    about = {"title": title, "license": license}
    _write_corpus("folder", source, out_dir, quiet, about, joint_maps=joint_map, labels=labels)


def joint_maps(name: Positional[str | None] = None) -> None:
    """List the joint maps of the package, or print the YAML file of one as a template.

    Args:
        name: Joint map to print. By default all names are listed.
    """
    from actionpose.prepare.mocap.joint_map import load_joint_map, shipped, shipped_text

    if name is not None:
        print(shipped_text(name), end="")
        return
    for each in shipped():
        print(f"{each:10} {load_joint_map(each).about}")


def _write_corpus(
    reader: str,
    folder: Path,
    out_dir: Path,
    quiet: bool,
    about: dict[str, str] | None = None,
    **settings: Any,
) -> None:
    """Write a corpus, and print its content and skipped files. Exit code 3 if a file failed."""
    from actionpose.datasets.corpus import open_corpus
    from actionpose.prepare.mocap.common import SourceFolder, write_sequences

    module = importlib.import_module(f"actionpose.prepare.mocap.{reader}")
    about = about or {"title": module.SOURCE, "license": module.LICENSE}
    source = SourceFolder(folder)
    sequences = module.list_sequences(source, **settings)
    with progress_bar(quiet=quiet, total=len(sequences), unit="file") as bar:
        write_sequences(sequences, source, out_dir, **about, progress=bar.update)
    corpus = open_corpus(out_dir)
    splits = [segment.split for segment in corpus.motions().values()]
    counts = ", ".join(f"{splits.count(name)} {name}" for name in dict.fromkeys(splits))
    hours = corpus.info["frames"] / corpus.fps / 3600
    print(f"read    {len(splits)} of {len(sequences) + len(source.excluded)} files: {counts}")
    print(f"        {hours:.2f} hours at {corpus.fps:g} Hz")
    for heading, reasons in (("left out", source.excluded), ("failed", source.failed)):
        if reasons:
            print(f"{heading:7} {len(reasons)}", file=sys.stderr)
        for name, reason in list(reasons.items())[:SHOWN]:
            print(f"        {name}: {reason}", file=sys.stderr)
        if len(reasons) > SHOWN:
            print(f"        ... all are named in {out_dir / 'corpus.json'}", file=sys.stderr)
    print(f"wrote   {out_dir}")
    if source.failed:
        sys.exit(3)


def synthetic(
    out_dir: Corpus,
    num_motions: int = 4000,
    seed: int = 0,
    actions: tuple[str, ...] = (),
    quiet: Quiet = False,
) -> None:
    """Create a corpus of procedural motion, which needs no license.

    Args:
        num_motions: Number of motions of about 110 frames each.
        seed: Seed of the random generator.
        actions: Actions to include, such as turn and sidestep. By default all.
    """
    from actionpose.datasets.corpus import Motion, write_corpus
    from actionpose.datasets.synthetic.generate import dataset

    if num_motions < 1:
        raise UserError(f"--num-motions must be 1 or more, not {num_motions}")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, not {seed}")
    made = progress_bar(dataset(num_motions, seed, actions=actions), quiet=quiet, total=num_motions)
    motions = (
        Motion(
            id=f"synthetic_{number:06d}",
            subject=motion.subject,
            split="train",
            joints_m=motion.joints_m,
            text=motion.text,
            labels=list(motion.labels),
        )
        for number, motion in enumerate(made)
    )
    source = f"actionpose prepare synthetic --num-motions {num_motions} --seed {seed}"
    if actions:
        source += f" --actions {shlex.join(actions)}"
    folder = write_corpus(out_dir, motions, source=source, license="none needed: procedural")
    print(f"wrote   {folder}")


def h36m(
    source: Positional[Path],
    out_dir: Paired,
    keypoints: Annotated[
        Path | None, arg(help="2D keypoint file for VideoPose3D's data_3d_h36m.npz.")
    ] = None,
    cameras: Annotated[
        Path | None, arg(help="JSON file of camera extrinsics for VideoPose3D's data_3d_h36m.npz.")
    ] = None,
    force: Force = False,
) -> None:
    """Prepare Human3.6M from MotionBERT's pkl file or VideoPose3D's npz files.

    Args:
        source: h36m_sh_conf_cam_source_final.pkl or data_3d_h36m.npz.
    """
    from actionpose.prepare.paired.h36m import prepare_h36m

    _report(prepare_h36m(source, out_dir, keypoints=keypoints, cameras=cameras, force=force))


def mpi_inf_3dhp(
    source: Positional[Path],
    out_dir: Paired,
    annotation: Annotated[
        Literal["univ_annot3", "annot3"], arg(help="Annotation that the 3D poses are made from.")
    ] = "univ_annot3",
    force: Force = False,
) -> None:
    """Prepare MPI-INF-3DHP from P-STMO's data_train_3dhp.npz and data_test_3dhp.npz.

    Args:
        source: Folder that contains both files.
    """
    from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp

    _report(prepare_3dhp(source, out_dir, annotation=annotation, force=force))


def _report(folder: Path) -> None:
    """Print the content of a prepared folder."""
    from actionpose.datasets.paired import verify_paired
    from actionpose.evaluation.protocols import SYNTHETIC

    info = verify_paired(folder)
    print(f"wrote   {folder}: {info['kind']}, keypoints {info['keypoints']}")
    for split, count in info["splits"].items():
        print(f"{split:7} {count['videos']} videos, {count['frames']} frames")
    if "factor_residual_mm" in info:
        residual = info["factor_residual_mm"]
        print(f"factors {residual:.4f} mm between factor x pixels and millimeters")
    if "knee_to_neck_mm" in info:
        sizes = [mm for split in info["knee_to_neck_mm"].values() for mm in split.values()]
        print(f"bodies  knee to neck {min(sizes):.0f} to {max(sizes):.0f} mm: {info['annotation']}")
    for failed in info["forced"]:
        print(f"forced  {failed}")
    if info["synthetic"]:
        print(SYNTHETIC)
