"""Frame numbers from image names: the number that differs between the names."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from actionpose.utils.errors import UserError

_MAX_DIGITS = 18  # longer numbers do not fit an int64
# ten digits with a fraction are seconds since 1970
_NUMBER = re.compile(r"(\d{10}\.\d+(?=\.|$)|\d+)")


def frame_number(image_id: object) -> int:
    """The last number in an image name without its suffix: "frame_000012.png" is 12.

    Raises:
        UserError: If the name has no number.
    """
    if isinstance(image_id, int | float) and not isinstance(image_id, bool):
        if image_id == image_id // 1:  # not fractional, NaN or infinite
            return int(image_id)
    elif isinstance(image_id, str):
        stem = PurePosixPath(image_id).stem
        digits = re.findall(r"\d+", stem) or re.findall(r"\d+", image_id)
        if digits and len(digits[-1]) <= _MAX_DIGITS:
            return int(digits[-1])
    raise UserError(f"no frame number in the image name {image_id!r}")


def frame_numbers(names: Sequence[object]) -> list[int]:
    """Frame numbers from the image names of one video, which are numbers or contain numbers.

    If names contain several numbers, the number that differs between all images is used: 7 in
    "0007_1920x1080.jpg". Seconds since 1970 with a fraction are converted to microseconds.

    Args:
        names: Image name of each detection, with repetitions.

    Raises:
        UserError: If a name has no number, or the names are from several videos.
    """
    texts = list(dict.fromkeys(name for name in names if isinstance(name, str)))
    if len(texts) < 2 or not all(isinstance(name, str) for name in names):
        return [frame_number(name) for name in names]
    paths = [PurePosixPath(text.replace("\\", "/")) for text in texts]
    folders = list(dict.fromkeys(str(path.parent) for path in paths))
    if len(folders) > 1:
        raise UserError(
            f"the images are in {len(folders)} folders ({folders[0]}, {folders[1]}): "
            "one video at a time"
        )
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(texts) or not all(re.search(r"\d", stem) for stem in stems):
        stems = [path.name for path in paths]
    number_of = dict(zip(texts, _changing_numbers(texts, stems), strict=True))
    return [number_of[str(name)] for name in names]


def _changing_numbers(texts: list[str], stems: list[str]) -> list[int]:
    """A unique number for each of two or more different names."""
    parts = [_NUMBER.split(stem) for stem in stems]  # text, number, text, number, ...
    columns = []
    for index in range(0, min(map(len, parts)) - 1, 2):
        if len({part[index] for part in parts}) > 1:
            break  # after a different text, numbers have different meanings
        columns.append([_integer(part[index + 1]) for part in parts])
    counting = [column for column in columns if len(set(column)) == len(column)]
    if counting:
        best = min(counting, key=lambda column: max(column) - min(column))
        if _same_order(best, columns):
            return best
    last = [frame_number(text) for text in texts]
    before = [re.split(r"\d", stem, maxsplit=1)[0] for stem in stems]
    clips = len(set(before)) > 1 and min(map(before.count, before)) > 1
    if len(set(last)) == len(last) and not clips and not counting:
        return last
    first = texts[0]
    other = next(
        (text for text, number in zip(texts[1:], last[1:], strict=True) if number == last[0]),
        next((text for text, word in zip(texts, before, strict=True) if word != before[0]), ""),
    )
    raise UserError(
        f"the image names, such as {first!r} and {other or texts[1]!r}, differ in more than the "
        "number of the frame: one video at a time, in names that count frames"
    )


def _same_order(column: list[int], columns: list[list[int]]) -> bool:
    """Whether a column has the order of all columns together, unlike milliseconds after seconds."""
    together = list(zip(*columns, strict=True))
    places = range(len(column))
    return sorted(places, key=column.__getitem__) == sorted(places, key=together.__getitem__)


def _integer(digits: str) -> int:
    if "." in digits:
        return round(float(digits) * 1e6)
    return int(digits[-_MAX_DIGITS:]) if len(digits) > _MAX_DIGITS else int(digits)
