"""The command line: parses, calls one function, prints. Every command is one function below.

Exit codes: 0 done; 2 the user's mistake, in one sentence; 130 interrupted.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import tyro
from tqdm import tqdm
from tyro.conf import Positional, UseAppendAction, arg

from actionpose.errors import UserError

Quiet = Annotated[bool, arg(aliases=["-q"], help="no progress bar")]
Checkpoint = Annotated[str, arg(help="bundled name, checkpoint or run folder, or Hub id")]
Device = Annotated[str, arg(help="auto, cpu or cuda")]


def demo(
    out: Annotated[Path, arg(aliases=["-o"], help="folder for the files")] = Path("demo"),
    html: Annotated[bool, arg(help="also write a 3D viewer for the browser")] = True,
    device: Device = "auto",
) -> None:
    """Lift a bundled real clip and write the result, a picture and a 3D viewer; offline."""
    from actionpose.keypoints import Keypoints
    from actionpose.lift import ActionPose

    file = Path(str(resources.files("actionpose"))) / "assets" / "demo_keypoints.npz"
    keypoints = Keypoints.read(file)
    model = ActionPose.from_pretrained("tiny", device)
    started = time.perf_counter()
    result = model.lift(keypoints)
    seconds = time.perf_counter() - started
    _make_folder(out)
    files = [out / "demo.npz", out / "demo.png", *([out / "demo.html"] if html else [])]
    for path in files:
        result.save(path)
    print(f"input   {keypoints.num_frames} frames at {keypoints.rate_hz:g} Hz")
    print(f"        {keypoints.detector}; {keypoints.source}")
    print(f"lifted  in {seconds:.1f} s, {keypoints.num_frames / seconds:.0f} frames a second")
    _print_result(result, files)


def lift(
    file: Positional[Path],
    out: Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])],
    checkpoint: Checkpoint = "tiny",
    height: float | None = None,
    persons: str = "all",
    format: Annotated[str, arg(aliases=["--from"])] = "auto",
    skeleton: str | None = None,
    image_size: str | None = None,
    rate_hz: float | None = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Lift the people of a keypoint file to 3D.

    Args:
        file: Keypoints of AlphaPose, OpenPose (a folder), MMPose, COCO, or an npz.
        out: A file to write; the suffix is the format: npz, json, csv, png, html. May be repeated.
        height: Stature of the people in metres; else that of an average adult.
        persons: "all", or the number of those seen largest and longest.
        format: Container, where it cannot be told: alphapose, openpose, mmpose, coco, npz.
        skeleton: Layout, where the number of joints leaves it open, such as coco17 or h36m17.
        image_size: WIDTHxHEIGHT in pixels, where the file does not say it.
        rate_hz: Frames a second, where the file does not say it; else 30.
    """
    from actionpose.keypoints import Keypoints
    from actionpose.lift import ActionPose
    from actionpose.result import WRITERS

    if not out:
        raise UserError("say where to write: -o result.npz")
    for path in out:  # before the work, not after it
        if path.suffix.lower() not in WRITERS:
            raise UserError(f"cannot write {path}: its suffix must be one of {', '.join(WRITERS)}")
        if not path.absolute().parent.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    size = None if image_size is None else _size(image_size)
    keypoints = Keypoints.read(
        file, format=format, skeleton=skeleton, image_size=size, rate_hz=rate_hz
    )
    model = ActionPose.from_pretrained(checkpoint, device)
    number = persons if persons == "all" else _integer(persons)
    total = keypoints.num_frames * (keypoints.num_persons if number == "all" else int(number))
    with tqdm(total=total, unit="frame", disable=True if quiet else None) as bar:
        result = model.lift(keypoints, persons=number, height_m=height, progress=bar.update)
    for path in out:
        result.save(path)
    _print_result(result, list(out))


