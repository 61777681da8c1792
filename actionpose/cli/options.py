"""Options and checks shared by several commands."""

import functools
import inspect
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TextIO

import tyro
from tyro.conf import arg

from actionpose.utils.errors import UserError, UserNotice
from actionpose.utils.files import check_not_inputs
from actionpose.utils.writers import check_packages

Quiet = Annotated[bool, arg(aliases=["-q"], help="Do not show a progress bar.")]
Checkpoint = Annotated[
    str,
    arg(help="Model: name of a bundled model, folder of a checkpoint or run, or Hub id."),
]


@dataclass(frozen=True)
class PartOptions:
    """Which part of the input is used."""

    person: Annotated[int | None, arg(metavar="ID")] = None
    """Use only the person with this track id."""
    start: Annotated[float | None, arg(metavar="SECONDS")] = None
    """Start time of the part to use. Times in the output remain those of the input."""
    stop: Annotated[float | None, arg(metavar="SECONDS")] = None
    """Stop time of the part to use."""

    def chosen(self) -> dict[str, Any]:
        """The options as arguments of `read_source` and `select`."""
        return {"person": self.person, "start_s": self.start, "stop_s": self.stop}


@dataclass(frozen=True)
class ReadingOptions:
    """How the input is read."""

    format: Annotated[str, arg(aliases=["--from"])] = "auto"
    """Format of a keypoint file, such as alphapose. Detected from the content by default."""
    skeleton: str | None = None
    """Joint layout, such as coco17 or h36m17, if the number of joints does not determine it."""
    image_size: Annotated[str | None, arg(metavar="WIDTHxHEIGHT")] = None
    """Image size in pixels, if a keypoint file does not contain it."""
    fps: float | None = None
    """Frame rate of the camera in Hz, if the file has none (default 30) or a different one."""
    y_up: bool = False
    """The y axis of a keypoint file points up."""
    mirrored: bool = False
    """The images were mirrored, as by a selfie camera, or the x axis points left."""
    retrack: bool = False
    """Ignore the identities in a keypoint file and track people again."""

    def chosen(self) -> dict[str, Any]:
        """The options as arguments of `read_source`.

        Raises:
            UserError: If a value is invalid.
        """
        from actionpose.keypoints.formats import NAMES
        from actionpose.keypoints.layout import skeleton_by_name
        from actionpose.keypoints.validation import checked_rate, checked_size

        check_choice("--format", self.format, NAMES)
        skeleton_by_name(self.skeleton)
        size = None if self.image_size is None else checked_size(parse_size(self.image_size))
        if self.fps is not None:
            checked_rate(self.fps)
        return {**vars(self), "image_size": size}


Part = Annotated[PartOptions, arg(name="")]
Reading = Annotated[ReadingOptions, arg(name="")]
Device = Annotated[str, arg(help="Device of the model: auto, cpu or cuda.")]
Engine = Annotated[
    str, arg(help="Inference engine of the model: auto, torch, fused, openvino or onnx.")
]
# copies of constants in library modules that import PyTorch
ENGINES = ("auto", "torch", "fused", "openvino", "onnx")
QUALITIES = ("fast", "best")
HEIGHT_M = (0.3, 2.8)
WHOLE = "0*([1-9][0-9]{0,8})"  # a positive integer

# arguments of `read_source` that apply only to some inputs, and defaults that are not None
_OF_VIDEOS = ("detector", "max_people")
_OF_KEYPOINT_FILES = ("format", "skeleton", "image_size", "y_up", "retrack")
_DEFAULTS = {"detector": "mediapipe", "max_people": 4, "format": "auto"}
_OUTPUTS = ("out", "json_out", "confusion")  # output parameters of commands; other paths are inputs


def parse(
    function: Callable[..., Any], name: str, arguments: list[str], *, flag_pairs: bool = False
) -> Any:
    """Parse the arguments of a command by its signature, and call it.

    Args:
        function: Function of the command.
        name: Name of the command.
        arguments: Arguments of the command line.
        flag_pairs: Whether every flag has both forms, --flag and --no-flag, regardless of its
            default.

    Raises:
        UserError: If an output is an input; also raised by the command.
    """

    @functools.wraps(function)
    def checked(*values: Any, **named: Any) -> Any:
        given = inspect.signature(function).bind(*values, **named).arguments
        paths: dict[bool, list[Path]] = {True: [], False: []}
        given.pop("where", None)  # folders that are searched for inputs
        for parameter, value in given.items():
            some = value if isinstance(value, tuple) else (value,)
            paths[parameter in _OUTPUTS] += [path for path in some if isinstance(path, Path)]
        check_not_inputs(paths[True], paths[False])
        return function(*values, **named)

    # tyro preserves the line breaks in the description of an argument
    function.__doc__ = re.sub(r"\n {8}(?=\S)", " ", inspect.getdoc(function) or "")
    return tyro.cli(
        checked,
        prog=f"actionpose {name}",
        args=arguments,
        config=() if flag_pairs else (tyro.conf.FlagCreatePairsOff,),
    )


