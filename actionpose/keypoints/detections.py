"""The containers that 2D detectors write, read into one flat table of detections.

| format | what it looks like |
|---|---|
| alphapose | one list over the video: image_id, flat keypoints, idx; or a dict image -> people |
| openpose | a folder with a json per frame, `people[].pose_keypoints_2d`; or one such file |
| mmpose | a list over frames of `instances[]`, maybe under `instance_info`; or files per image |
| coco | a results list, or a dataset with `images` and `annotations` |
| mediapipe | lists of landmarks, in several forms: `keypoint_landmarks.py` |
| npz | NumPy arrays: what `Keypoints.save` writes, or a bare array (npz and npy) |

Nothing is unpickled. Values are taken as they stand: `keypoints.py` checks them, finds the layout
and sorts the people. Messages leave the path to the caller, who knows what the user typed.
"""

import json
import re
import tokenize
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.mediapipe import is_landmarks, read_landmarks
from actionpose.skeletons import MEDIAPIPE33
from actionpose.utils.errors import UserError

FORMATS = ("alphapose", "openpose", "mmpose", "coco", "mediapipe", "npz")
ARRAYS = (
    "header",
    "keypoints_px",
    "keypoints",
    "valid",
    "track_id",
    "time_s",
)  # what we look for in an npz
COCO_CONFIDENCE = np.array([0.0, 0.5, 1.0])  # of visibility 0 not labeled, 1 hidden, 2 visible
PER_FRAME_KEYS = {
    "people": "pose_keypoints_2d",
    "bodies": "joints",
}  # OpenPose, CMU-Pose

MOST_OF_A_FRAME = 10_000_000  # bytes; a larger json is not of one frame

# what NumPy raises for a damaged file, or one with an unknown compression or an absurd size
BROKEN_NUMPY = (
    *(ValueError, EOFError, KeyError, MemoryError, RuntimeError, SyntaxError),
    *(tokenize.TokenError, zipfile.BadZipFile, zlib.error),
)

Person = tuple[list[float], int | None]  # flat x, y, confidence; identity if known


@dataclass(frozen=True)
class Detections:
    """What a detector's file says: one row per detected person and frame, in the file's order."""

    frame: NDArray[np.int64]  # (N,) the file's own numbers
    keypoints: NDArray[np.float64]  # (N, K, 3): x, y, confidence, as written
    person: NDArray[np.int64] | None  # (N,), or None where the file knows no identities
    span: tuple[int, int]  # least and greatest frame number, frames without people included
    detector: str = ""
    image_size: tuple[int, int] | None = None
    joints: tuple[str, ...] | None = None  # the names that the file gives to the K joints
    source: str = ""
    fps: float | None = None
    time_s: NDArray[np.float64] | None = None  # (span,) of all frames, where they are uneven


def load_arrays(path: Path) -> dict[str, NDArray[Any]] | None:
    """The arrays of an npz or npy file (as `keypoints`); None for a file of another kind.

    Raises:
        UserError: the file is damaged, has no keypoints, or needs pickle to be read.
    """
    if path.is_dir():
        return None
    with path.open("rb") as file:
        if not file.read(6).startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY")):
            return None
        file.seek(0)
        try:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"keypoints": loaded}
            if "positions_2d" in loaded.files:
                raise UserError(
                    "VideoPose3D's positions_2d are pickled objects, which are not opened as they "
                    "could run code: save each clip's (frames, joints, 2) array with "
                    "np.savez(path, keypoints=array)"
                )
            if not {"keypoints", "keypoints_px"} & set(loaded.files):
                raise UserError(
                    "no array named keypoints or keypoints_px among "
                    f"{', '.join(loaded.files) or 'no arrays at all'}"
                )
            return {name: loaded[name] for name in ARRAYS if name in loaded.files}
        except UserError:
            raise
        except BROKEN_NUMPY as error:
            if "allow_pickle" in str(error):
                raise UserError(
                    "holds pickled objects, which are not opened as they could run code: "
                    "save a plain array of numbers (frames, joints, 3)"
                ) from None
            raise UserError(f"a damaged or cut-off NumPy file ({error})") from None