def _print_result(result: Any, files: list[Path]) -> None:
    header = result.header
    persons, frames = result.valid.shape
    seen = int(result.valid.sum())
    print(
        f"result  {persons} {'person' if persons == 1 else 'people'}, {frames} frames at "
        f"{header['rate_hz']:g} Hz ({header['rate_source']}); {seen} detections"
    )
    print(f"        {header['units']}; {header['axes']}; {header['root']}")
    print(f"scale   {header['scale_source']}")
    for path in files:
        print(f"wrote   {path}")


def export(
    result: Positional[Path],
    out: Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])],
) -> None:
    """Write a result in other formats, without lifting again.

    Args:
        result: An npz that `actionpose lift` wrote.
        out: A file to write; the suffix is the format: npz, json, csv, png, html. May be repeated.
    """
    from actionpose.result import Result

    if not out:
        raise UserError("say where to write: -o result.csv")
    loaded = Result.load(result)
    for path in out:
        loaded.save(path)
        print(f"wrote   {path}")


def prepare_synthetic(
    out: Positional[Path], num_motions: int = 4000, seed: int = 0, quiet: Quiet = False
) -> None:
    """Make a corpus of procedural motion, which needs no licence.

    Args:
        out: Folder of the new corpus.
        num_motions: How many; a motion has about 110 frames.
        seed: Other seeds give other motions.
    """
    from actionpose import synthetic
    from actionpose.corpus import Motion, write_corpus

    if num_motions < 1:
        raise UserError(f"--num-motions must be 1 or more, not {num_motions}")
    made = tqdm(
        synthetic.dataset(num_motions, seed), total=num_motions, disable=True if quiet else None
    )
    motions = (
        Motion(
            id=f"synthetic_{number:06d}",
            subject=motion.subject,
            split="train",
            joints_m=motion.joints_m,
            text=motion.text,
            labels=[(0, len(motion.joints_m), motion.text, "action")],
        )
        for number, motion in enumerate(made)
    )
    source = f"actionpose prepare synthetic --num-motions {num_motions} --seed {seed}"
    folder = write_corpus(out, motions, source=source, licence="none needed: procedural")
    print(f"wrote   {folder}")


def finetune(arguments: list[str]) -> None:
    """Stage two: train the encoder on 2D keypoints with 3D truth."""
    from actionpose.config import FinetuneConfig, load_recipe
    from actionpose.finetune import finetune as train

    recipe, arguments = _take_option(arguments, "--config")
    default = load_recipe(FinetuneConfig, recipe) if recipe else FinetuneConfig()

    def command(
        run: Path,
        config: Annotated[FinetuneConfig, arg(name="")] = default,
        quiet: Quiet = False,
    ) -> Any:
        """Train in the folder --run, or go on there.

        Settings come from --config RECIPE.yaml; every one can be changed, as --data.frames 81.
        """
        return train(config, run, quiet=quiet)

    outcome = _parse(command, "finetune", arguments)
    print(f"{outcome.status} at step {outcome.step}: {outcome.checkpoint}")
    if outcome.status == "interrupted":
        raise KeyboardInterrupt