def take_option(arguments: list[str], name: str) -> tuple[str | None, list[str]]:
    """The value of an option, and the remaining arguments."""
    rest = list(arguments)
    for index, argument in enumerate(arguments):
        if argument == name:
            if index + 1 == len(arguments):
                raise UserError(f"{name} needs a file")
            return arguments[index + 1], rest[:index] + rest[index + 2 :]
        if argument.startswith(f"{name}="):
            return argument.removeprefix(f"{name}="), rest[:index] + rest[index + 1 :]
    return None, rest


def parse_size(text: str) -> tuple[int, int]:
    """Parse WIDTHxHEIGHT in pixels."""
    found = re.fullmatch(f"{WHOLE}x{WHOLE}", text.lower())
    if found is None:
        raise UserError(f"--image-size is WIDTHxHEIGHT in pixels, such as 1920x1080, not {text}")
    return int(found[1]), int(found[2])


def parse_height(text: str) -> float:
    """Parse "1.75", "1.75m" or "175cm" to meters."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(m|cm)?", text.strip().lower())
    if found is None:
        raise UserError(f"--height is a length such as 1.75 or 175cm, not {text}")
    meters = float(found[1]) / (100 if found[2] == "cm" else 1)
    if found[2] is None and 30 <= meters <= 280:
        raise UserError(f"--height is in meters: {text} centimeters are {meters / 100:g}")
    if not HEIGHT_M[0] <= meters <= HEIGHT_M[1]:
        raise UserError(f"--height is {meters:g}, not a person's: give meters, such as 1.75")
    return meters


def check_choice(option: str, value: str, known: Iterable[str]) -> None:
    """Check that a value is one of the known values."""
    if value not in known:
        raise UserError(f"{option} is {', '.join(known)}, not {value!r}")


def check_number(option: str, value: float | None, least: float, most: float = math.inf) -> None:
    """Check that a number is finite and in a range. None is allowed."""
    if value is not None and not (least <= value <= most and value < math.inf):
        span = f"{least:g} or more" if most == math.inf else f"{least:g} to {most:g}"
        raise UserError(f"{option} is {span}, not {value}")


def check_belongs(reading: Mapping[str, Any], path: Path, *, result: bool = False) -> None:
    """Check that arguments of `read_source` apply to an input.

    Args:
        reading: Arguments of `read_source`.
        path: Input.
        result: Whether the input is a result, to which no arguments apply.
    """
    from actionpose.video.source import is_keypoint_file

    names: Iterable[str] = _OF_VIDEOS
    reason = f"is for videos, and {path} is none"
    if result:
        names, reason = reading, f"does not apply to a result, and {path} is one"
    elif not is_keypoint_file(path):
        names, reason = _OF_KEYPOINT_FILES, f"is for keypoint files, and {path} is none"
    for name in names:
        if reading.get(name) not in (None, False, _DEFAULTS.get(name)):
            raise UserError(f"--{name.replace('_', '-')} {reason}")


def check_input(path: Path) -> None:
    """Check that an input exists, before PyTorch is imported."""
    if not path.exists():
        raise UserError(f"no such file or folder: {path}")


def check_outputs(out: tuple[Path, ...], suffixes: list[str], example: str) -> None:
    """Check that outputs can be written, before the computation."""
    if not out:
        raise UserError(f"say where to write: -o {example}")
    for path in out:
        if path.suffix.lower() not in suffixes:
            raise UserError(f"cannot write {path}: its suffix must be one of {', '.join(suffixes)}")
        if not path.absolute().parent.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    check_packages(path.suffix.lower() for path in out)


@contextmanager
def notices_printed(worded: Callable[[str], str]) -> Iterator[None]:
    """Print each `UserNotice` as a line on stderr in the block. Other warnings are not changed.

    Args:
        worded: Function that converts a message to the terms of the command line.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserNotice)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, UserNotice):
                print(f"actionpose: {worded(str(message))}", file=sys.stderr)
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def progress_bar(items: Iterable[Any] | None = None, *, quiet: bool, **settings: Any) -> Any:
    """A tqdm progress bar on stderr, disabled by `quiet` or if stderr is not a terminal."""
    from tqdm import tqdm

    return tqdm(items, disable=True if quiet else None, **settings)