def read_json(path: Path, format: str, image_size: tuple[int, int] | None = None) -> Detections:
    """Read a json file or a folder of them.

    Args:
        format: one of FORMATS but npz; "auto" goes by what is in the file, not by its name.
        image_size: for coordinates that are shares of the image.

    Raises:
        UserError: not JSON, cut off, of no known form, or nobody is in it.
    """
    if path.is_dir():
        files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
        if not files:
            raise UserError("the folder has no .json files")
        if len(files) > 1:
            frames = [(frame_number(file.stem), _load_json(file, file.name)) for file in files]
            return _from_frames(frames, _detector_of_frame(frames[0][1]))
        path = files[0]
    data = _load_json(path)
    if format == "auto":
        format = _sniff(data)
    match format:
        case "alphapose" if isinstance(data, dict) and not _is_frame(data):
            frames = [(frame_number(image), people) for image, people in data.items()]
            return _from_frames(frames, "AlphaPose")
        case "openpose" | "alphapose" if _is_frame(data):
            number = frame_number(path.stem) if re.search(r"\d", path.stem) else 0
            return _from_frames([(number, data)], _detector_of_frame(data))
        case "mmpose":
            return _from_mmpose(data)
        case "mediapipe" if is_landmarks(data):
            found = read_landmarks(data, image_size)
            people = [[{"pose_keypoints_2d": flat} for flat in some] for _, some in found.frames]
            return _from_frames(
                [(n, {"people": p}) for (n, _), p in zip(found.frames, people, strict=True)],
                "MediaPipe",
                image_size=found.image_size,
                fps=found.fps,
                joints=MEDIAPIPE33.joints,
            )
        case "coco" if isinstance(data, dict):
            return _from_coco_dataset(data)
        case "alphapose" | "coco" if isinstance(data, list):
            return _from_list(data, "AlphaPose" if format == "alphapose" else "")
    raise UserError(f"not what {format} writes: leave the format to be found")


def is_folder_of_frames(folder: Path) -> bool:
    """Whether a tool wrote one json per frame there, so that the folder is one recording."""
    files = sorted(file for file in folder.glob("*.json") if not file.name.startswith("."))
    if not files or files[0].stat().st_size > MOST_OF_A_FRAME:
        return False
    try:
        data = _load_json(files[0])
    except UserError:
        return False
    first = data[0] if isinstance(data, list) and data and isinstance(data[0], dict) else {}
    return _is_frame(data) or ("keypoints" in first and "image_id" not in first)


def frame_number(image_id: object) -> int:
    """The last number in an image's name, its suffix aside: "frame_000012.png" is 12."""
    if isinstance(image_id, int | float) and not isinstance(image_id, bool):
        if image_id == image_id // 1:  # not a fraction, NaN or infinity
            return int(image_id)
    elif isinstance(image_id, str):
        digits = re.findall(r"\d+", Path(image_id).stem) or re.findall(r"\d+", image_id)
        if digits and len(digits[-1]) <= 18:  # more would not fit an int64
            return int(digits[-1])
    raise UserError(f"no frame number in the image name {image_id!r}")


def _load_json(path: Path, name: str = "") -> Any:
    where = f"{name}: " if name else ""
    content = path.read_bytes()
    if not content.strip():
        raise UserError(f"{where}the file is empty")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise UserError(f"{where}neither JSON nor a NumPy file") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}not JSON, or cut off ({error})") from None


def _is_frame(data: Any) -> bool:
    return isinstance(data, dict) and any(isinstance(data.get(key), list) for key in PER_FRAME_KEYS)


def _detector_of_frame(data: Any) -> str:
    if not isinstance(data, dict):
        return "MMPose"
    return "AlphaPose" if "AlphaPose" in str(data.get("version")) else "OpenPose"