def evaluate_open(
    data: Annotated[UseAppendAction[tuple[Path, ...]], arg(help="a corpus; may be repeated")],
    checkpoint: Checkpoint = "tiny",
    split: str = "val",
    json_out: Annotated[Path | None, arg(name="json", help="also write the scores here")] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Score a model on the open benchmark: subjects never seen in training."""
    from actionpose.corpus import open_corpus
    from actionpose.evaluate import METRICS
    from actionpose.evaluate import evaluate_open as score
    from actionpose.files import atomic_write
    from actionpose.lift import ActionPose

    model = ActionPose.from_pretrained(checkpoint, device)
    corpora = [open_corpus(folder) for folder in data]

    def predict(keypoints: Any) -> Any:
        return model.predict(keypoints, image_size=(2, 2))

    report = score(
        predict, corpora, split, lambda windows: tqdm(windows, disable=True if quiet else None)
    )
    for name, text in METRICS.items():
        print(f"{name:16} {report['scores'][name]!s:24} {text}")
    print(f"{report['num_windows']} windows, {report['num_frames']} frames, {report['protocol']}")
    if json_out:
        plain = {
            **report,
            "checkpoint": model.checkpoint,
            "scores": {name: vars(value) for name, value in report["scores"].items()},
        }
        with atomic_write(json_out) as path:
            path.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")


def models_list() -> None:
    """The models that ship with the package."""
    from actionpose.checkpoint import bundled

    for name, folder in bundled().items():
        print(f"{name}\t{folder}")


def models_info(checkpoint: Positional[str] = "tiny") -> None:
    """What a checkpoint says of itself.

    Args:
        checkpoint: Bundled name, checkpoint or run folder, or Hub id.
    """
    from actionpose.checkpoint import find, load, sha256

    folder = find(checkpoint)
    weights, meta = load(folder)
    print(json.dumps({**meta, "sha256": sha256(folder)}, indent=2))
    print(f"{sum(value.numel() for value in weights.values()):,} parameters")


def models_convert(checkpoint: Positional[str], out: Positional[Path]) -> None:
    """Write what others need of a checkpoint: half-precision weights and its metadata.

    Args:
        checkpoint: Checkpoint or run folder.
        out: Folder to make.
    """
    from actionpose.checkpoint import find, publish

    print(f"wrote   {publish(find(checkpoint), out)}")


def _take_option(arguments: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of one option, and the other arguments."""
    rest = list(arguments)
    for index, argument in enumerate(arguments):
        if argument == name:
            if index + 1 == len(arguments):
                raise UserError(f"{name} needs a file")
            return arguments[index + 1], rest[:index] + rest[index + 2 :]
        if argument.startswith(f"{name}="):
            return argument.removeprefix(f"{name}="), rest[:index] + rest[index + 1 :]
    return None, rest


def _size(text: str) -> tuple[int, int]:
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdigit() and int(side) > 0 for side in sides):
        raise UserError(f"--image-size is WIDTHxHEIGHT in pixels, such as 1920x1080, not {text}")
    return int(sides[0]), int(sides[1])


def _integer(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--persons is all or a number from 1, not {text}")
    return int(text)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error.strerror}") from error


COMMANDS: dict[str, Callable[..., Any]] = {
    "demo": demo,
    "lift": lift,
    "export": export,
    "prepare synthetic": prepare_synthetic,
    "finetune": finetune,
    "evaluate open": evaluate_open,
    "models list": models_list,
    "models info": models_info,
    "models convert": models_convert,
}


def _usage() -> str:
    lines = ["usage: actionpose COMMAND [OPTIONS]", ""]
    for name, command in COMMANDS.items():
        lines.append(f"  {name:20} {(command.__doc__ or '').splitlines()[0]}")
    return "\n".join([*lines, "", "actionpose COMMAND --help tells the options of a command."])


def _parse(function: Callable[..., Any], name: str, arguments: list[str]) -> Any:
    return tyro.cli(
        function,
        prog=f"actionpose {name}",
        args=arguments,
        config=(tyro.conf.FlagCreatePairsOff,),
    )


def run(arguments: list[str]) -> None:
    """Find the command and call it."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_usage())
        return
    for words in (2, 1):
        name = " ".join(arguments[:words])
        if name == "finetune":
            finetune(arguments[1:])
            return
        if name in COMMANDS:
            _parse(COMMANDS[name], name, arguments[words:])
            return
    below = [name for name in COMMANDS if name.startswith(f"{arguments[0]} ")]
    known = ", ".join(below or COMMANDS)
    raise UserError(f"no command {' '.join(arguments[:2])}; there are: {known}")


def main() -> None:
    """The entry point `actionpose`."""
    try:
        run(sys.argv[1:])
    except UserError as error:
        print(f"actionpose: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("actionpose: interrupted", file=sys.stderr)
        sys.exit(130)
