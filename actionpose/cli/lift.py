"""Commands for lifting: `actionpose demo` and `actionpose lift`."""

import re
import sys
import time
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, UseAppendAction, arg

from actionpose.cli.export import Motion, Raw
from actionpose.cli.main import with_flags
from actionpose.cli.options import (
    ENGINES,
    QUALITIES,
    WHOLE,
    Checkpoint,
    Device,
    Engine,
    Part,
    PartOptions,
    Quiet,
    Reading,
    ReadingOptions,
    check_belongs,
    check_choice,
    check_input,
    check_number,
    check_outputs,
    parse_height,
    progress_bar,
)
from actionpose.cli.postprocess import MotionOptions, described
from actionpose.utils.errors import UserError
from actionpose.utils.files import make_folder

if TYPE_CHECKING:
    from actionpose.inference import batch
    from actionpose.inference.jobs import LiftJob
    from actionpose.inference.predictor import ActionPose

SOME_FAILED = 3  # exit code if some inputs failed
_USUAL = "npz,html,bvh,csv"  # default formats for a video without named outputs


def demo(
    out_dir: Annotated[Path, arg(help="Output folder.")] = Path("demo"),
    html: Annotated[bool, arg(help="Whether to write a 3D viewer (HTML page).")] = True,
    device: Device = "auto",
) -> None:
    """Lift a bundled clip of real keypoints; write the result, a picture and a 3D viewer."""
    from actionpose.inference.predictor import ActionPose
    from actionpose.keypoints import Keypoints

    file = Path(str(resources.files("actionpose"))) / "assets" / "demo_keypoints.npz"
    keypoints = Keypoints.read(file)
    model = ActionPose.from_pretrained("tiny", device)
    started = time.perf_counter()
    result = model.lift(keypoints)
    seconds = time.perf_counter() - started
    make_folder(out_dir)
    files = [out_dir / f"demo{suffix}" for suffix in (".npz", ".png", *([".html"] if html else []))]
    for path in files:
        result.save(path)
    print(f"input   {keypoints.num_frames} frames at {keypoints.fps:g} Hz")
    print(f"        {keypoints.detector}; {keypoints.source}")
    print(f"lifted  in {seconds:.1f} s, {keypoints.num_frames / seconds:.0f} frames a second")
    _print_result(result, files)


