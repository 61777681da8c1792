"""Frames from names of images: the number that changes, or a refusal."""

import pytest

from actionpose.keypoints.frame_numbers import frame_numbers
from actionpose.utils.errors import UserError


@pytest.mark.parametrize(
    "name",
    [
        "{:04d}_1920x1080.jpg",
        "frame_{:04d}_cam2.jpg",
        "img_{:04d} (1).jpg",
        "{:06d}_pose2d",
        "take3_{}",
        "S001C002P003R002A013_{:08d}.png",
        "clip/frame_{:05d}.mp4.jpg",
        "shot_010.{:04d}.exr",
        "video-{:04d}_jpg.rf.8c1f0{:02d}d7e3b.jpg",
        "frame{:d}_{:03d}ms.jpg",
        "C:\\films\\dance_{:03d}.png",
        "{}",
    ],
)
def test_frame_numbers_take_the_number_that_changes(name: str) -> None:
    numbers = [7, 9, 12, 8]
    names = [name.format(number, 33 * number) for number in numbers]
    assert frame_numbers([*names, names[0]]) == [*numbers, 7]


def test_frame_numbers_of_one_name_and_of_numbers() -> None:
    assert frame_numbers(["img_0007.jpg"] * 3) == [7, 7, 7]
    assert frame_numbers([3, 5.0, 3]) == [3, 5, 3]


def test_frame_numbers_of_seconds_since_1970_keep_their_fraction() -> None:
    names = [f"{1700000000 + n / 25:.6f}.png" for n in range(30)]
    numbers = frame_numbers(names)
    assert [b - a for a, b in zip(numbers, numbers[1:], strict=False)] == [40_000] * 29


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["S001C001/0000.jpg", "S001C002/0000.jpg"], "2 folders"),
        (["a/1.jpg", "b/2.jpg"], "2 folders (a, b)"),
        (["john_1.jpg", "john_2.jpg", "mary_1.jpg", "mary_2.jpg"], "mary_1.jpg"),
        (["john_1.jpg", "john_2.jpg", "mary_3.jpg", "mary_4.jpg"], "mary_3.jpg"),
        (["1_cam1.jpg", "1_cam2.jpg", "2_cam1.jpg", "2_cam2.jpg"], "one video"),
        (["cam1_left.jpg", "cam1_right.jpg"], "cam1_right.jpg"),
        (["a.jpg", "b.jpg"], "a.jpg"),
        (["101500_900.jpg", "101501_100.jpg", "101501_300.jpg"], "101501_100.jpg"),
    ],
)
def test_frame_numbers_refuse_several_videos(names: list[str], word: str) -> None:
    with pytest.raises(UserError) as error:
        frame_numbers(names)
    assert word in str(error.value)
