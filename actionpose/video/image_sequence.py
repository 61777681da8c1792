"""A folder of numbered images as a video."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.keypoints.frame_times import epoch_times
from actionpose.utils.errors import UserError
from actionpose.video.decoding import Frame, VideoReader

IMAGE_SUFFIXES = frozenset((".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"))


def images_in(folder: Path) -> list[Path]:
    """The images in a folder by name, without hidden files."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
    )


def numbered_images(folder: Path) -> list[tuple[int, Path]]:
    """Numbers and paths of images in a folder, if names contain frame numbers; else empty."""
    images = images_in(folder)
    try:
        numbers = frame_numbers([path.name for path in images])
    except UserError:
        return []
    frames = sorted(zip(numbers, images, strict=True))
    return frames if len(set(numbers)) == len(images) > 1 else []


class ImageSequence:
    """A folder of images as the frames of a video, in the order of the numbers in their names.

    Consecutive numbers have a constant step. A missing number is a gap in time. Numbers that are
    times since 1970 are used as times.

    Args:
        folder: Folder of images.
        fps: Frame rate in Hz.

    Raises:
        UserError: If names have no frame numbers, or the first image cannot be decoded.
    """

    def __init__(self, folder: str | os.PathLike[str], fps: float):
        self.path, self.fps = Path(folder), fps
        self.problems: list[str] = []
        frames = numbered_images(self.path)
        if not frames:
            raise UserError(f"{folder} has no images whose names count frames")
        numbers = np.array([number for number, _ in frames])
        self._files = [path for _, path in frames]
        times = epoch_times(numbers.tolist())
        if times is None:
            times = ((numbers - numbers[0]) / np.median(np.diff(numbers)) / fps).tolist()
        self._times = times
        self.num_frames_declared = len(frames)
        with VideoReader(self._files[0]) as image:
            self.size = image.size

    def __enter__(self) -> "ImageSequence":
        return self

    def __exit__(self, *exception: object) -> None:
        """No file is open between frames."""

    def __iter__(self) -> Iterator[Frame]:
        for time_s, path in zip(self._times, self._files, strict=True):
            try:
                with VideoReader(path) as image:
                    if image.size != self.size:
                        raise UserError(
                            f"{path} has {image.size[0]}x{image.size[1]} pixels, but "
                            f"{self._files[0].name} has {self.size[0]}x{self.size[1]}: one video "
                            "at a time"
                        )
                    frame = next(iter(image))
            except UserError as error:
                if "one video" in str(error):
                    raise
                self.problems.append(f"{path.name} is left out: {error}")
                continue
            yield Frame(time_s, frame.image)
