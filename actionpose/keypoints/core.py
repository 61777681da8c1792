"""2D keypoints of one or more people over time, read from any file format and joint layout.

This module defines `Keypoints` and assigns detections to people. `formats.py` lists the file
formats of `Keypoints.read`, `npz.py` defines the file of `Keypoints.save`, `layout.py` maps indices
to joints, and `validation.py` checks values.
"""

import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actionpose.keypoints import formats, npz
from actionpose.keypoints.detections import Detections
from actionpose.keypoints.frame_times import ASSUMED, ASSUMED_FPS
from actionpose.keypoints.identities import identify
from actionpose.keypoints.keypoint_file import KeypointFile
from actionpose.keypoints.layout import joint_layout, skeleton_by_name
from actionpose.keypoints.orientation import orientation_notes, unmirrored, y_downwards
from actionpose.keypoints.tracking import MIN_FRAMES, jump_note, short_presences
from actionpose.keypoints.validation import (
    check_pixels,
    check_values,
    checked_rate,
    checked_size,
    checked_times,
    cleaned,
    in_pixels,
)
from actionpose.skeletons import H36M17, Skeleton, convert
from actionpose.utils.errors import UserError
from actionpose.utils.typing import BoolArray, IntArray

_FEW = 0.5  # fraction of frames with a person below which a note is added
MAX_BYTES = 4 * 2**30  # of the dense array; larger ones result from ids that are not frame numbers
SPARSE_BYTES = 2**27  # limit if fewer than one frame in a thousand has a detection