def lift(
    inputs: Positional[tuple[Path, ...]],
    out: Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])] = (),
    out_dir: Path | None = None,
    save: str | None = None,
    recursive: Annotated[bool, arg(aliases=["-r"])] = False,
    skip_existing: bool = False,
    jobs: Annotated[int | None, arg(aliases=["-j"])] = None,
    executor: str = "local",
    detector: str = "mediapipe",
    max_people: int = 4,
    persons: str = "all",
    person_order: str = "largest",
    max_gap: float = 0.5,
    height: str | None = None,
    joint_convention: str | None = None,
    checkpoint: Checkpoint = "tiny",
    reading: Reading = ReadingOptions(),  # noqa: B008  (frozen)
    part: Part = PartOptions(),  # noqa: B008
    motion: Motion = MotionOptions(),  # noqa: B008
    raw: Raw = False,
    quality: str = "fast",
    device: Device = "auto",
    engine: Engine = "auto",
    quiet: Quiet = False,
) -> None:
    """Lift the people of videos or keypoint files to 3D.

    Args:
        inputs: Videos, images, keypoint files (json, csv, TRC or npz of AlphaPose, OpenPose and
            others; see the table in docs/inference.md), or folders that contain them. A folder of
            numbered images is read as one video.
        out: File to write. The suffix selects the format: npz, json, csv, png, html, mp4, bvh,
            trc, c3d or glb. May be repeated. By default the outputs of dance.mp4 are written to the
            folder dance_lifted.
        out_dir: Output folder, required for several inputs or a folder as input.
        save: Formats to write to the output folder, separated by commas, such as npz,csv. By
            default npz, or npz,html,bvh,csv for a single video.
        recursive: Search input folders recursively.
        skip_existing: Skip inputs whose outputs all exist.
        jobs: Number of parallel processes; with --executor ray, of actors.
        executor: local, or ray for the Ray cluster at the address in RAY_ADDRESS.
        detector: 2D pose detector for videos: mediapipe or rtmlib (several people), or the path of
            an ONNX model (one person).
        max_people: Maximum number of people that mediapipe detects in a frame. With one person, 1
            is faster.
        persons: Number of people to lift, selected by --person-order, or all.
        person_order: Order in which people are selected: largest (size in the image, summed over
            time), first (to appear) or most-moving.
        max_gap: Longest gap in seconds that is filled by interpolation. Filled frames remain marked
            as not valid.
        height: Body height of the people, such as 1.75 or 175cm. By default 1.70 m.
        joint_convention: Definition of the joint positions: anatomical (OpenSim's joint centers),
            mocap (as in the training data) or mediapipe33. By default anatomical, unless the
            checkpoint does not store its convention.
        quality: fast, or best for about 0.2 mm less error at two to three times the run time.
    """
    source = {
        "detector": detector,
        "max_people": max_people,
        **reading.chosen(),
        **part.chosen(),
    }
    lifting = {
        "persons": persons if persons == "all" else _integer(persons),
        "order": person_order,
        "max_gap_s": max_gap,
        "height_m": None if height is None else parse_height(height),
        "joint_convention": joint_convention,
        "quality": quality,
    }
    if not inputs:
        raise UserError("say what to lift: actionpose lift dance.mp4 -o dance.npz")
    if out and out_dir is not None:
        raise UserError("give files with -o result.npz, or a folder with --out-dir, not both")
    if out_dir is None:
        check_input(inputs[0])
        _check_single(out, save, jobs, executor, recursive)
    check_number("--max-gap", max_gap, 0)
    check_number("--jobs", jobs, 1)
    check_number("--max-people", max_people, 1)
    from actionpose.geometry.joint_conventions import OFFSETS
    from actionpose.inference import batch
    from actionpose.inference.jobs import LiftJob, find_jobs, has_outputs
    from actionpose.keypoints.tracking import ORDERS
    from actionpose.utils.device import DEVICES
    from actionpose.video.detectors import DETECTORS

    check_choice("--person-order", person_order, ORDERS)
    if not detector.endswith(".onnx"):
        check_choice("--detector", detector, (*DETECTORS, "the path of an .onnx"))
    check_choice("--quality", quality, QUALITIES)
    check_choice("--engine", engine, ENGINES)
    check_choice("--device", device, DEVICES)
    check_choice("--executor", executor, batch.EXECUTORS)
    if joint_convention is not None:
        check_choice("--joint-convention", joint_convention, OFFSETS)
    motion.check_new(fps=reading.fps, image_size=source["image_size"])
    _check_checkpoint(checkpoint)
    options = batch.LiftOptions(
        checkpoint=checkpoint,
        device=device,
        engine=engine,
        reading=source,
        lifting=lifting,
        saving={"raw": raw},
        steps=(motion.apply,),
    )
    if out_dir is None:
        if out:
            _check_outputs(inputs, out)
        else:
            out = _files_beside(inputs, save)
        check_belongs(source, inputs[0])
        job = LiftJob(inputs[0], out)
        if skip_existing and has_outputs(job):
            print(f"skipped {inputs[0]}: its outputs are there")
            return
        _lift_one(job, options, quiet)
        return
    work = find_jobs(inputs, out_dir, _suffixes(save or "npz"), recursive=recursive)
    _lift_many(work, options, jobs, executor, skip_existing, quiet)


def _check_single(
    out: tuple[Path, ...], save: str | None, jobs: int | None, executor: str, recursive: bool
) -> None:
    """Check that options for an output folder are not used without one."""
    options = {
        "--jobs": jobs is not None,
        "--executor": executor != "local",
        "--recursive": recursive,
    }
    for option, is_given in options.items():
        if is_given:
            raise UserError(f"{option} needs --out-dir, the folder for files of several inputs")
    if out and save is not None:
        raise UserError("give files with -o result.npz, or formats with --save, not both")


def _check_checkpoint(name: str) -> None:
    """Find a checkpoint that is neither bundled nor a local path, before reading inputs."""
    bundled = Path(str(resources.files("actionpose"))) / "weights" / name
    if not bundled.exists() and not Path(name).exists():
        from actionpose.model_hub import find  # imports PyTorch

        find(name)


def _files_beside(inputs: tuple[Path, ...], save: str | None) -> tuple[Path, ...]:
    """The default output files of a video, in a folder beside it."""
    from actionpose.inference.jobs import LIFTED
    from actionpose.video.source import is_keypoint_file

    video = inputs[0]
    if len(inputs) > 1 or not video.is_file() or is_keypoint_file(video):
        raise UserError("say where to write: files with -o result.npz, or a folder with --out-dir")
    folder = video.with_name(f"{video.stem}{LIFTED}")
    return tuple(folder / f"{video.stem}{suffix}" for suffix in _suffixes(save or _USUAL))


def _suffixes(save: str) -> list[str]:
    """The suffixes in a list such as "npz,csv"."""
    from actionpose.utils.writers import WRITERS, check_packages

    suffixes = [f".{word.strip().lower().removeprefix('.')}" for word in save.split(",")]
    if wrong := [suffix for suffix in suffixes if suffix not in WRITERS]:
        known = ",".join(suffix[1:] for suffix in WRITERS)
        raise UserError(f"--save has no {wrong[0][1:]!r}: it is a list of {known}")
    check_packages(suffixes)
    return suffixes


def _check_outputs(inputs: tuple[Path, ...], out: tuple[Path, ...]) -> None:
    """Check the outputs before the computation."""
    from actionpose.inference.jobs import holds_inputs
    from actionpose.utils.writers import WRITERS

    if len(inputs) > 1 or holds_inputs(inputs[0]):
        raise UserError(
            "several inputs or a folder: give the folder to write to and what to save, as in "
            "--out-dir lifted/ --save npz,csv"
        )
    check_outputs(out, list(WRITERS), "result.npz")


