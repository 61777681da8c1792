"""Selection of inputs for batch lifting, and the names of their output files."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from actionpose.keypoints.formats import is_folder_of_frames
from actionpose.utils.errors import UserError
from actionpose.utils.files import check_not_inputs
from actionpose.utils.numpy_files import NpzReader
from actionpose.video.decoding import VIDEO_SUFFIXES
from actionpose.video.image_sequence import IMAGE_SUFFIXES, numbered_images
from actionpose.video.source import KEYPOINT_SUFFIXES

PER_PERSON = (".bvh", ".trc")  # one file per person, NAME_idTRACK, if there are several
LIFTED = "_lifted"  # suffix of the folder beside a video that contains its output files
_ADDRESS = re.compile(r"[a-z0-9]{2,}:/")  # such as s3://bucket, which as a path has lost a slash


@dataclass(frozen=True)
class LiftJob:
    """An input and its output files."""

    source: Path
    outputs: tuple[Path, ...]


def has_outputs(job: LiftJob) -> bool:
    """Whether the output files of a job exist.

    Formats in `PER_PERSON` have a file for each track of an npz file among the outputs. Without an
    npz file, the file of any person is sufficient.
    """
    per_person = [path for path in job.outputs if path.suffix.lower() in PER_PERSON]
    if not all(path.exists() for path in job.outputs if path not in per_person):
        return False
    results = [path for path in job.outputs if path.suffix.lower() == ".npz"]
    if not per_person or not results:
        return all(path.exists() or _of_persons(path) for path in per_person)
    try:
        with NpzReader(results[0]) as archive:
            tracks = [f"_id{track}" for track in archive.read("track_id")]
    except (KeyError, UserError):  # the file is written again
        return False
    ends = tracks if len(tracks) > 1 else [""]
    return all(path.with_stem(path.stem + end).exists() for path in per_person for end in ends)


def _of_persons(path: Path) -> list[Path]:
    """The existing files of single people for an output path."""
    return [
        other
        for other in path.parent.glob(f"*{path.suffix}")
        if re.fullmatch(rf"{re.escape(path.stem)}_id-?\d+", other.stem)
    ]


def holds_inputs(path: Path) -> bool:
    """Whether a path is a folder of inputs, rather than an input."""
    return path.is_dir() and not _is_recording(path)


def _is_recording(folder: Path) -> bool:
    """Whether a folder is a single input: a keypoint file per frame, or numbered images."""
    if is_folder_of_frames(folder):
        return True
    return bool(numbered_images(folder)) and not any(map(_is_input, folder.iterdir()))


def _is_input(path: Path) -> bool:
    """Whether a file is an input by its suffix, without hidden files."""
    suffixes = VIDEO_SUFFIXES | KEYPOINT_SUFFIXES
    return path.suffix.lower() in suffixes and not path.name.startswith(".") and path.is_file()


def find_jobs(
    inputs: Sequence[Path], folder: Path, suffixes: Sequence[str], *, recursive: bool = False
) -> list[LiftJob]:
    """Find the inputs in files and folders, and name their outputs in an output folder.

    In a folder, video and keypoint files are inputs by their suffix, except hidden files, files in
    the output folder, and files in the folder X_lifted of a video X. A folder is a single input if
    it contains a file per frame written by OpenPose or MMPose, or if it contains numbered images
    and no such file. In other folders without such files, each image is an input. If `recursive`,
    subfolders are searched, and their outputs are in the same subfolders of `folder`. Outputs have
    the name of their input without its suffix, or with it if two names would be the same.

    Raises:
        UserError: If an input does not exist, no input is found, two inputs have the same output,
            or an output would replace an input.
    """
    excluded = folder.resolve()
    found: dict[Path, Path] = {}  # from inputs to relative names of their outputs without suffix
    for given in inputs:
        if not given.exists():
            bucket = _ADDRESS.match(str(given))
            advice = " (a bucket has to be mounted as a folder)" if bucket else ""
            raise UserError(f"no such file or folder: {given}{advice}")
        if holds_inputs(given):
            if given.resolve() == excluded:
                raise UserError(f"{given} is an input: choose another folder for the outputs")
            for path in _inputs_in(given, recursive, {excluded}):
                found.setdefault(path, path.relative_to(given).with_suffix(""))
        else:
            found.setdefault(given, Path(given.name if given.is_dir() else given.stem))
    if not found:
        deeper = "" if recursive else "; recursive=True looks into folders inside"
        raise UserError(f"no video or keypoint file in {', '.join(map(str, inputs))}{deeper}")
    alike = Counter(found.values())
    for path, name in found.items():
        if alike[name] > 1:  # such as dance.mov and dance.mp4
            found[path] = name.with_name(name.name + path.suffix)
    name, times = Counter(found.values()).most_common(1)[0]
    if times > 1:
        same = [str(path) for path, other in found.items() if other == name]
        raise UserError(
            f"{' and '.join(same)} would both be written to {folder / name}.*: lift them apart"
        )
    path_of = {name: path for path, name in found.items()}
    for suffix in (suffix for suffix in suffixes if suffix in PER_PERSON):
        for name, path in path_of.items():
            whole = re.fullmatch(r"(.+)_id-?\d+", name.name)
            if whole and (other := path_of.get(name.with_name(whole[1]))):
                raise UserError(
                    f"a person of {other} may be written to {folder / name}{suffix}, the file of "
                    f"{path}: lift them apart"
                )
    jobs = [
        LiftJob(path, tuple(folder / f"{name}{suffix}" for suffix in suffixes))
        for path, name in found.items()
    ]
    check_not_inputs((path for job in jobs for path in job.outputs), found)
    return jobs


def _inputs_in(folder: Path, recursive: bool, excluded: set[Path]) -> Iterator[Path]:
    """Inputs in a folder in the order of their names, without those in `excluded` folders.

    The searched folders, to which links may point, and folders with the outputs of a video are
    added to `excluded`.
    """
    excluded.add(folder.resolve())
    only_images = not any(map(_is_input, folder.iterdir()))
    pictures = VIDEO_SUFFIXES | IMAGE_SUFFIXES
    excluded |= {
        path.with_name(path.stem + LIFTED).resolve()
        for path in folder.iterdir()
        if path.suffix.lower() in pictures
    }
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            if path.resolve() in excluded:
                continue
            if _is_recording(path):
                yield path
            elif recursive:
                yield from _inputs_in(path, recursive, excluded)
        elif _is_input(path) or only_images and path.suffix.lower() in IMAGE_SUFFIXES:
            yield path