def _sniff(data: Any) -> str:
    """Which format a json file is in."""
    if isinstance(data, dict):
        if _is_frame(data):
            return "openpose"
        if "instance_info" in data:
            return "mmpose"
        if "annotations" in data:
            return "coco"
        if data and all(map(_is_frame, data.values())):
            return "alphapose"
    if isinstance(data, list):
        if not data:
            raise UserError("the list is empty: nobody was detected")
        first = data[0] if isinstance(data[0], dict) else {}
        if "instances" in first or "keypoint_scores" in first:
            return "mmpose"
        if "image_id" in first:
            tracked_or_named = isinstance(first["image_id"], str) or first.keys() & {
                "idx",
                "box",
            }
            return "alphapose" if tracked_or_named else "coco"
    if is_landmarks(data):
        return "mediapipe"
    raise UserError(
        "JSON, but not of a form that AlphaPose, OpenPose, MMPose, COCO or MediaPipe tools write "
        "for keypoints"
    )


def _field(item: Any, key: str, where: str) -> Any:
    if not isinstance(item, dict) or key not in item:
        raise UserError(f'{where}: "{key}" is missing')
    return item[key]


def _list(item: Any, where: str) -> list[Any]:
    if not isinstance(item, list):
        raise UserError(f"{where}: a list is expected, not {type(item).__name__}")
    return item


def _identity(value: object) -> int | None:
    """A track number. AlphaPose writes 3, 3.0, [3.0] or [[3.0], [5.0]]; -1 and none are unknown."""
    while isinstance(value, list):
        value = value[0] if value else None
    try:
        number = -1 if value is None else int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        raise UserError(f"{value!r} is no track number") from None
    if number >= 2**63:
        raise UserError(f"track number {number} is too large")
    return number if number >= 0 else None


def _people(data: Any, where: str) -> list[Person]:
    """The people of one frame: OpenPose's, CMU-Pose's, or MMPose's list of instances."""
    if isinstance(data, list):
        return [_instance(instance, where) for instance in data]
    for group, points in PER_FRAME_KEYS.items():
        if isinstance(data, dict) and group in data:
            people = _list(data[group], where)
            found = [(_field(p, points, where), _identity(p.get("person_id"))) for p in people]
            return [person for person in found if person[0] != []]  # only a hand or a face
    raise UserError(f'{where}: "people" is missing')


def _instance(instance: Any, where: str) -> Person:
    points = _list(_field(instance, "keypoints", where), where)
    scores = _list(_field(instance, "keypoint_scores", where), where)
    try:
        flat = [
            value for (x, y), score in zip(points, scores, strict=True) for value in (x, y, score)
        ]
    except (TypeError, ValueError):
        raise UserError(f"{where}: keypoints must be [x, y] pairs, with a score for each") from None
    return flat, _identity(instance.get("track_id"))


def _from_frames(frames: Sequence[tuple[int, Any]], detector: str, **about: Any) -> Detections:
    """From (frame number, the people of that frame) in any order."""
    number, times = Counter(number for number, _ in frames).most_common(1)[0]
    if times > 1:
        raise UserError(f"{times} entries are for frame {number}: one video at a time")
    people = [(n, *person) for n, data in frames for person in _people(data, f"frame {n}")]
    numbers, points, ids = zip(*people, strict=True) if people else ((), (), ())
    return _table(numbers, points, ids, [n for n, _ in frames], detector=detector, **about)


def _from_list(data: list[Any], detector: str) -> Detections:
    """AlphaPose's result, and COCO's, which differs from it in having no idx."""
    frames = [frame_number(_field(d, "image_id", f"detection {i}")) for i, d in enumerate(data)]
    points = [_field(d, "keypoints", f"frame {n}") for n, d in zip(frames, data, strict=True)]
    ids = [_identity(d.get("idx", d.get("track_id"))) for d in data]
    return _table(frames, points, ids, frames, detector=detector)