def _lift_one(job: "LiftJob", options: "batch.LiftOptions", quiet: bool) -> None:
    """Lift one input with a progress bar over its frames. An error ends the program."""
    from actionpose.inference.batch import lift_file
    from actionpose.utils.background import Background

    def load() -> "ActionPose":
        from actionpose.inference.predictor import ActionPose

        return ActionPose.from_pretrained(options.checkpoint, options.device, options.engine)

    model = Background(load)  # PyTorch is imported during the detection
    with progress_bar(quiet=quiet, unit="frame") as bar:
        shown = ""

        def progress(stage: str, total: int | None, done: int) -> None:
            nonlocal shown
            model.start()
            if stage != shown:
                shown = stage
                bar.reset(total)
                bar.set_description_str(stage, refresh=False)
            bar.update(done)

        result, outcome = lift_file(model.result, job, options, progress)
    for line in described(result.header.get("processing", [])):
        print(line)
    _print_result(result, outcome.files)
    for note in result.header["notes"]:
        print(f"note    {with_flags(note, [job.source])}")
    rate = outcome.frames / outcome.wall_s
    print(f"time    {outcome.wall_s:.1f} s, {rate:.0f} frames a second; {_shares(outcome.seconds)}")
    print(f"engine  {result.header['engine']}, quality {result.header['quality']}")
    if outcome.status == "damaged":
        print(f"actionpose: a part of {job.source} could not be read", file=sys.stderr)
        sys.exit(SOME_FAILED)


def _lift_many(
    work: "list[LiftJob]",
    options: "batch.LiftOptions",
    num_workers: int | None,
    executor: str,
    skip_existing: bool,
    quiet: bool,
) -> None:
    """Lift many inputs with a progress bar over them, and print a table of outcomes."""
    from actionpose.inference import batch
    from actionpose.inference.jobs import has_outputs

    there = [job for job in work if skip_existing and has_outputs(job)]
    left = [job for job in work if job not in there]
    outcomes = [batch.LiftOutcome(job.source, "skipped", "its outputs are there") for job in there]
    for job in left:
        make_folder(job.outputs[0].parent)
    if left:
        done = batch.lift_files(left, options, num_workers=num_workers, executor=executor)
        try:
            outcomes += progress_bar(done, quiet=quiet, total=len(left), unit="file")
        finally:
            done.close()
    places = {job.source: place for place, job in enumerate(work)}
    outcomes.sort(key=lambda outcome: places[outcome.source])
    _print_table(outcomes)
    count = Counter(outcome.status for outcome in outcomes)
    if count["failed"] == len(outcomes):
        raise UserError("no input could be lifted: the table says why")
    if count["failed"] or count["damaged"]:
        sys.exit(SOME_FAILED)


def _print_table(outcomes: "list[batch.LiftOutcome]") -> None:
    width = max(len(str(outcome.source)) for outcome in outcomes)
    print(f"{'input':{width}}  result   people  frames  frames/s  remarks")
    for o in outcomes:
        numbers = f"{o.persons:6}  {o.frames:6}  {o.frames / o.wall_s:8.0f}" if o.frames else ""
        remarks = with_flags(o.message, [o.source])
        print(f"{o.source!s:{width}}  {o.status:7}  {numbers:24}  {remarks}".rstrip())
    count = Counter(outcome.status for outcome in outcomes)
    seconds = {
        stage: sum(outcome.seconds.get(stage, 0.0) for outcome in outcomes)
        for stage in dict.fromkeys(stage for outcome in outcomes for stage in outcome.seconds)
    }
    print(", ".join(f"{number} {status}" for status, number in count.items()))
    if seconds:
        print(_shares(seconds))


def _shares(seconds: dict[str, float]) -> str:
    """Fraction of the total time of each stage; decoding and detection run in parallel."""
    total = sum(seconds.values())
    return ", ".join(f"{stage} {value / total:.0%}" for stage, value in seconds.items())


def _print_result(result: Any, files: list[Path]) -> None:
    header = result.header
    persons, frames = result.valid.shape
    detections = int(result.valid.sum())
    print(
        f"result  {persons} {'person' if persons == 1 else 'people'}, {frames} "
        f"{'frame' if frames == 1 else 'frames'} at {header['fps']:g} Hz "
        f"({header['rate_source']}); {detections} detections"
    )
    facts = result.facts
    print(f"        {facts['units']}; {facts['axes']}; {facts['root']}")
    print(f"scale   {facts['scale_source']}")
    for path in files:
        print(f"wrote   {path}")


def _integer(text: str) -> int:
    if re.fullmatch(WHOLE, text) is None:
        raise UserError(f"--persons is all or a number from 1, not {text}")
    return int(text)