@dataclass(frozen=True, eq=False)
class Keypoints:
    """2D keypoints of one or more people over time.

    Coordinates are in pixels, x right and y down from the upper left corner of the image. Missing
    joints are (0, 0, 0). Letters in shapes: P people, T frames, J joints.

    Args:
        keypoints_px: (P, T, J, 3) x and y in pixels, and confidence from 0 to 1.
        valid: (P, T) True where the person was detected.
        track_id: (P,) Identity of each person, without duplicates.
        fps: Frame rate in Hz.
        image_size: Width and height in pixels, or None if unknown.
        skeleton: Joint layout of the keypoints.
        detector: Name of the 2D pose detector.
        source: Description of the origin of the data.
        rate_source: Origin of the frame rate: "given", "file", "file, uneven" or "assumed 30 Hz".
        first_frame: Number of the first frame in the file.
        time_s: (T,) Increasing times in seconds if frames are not evenly spaced, else None.
        notes: Notes for the user, one sentence each.
        complete: False if part of the input could not be read.
        video: `path`, `bytes`, `duration_s` and `sha256` of the video file, if there is one.

    Raises:
        UserError: If a shape, type or value is invalid.
    """

    keypoints_px: NDArray[np.float32]
    valid: BoolArray
    track_id: IntArray
    fps: float
    image_size: tuple[int, int] | None
    skeleton: Skeleton
    detector: str = ""
    source: str = ""
    rate_source: str = "given"
    first_frame: int = 0
    time_s: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()
    complete: bool = True
    video: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        points, shape = self.keypoints_px, self.keypoints_px.shape
        if points.dtype != np.float32 or points.ndim != 4 or shape[2:] != (len(self.skeleton), 3):
            raise UserError(
                f"keypoints_px must be float32 (people, frames, {len(self.skeleton)}, 3) for "
                f"{self.skeleton.name}, not {points.dtype} {shape}"
            )
        if 0 in shape:
            raise UserError(f"keypoints_px has no people or no frames: {shape}")
        for name, dtype, wanted in (("valid", "bool", shape[:2]), ("track_id", "int64", shape[:1])):
            array = getattr(self, name)
            if array.dtype != dtype or array.shape != wanted:
                raise UserError(f"{name} must be {dtype} {wanted}, not {array.dtype} {array.shape}")
        if len(np.unique(self.track_id)) < len(self.track_id):
            raise UserError("track_id has the same person twice")
        if self.time_s is not None:
            object.__setattr__(self, "time_s", checked_times(self.time_s, shape[1]))
        object.__setattr__(self, "notes", tuple(map(str, self.notes)))
        object.__setattr__(self, "fps", checked_rate(self.fps))
        object.__setattr__(self, "image_size", checked_size(self.image_size))
        frames = np.tile(np.arange(self.num_frames) + self.first_frame, self.num_persons)
        check_values(points.reshape(-1, *shape[2:]), frames, self.skeleton)
        if points[points[..., 2] == 0].any() or points[~self.valid].any():
            raise UserError(
                "joints of confidence 0 and frames that are not valid must be (0, 0, 0)"
            )

    @property
    def num_persons(self) -> int:
        return int(self.keypoints_px.shape[0])

    @property
    def num_frames(self) -> int:
        return int(self.keypoints_px.shape[1])

    @property
    def times_s(self) -> NDArray[np.float64]:
        """(T,) Times of the frames in seconds."""
        return np.arange(self.num_frames) / self.fps if self.time_s is None else self.time_s

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        format: str = "auto",
        skeleton: Skeleton | str | None = None,
        image_size: tuple[int, int] | None = None,
        fps: float | None = None,
        retrack: bool = False,
        y_up: bool = False,
        mirrored: bool = False,
    ) -> "Keypoints":
        """Read a keypoint file, or a folder with one json file per frame.

        Frames are ordered by their numbers, starting at the smallest number in the file; missing
        frames are not valid. Confidences above 1, as in AlphaPose, become 1. The visibility 1 of
        COCO (labeled but not visible) becomes a confidence of 0.5. If the file has no identities,
        people are tracked. If a person is twice in a frame, the detection with the higher
        confidence is kept.

        Args:
            path: Keypoint file or folder.
            format: One of `formats.NAMES`, or "auto" to detect it from the content.
            skeleton: Joint layout, one of `SKELETONS` or its name, if the number of joints does not
                determine it. 17 joints are read as COCO in the json file of a detector, and need a
                layout in an unnamed array.
            image_size: Width and height in pixels. By default those in the file, if any.
            fps: Frame rate in Hz. By default that of the file, else 30; see `rate_source`.
            retrack: Whether to ignore the identities in the file and track people again.
            y_up: Whether the y axis of the file points up.
            mirrored: Whether the images were mirrored or the x axis points left; see
                `orientation.unmirrored`.

        Raises:
            UserError: If the file cannot be read; names the file, frame and joint if possible.
        """
        path = Path(path)
        if not os.path.exists(path):
            raise UserError(f"no such file: {path}")
        try:
            if format not in formats.NAMES:
                raise UserError(f"format {format!r} is none of {', '.join(formats.NAMES)}")
            skeleton = skeleton_by_name(skeleton)
            file = KeypointFile(path)
            image_size = checked_size(image_size)
            is_npz = npz.matches(file)
            if format != "auto" and (format == npz.NAME) != is_npz:
                raise UserError(f"not what {format} writes: leave the format to be found")
            if is_npz:
                arrays = npz.load_arrays(file)
                keypoints = cls._from_arrays(arrays, skeleton)
                keypoints = keypoints._retracked() if retrack else keypoints
            else:
                found = formats.read_detections(file, format)
                found = replace(found, image_size=image_size or found.image_size)
                found = in_pixels(found)
                if retrack or found.person is None or not found.has_identities:
                    found = replace(found, person=None)
                elif note := jump_note(found.seconds(), found.keypoints, found.person):
                    found = replace(found, notes=(*found.notes, note))
                keypoints = cls.from_detections(found, skeleton)
            if image_size is not None:
                keypoints = replace(keypoints, image_size=image_size)
            if fps is not None:  # the times of the file are replaced too
                keypoints = replace(keypoints, fps=fps, rate_source="given", time_s=None)
            noted = is_npz and "header" in arrays
            return keypoints._turned(y_up, mirrored, noted=noted)
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror or error}") from None
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    @classmethod
    def from_array(
        cls,
        keypoints: ArrayLike,
        *,
        skeleton: Skeleton | str | None,
        fps: float,
        image_size: tuple[int, int] | None = None,
        detector: str = "",
    ) -> "Keypoints":
        """Create keypoints from an array in pixels.

        Args:
            keypoints: (T, J, C) of one person or (P, T, J, C) of several. C is 2 for x and y, where
                (0, 0) is a missing joint, or 3 with a confidence. Frames without any joint are not
                valid.
            skeleton: Joint layout, one of `SKELETONS` or its name.
            fps: Frame rate in Hz.
            image_size: Width and height in pixels, if known.
            detector: Name of the 2D pose detector.

        Raises:
            UserError: If the array or an argument is invalid.
        """
        try:
            array = np.asarray(keypoints, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise UserError("keypoints are not an array of numbers") from None
        if array.ndim not in (3, 4) or array.shape[-1] not in (2, 3) or 0 in array.shape:
            raise UserError(
                "keypoints must be (frames, joints, 2 or 3) or (people, frames, joints, 2 or 3), "
                f"not {array.shape}"
            )
        array = array.reshape(-1, *array.shape[-3:])
        people, frames, joints, channels = array.shape
        if channels == 2:
            array = np.concatenate([array, (array != 0).any(-1, keepdims=True)], axis=-1)
        skeleton, columns = joint_layout(
            joints, skeleton_by_name(skeleton), names=None, assume_coco=False
        )
        rows = array[:, :, columns].reshape(people * frames, len(skeleton), 3)
        points = cleaned(rows, np.tile(np.arange(frames), people), skeleton)
        if not points.any():
            raise UserError("no joint is detected in any frame")
        points = points.reshape(people, frames, len(skeleton), 3)
        return cls(
            keypoints_px=points,
            valid=np.asarray((points[..., 2] > 0).any(-1)),
            track_id=np.arange(people),
            fps=fps,
            image_size=image_size,
            skeleton=skeleton,
            detector=detector,
        )

    @classmethod
    def from_detections(
        cls, found: Detections, skeleton: Skeleton | None = None, **about: Any
    ) -> "Keypoints":
        """Create keypoints from detections in any order.

        Args:
            found: Detections of a file or a detector.
            skeleton: Joint layout, if the number of joints does not determine it.
            about: Further fields of `Keypoints`.

        Raises:
            UserError: If a value is invalid, no layout fits, or no joint is detected.
        """
        skeleton, columns = joint_layout(
            found.keypoints.shape[1], skeleton, names=found.joints, assume_coco=True
        )
        points = cleaned(found.keypoints[:, columns], found.frame, skeleton)
        # ignore detections without joints
        visible = np.asarray((points[..., 2] > 0).any(-1))
        if not visible.any():
            raise UserError("no joint is detected in any frame: every confidence is 0")
        points, frame = points[visible], found.frame[visible] - found.span[0]
        num_frames = found.span[1] - found.span[0] + 1
        person = None if found.person is None else found.person[visible]
        several = len(np.unique(frame)) < len(frame)
        rate_source = "file" if found.fps else ASSUMED
        rate_source = "file, uneven" if found.time_s is not None else rate_source
        time_s = found.seconds()[visible]
        notes = list(found.notes)
        if person is None:
            person = np.zeros_like(frame)
            if several:
                person, uncertain = identify(time_s, points)
                notes += uncertain
        short, note = short_presences(person)
        notes += [note] if note else []
        frame, points, person = frame[~short], points[~short], person[~short]
        track_id, row = np.unique(person, return_inverse=True)
        shape = (len(track_id), num_frames, len(skeleton), 3)
        is_sparse = 1000 * len(np.unique(frame)) < num_frames
        if math.prod(shape) * points.itemsize > (SPARSE_BYTES if is_sparse else MAX_BYTES):
            raise UserError(
                f"{len(track_id)} people over {num_frames} frames ({found.span[0]} to "
                f"{found.span[1]}) are too much for memory: check that the image names count "
                "frames, or split the video"
            )
        about = {"rate_source": rate_source} | about
        about["notes"] = (*about.get("notes", ()), *notes)
        # if a person is twice in a frame, the more confident detection is kept: it is assigned last
        order = np.argsort(points[..., 2].mean(-1), kind="stable")
        keypoints_px = np.zeros(shape, dtype=np.float32)
        keypoints_px[row[order], frame[order]] = points[order]
        valid = np.zeros(shape[:2], dtype=np.bool_)
        valid[row, frame] = True
        return cls(
            keypoints_px=keypoints_px,
            valid=valid,
            track_id=track_id,
            fps=found.fps or ASSUMED_FPS,
            time_s=found.time_s,
            image_size=found.image_size,
            skeleton=skeleton,
            detector=found.detector,
            source=found.source,
            first_frame=found.span[0],
            **about,
        )

    def unmirrored(self, *, exchange_sides: bool = False) -> "Keypoints":
        """Flip the keypoints of a mirrored image, and swap left and right joints if necessary.

        Args:
            exchange_sides: Whether to swap left and right in any case; see
                `orientation.unmirrored`.
        """
        points, words = unmirrored(
            *(self.keypoints_px, self.valid, self.skeleton, self.image_size),
            exchange_sides=exchange_sides,
        )
        return replace(self, keypoints_px=points, notes=(*self.notes, words))

    def _turned(self, y_up: bool, mirrored: bool, *, noted: bool) -> "Keypoints":
        """Flip the axes as requested, and add notes about the orientation.

        Args:
            noted: Whether the file already contains such notes.
        """
        points, notes = self.keypoints_px, list(self.notes)
        if y_up:
            points = y_downwards(points, self.image_size)
        if mirrored:
            turned = replace(self, keypoints_px=points).unmirrored()
            points, notes = turned.keypoints_px, list(turned.notes)
        elif not noted:
            notes += orientation_notes(points, self.valid, self.skeleton)
        used = int(self.valid.any(axis=0).sum())
        if not noted and used < _FEW * self.num_frames and self.num_frames > 2 * MIN_FRAMES:
            last = self.first_frame + self.num_frames - 1
            notes.append(
                f"{used} of {self.num_frames} frames have a person, from number "
                f"{self.first_frame} to {last}: check that the numbers count frames"
            )
        return replace(self, keypoints_px=points, notes=tuple(dict.fromkeys(notes)))

    def _retracked(self) -> "Keypoints":
        """The same detections with people tracked again."""
        person, frame = np.nonzero(self.valid)
        found = Detections(
            frame=frame + self.first_frame,
            keypoints=self.keypoints_px[person, frame].astype(np.float64),
            person=None,
            span=(self.first_frame, self.first_frame + self.num_frames - 1),
            fps=self.fps,
            time_s=self.time_s,
        )
        people = Keypoints.from_detections(found, self.skeleton)
        return replace(
            self,
            keypoints_px=people.keypoints_px,
            valid=people.valid,
            track_id=people.track_id,
            notes=(*self.notes, *people.notes),
        )

    @classmethod
    def _from_arrays(
        cls, arrays: dict[str, NDArray[Any]], skeleton: Skeleton | None
    ) -> "Keypoints":
        """Create keypoints from the arrays of `save` or of a `Result`, or from an unnamed array."""
        if "header" not in arrays:
            points = arrays["keypoints_px" if "keypoints_px" in arrays else "keypoints"]
            keypoints = cls.from_array(points, skeleton=skeleton, fps=ASSUMED_FPS)
            return replace(keypoints, rate_source=ASSUMED)
        try:
            keypoints = cls(**npz.fields(arrays, skeleton))
        except UserError:
            raise
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise UserError(f"not as actionpose writes it, or damaged ({error!r})") from None
        check_pixels(keypoints.keypoints_px)
        return keypoints

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an npz file without pickled objects, atomically and reproducible byte by byte.

        Raises:
            UserError: If the name does not end in .npz, or the folder is not writable.
        """
        path = Path(path)
        if path.suffix != ".npz":
            raise UserError(f"keypoints are saved as .npz, not {path.name}")
        arrays = {
            "keypoints_px": self.keypoints_px,
            "valid": self.valid,
            "track_id": self.track_id,
        }
        if self.time_s is not None:
            arrays["time_s"] = self.time_s
        header = {name: getattr(self, name) for name in npz.HEADER}
        npz.write(path, arrays, {**header, "skeleton": self.skeleton.name})

    def to_skeleton(self, target: Skeleton = H36M17) -> "Keypoints":
        """Convert the keypoints to another joint layout by `skeletons.convert`.

        A derived joint is missing, (0, 0, 0), if one of the joints it is computed from is missing.

        Args:
            target: Joint layout of the returned keypoints.
        """
        if target is self.skeleton:
            return self
        # person by person, because `convert` makes several copies of its input
        points = np.stack([convert(person, self.skeleton, target) for person in self.keypoints_px])
        points[points[..., 2] == 0] = 0
        return replace(self, keypoints_px=points, skeleton=target)