def _from_mmpose(data: Any) -> Detections:
    joints = None
    if isinstance(data, dict):
        meta = data.get("meta_info")
        names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
        if isinstance(names, dict):
            joints = tuple(names.get(str(i), "") for i in range(len(names)))
        data = _field(data, "instance_info", "the file")
    data = _list(data, "instance_info")
    if not data:
        raise UserError("the list is empty: there is no frame")
    if isinstance(data[0], dict) and "keypoints" in data[0]:  # of one image
        return _from_frames([(0, data)], "MMPose", joints=joints)
    frames = []
    for i, item in enumerate(data):
        people = _list(_field(item, "instances", f"entry {i}"), f'"instances" of entry {i}')
        frames.append((frame_number(item.get("frame_id", i)), people))
    return _from_frames(frames, "MMPose", joints=joints)


def _from_coco_dataset(data: dict[str, Any]) -> Detections:
    """Annotated images; a frame's number is its frame_id, else is in file_name, else its id."""
    images = _list(_field(data, "images", "the file"), '"images"')
    annotations = _list(_field(data, "annotations", "the file"), '"annotations"')
    number_of: dict[str, int] = {}
    sizes = set()
    for i, image in enumerate(images):
        key = str(_field(image, "id", f"image {i}"))
        name = str(image.get("file_name", ""))
        numbered = name if re.search(r"\d", Path(name).stem) else key
        number_of[key] = frame_number(image.get("frame_id", numbered))
        width, height = image.get("width"), image.get("height")
        known = isinstance(width, int) and isinstance(height, int)
        sizes.add((width, height) if known else None)
    if len(set(number_of.values())) < len(images):
        raise UserError("two images have the same frame number: one video at a time")
    frames, points, ids = [], [], []
    for i, annotation in enumerate(annotations):
        image = str(_field(annotation, "image_id", f"annotation {i}"))
        if image not in number_of:
            raise UserError(f'annotation {i}: image {image} is not among the "images"')
        if annotation.get("num_keypoints") == 0 or "keypoints" not in annotation:
            continue  # a crowd, or a person of whom no joint is labeled
        frames.append(number_of[image])
        points.append(annotation["keypoints"])
        ids.append(_identity(annotation.get("track_id")))
    info = data.get("info")
    table = _table(
        *(frames, points, ids, number_of.values()),
        image_size=sizes.pop() if len(sizes) == 1 else None,
        source=str(info.get("description", "")) if isinstance(info, dict) else "",
    )
    visibility = table.keypoints[..., 2]
    wrong = np.argwhere(~np.isin(visibility, (0, 1, 2)))
    if len(wrong):
        row, joint = wrong[0]
        raise UserError(
            f"frame {table.frame[row]}, joint {joint}: the visibility is "
            f"{visibility[row, joint]}, not 0, 1 or 2"
        )
    table.keypoints[..., 2] = COCO_CONFIDENCE[visibility.astype(int)]
    return table


def _table(
    frames: Sequence[int],
    points: Sequence[Any],
    ids: Sequence[int | None],
    all_frames: Iterable[int],
    **about: Any,
) -> Detections:
    """Lists with an entry per detection -> arrays. `points` are flat lists x, y, confidence."""
    if not points:
        raise UserError("nobody is detected in any frame")
    for number, flat in zip(frames, points, strict=True):
        if len(_list(flat, f"keypoints of frame {number}")) != len(points[0]):
            raise UserError(
                f"frame {number} has {len(flat)} numbers for a person, "
                f"but frame {frames[0]} has {len(points[0])}"
            )
    if len(points[0]) % 3 or not points[0]:
        raise UserError(
            f"frame {frames[0]}: keypoints has {len(points[0])} numbers, "
            "not x, y and confidence of each joint"
        )
    try:
        values = np.array(points, dtype=np.float64)  # null becomes NaN
    except (TypeError, ValueError, OverflowError):
        values = np.empty(0)
    if values.ndim != 2:
        raise UserError("keypoints must be flat lists of numbers x, y, confidence, x, ...")
    numbers = list(all_frames)
    if max(map(abs, numbers)) >= 2**62:
        raise UserError(f"frame number {max(numbers, key=abs)} is too large")
    person = None if None in ids else np.array(ids, dtype=np.int64)
    return Detections(
        frame=np.array(frames, dtype=np.int64),
        keypoints=values.reshape(len(points), -1, 3),
        person=person,
        span=(min(numbers), max(numbers)),
        **about,
    )
