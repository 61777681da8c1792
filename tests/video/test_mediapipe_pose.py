"""Who is followed, with networks that know where everybody is; and what surrounds the networks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from actionpose.video import mediapipe_pose
from actionpose.video.decoding import VideoReader
from actionpose.video.mediapipe_pose import MediaPipe
from actionpose.video.pose_estimation import estimate_poses
from actionpose.video.pose_networks import Region, SteadyPoints, cut

SHAPE = np.random.default_rng(3).uniform(-0.4, 0.4, (33, 2))  # of a person of side 1
Place = tuple[float, float, float]  # middle and side
Scene = Sequence[Sequence[Place]]  # the people of each frame


class AllKnowing:
    """Networks that see no image, but know the people of its frame, which is its first pixel."""

    fingerprint = "all-knowing"

    def __init__(self, scene: Scene, confidence: float):
        self.scene, self.confidence, self.searches = scene, confidence, 0
        self.changes_shape = False

    def find(self, image: np.ndarray, least: float) -> list[Region]:
        self.searches += 1
        return [Region(*place) for place in self.scene[image[0, 0, 0]]]

    def joints(self, image: np.ndarray, region: Region) -> tuple[float, np.ndarray]:
        frame = image[0, 0, 0]
        near = [p for p in self.scene[frame] if np.hypot(p[0] - region.x, p[1] - region.y) < p[2]]
        if not near:
            return 0.0, np.zeros((35, 3))
        x, y, side = min(near, key=lambda p: np.hypot(p[0] - region.x, p[1] - region.y))
        turned = SHAPE[:, ::-1] if self.changes_shape and frame % 2 else SHAPE
        joints = np.concatenate([turned * side, [[0, 0], [0, -side / 2.5]]]) + (x, y)
        return 1.0, np.column_stack([joints, np.full(35, self.confidence)])


class Frames:
    """A video of numbered frames."""

    path, problems, fps, size = Path("frames.mp4"), (), 30.0, (1000, 1000)

    def __init__(self, count: int):
        self.count = count

    def __iter__(self) -> Iterator[SimpleNamespace]:
        for number in range(self.count):
            image = np.zeros((1000, 1000, 3), dtype=np.uint8)
            image[0, 0, 0] = number
            yield SimpleNamespace(time_s=number / 30, image=image)


Detect = Callable[..., tuple[list[np.ndarray], AllKnowing]]


@pytest.fixture
def detect(monkeypatch: pytest.MonkeyPatch) -> Detect:
    def run(
        scene: Scene, max_people: int = 4, confidence: float = 0.9, shapes: bool = False
    ) -> tuple[list[np.ndarray], AllKnowing]:
        networks = AllKnowing(scene, confidence)
        networks.changes_shape = shapes
        monkeypatch.setattr(mediapipe_pose, "PoseNetworks", lambda: networks)
        detector, people = MediaPipe(max_people), []
        for frame in Frames(len(scene)):
            people.append(detector.detect(frame.image))
            for back, joints in detector.earlier():
                people[-1 - back] = np.concatenate([people[-1 - back], joints[None]])
        return people, networks

    return run


def test_one_person_is_followed_and_others_are_looked_for_ever_more_rarely(detect: Detect) -> None:
    scene = [[(300.0 + 5 * t, 400.0, 200.0)] for t in range(100)]
    people, networks = detect(scene)
    assert [len(found) for found in people] == [1] * 100
    # found once, then looked for others in frames 0, 8, 20, 32, 44, 56, 68, 80 and 92
    assert networks.searches == 1 + 9
    middles = np.array([found[0, :, :2].mean(0) for found in people])
    assert np.abs(middles - np.array(scene)[:, 0, :2] - 200 * SHAPE.mean(0)).max() < 1e-2
    _, networks = detect(scene, max_people=1)
    assert networks.searches == 1


def test_people_who_come_and_leave_are_found_and_lost(detect: Detect) -> None:
    stays, comes, leaves = (200.0, 300.0, 150.0), (500.0, 300.0, 150.0), (800.0, 300.0, 150.0)
    scene = [[stays, leaves]] * 40 + [[stays]] * 20 + [[comes, stays]] * 40
    people, _ = detect(scene)
    counts = [len(found) for found in people]
    assert counts == [2] * 40 + [1] * 20 + [2] * 40  # found late, and followed back
    alone, _ = detect(scene, max_people=1)
    assert [len(found) for found in alone] == [1] * 100
    assert np.ptp([found[0, 0, 0] for found in alone]) < 1e-2


def test_estimate_poses_takes_people_found_after_the_fact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stays, comes = (200.0, 300.0, 150.0), (700.0, 300.0, 150.0)
    scene = [[stays]] * 30 + [[stays, comes]] * 30
    monkeypatch.setattr(mediapipe_pose, "PoseNetworks", lambda: AllKnowing(scene, 0.9))
    with closing(MediaPipe()) as detector:
        keypoints = estimate_poses(cast(VideoReader, Frames(len(scene))), detector)
    assert keypoints.valid.tolist() == [[True] * 60, [False] * 30 + [True] * 30]


def test_two_who_meet_are_one_while_they_cannot_be_told_apart(detect: Detect) -> None:
    """Both are followed again soon after, and nobody is found twice."""
    xs = np.concatenate([np.linspace(100, 500, 40), np.full(10, 500.0), np.linspace(500, 100, 40)])
    scene = [[(x, 400.0, 200.0), (1000 - x, 400.0, 200.0)] for x in xs]
    people, _ = detect(scene)
    counts = np.array([len(found) for found in people])
    assert (counts[:30] == 2).all() and (counts[40:50] == 1).all() and (counts[-15:] == 2).all()


def test_a_crowd_is_found_up_to_max_people(detect: Detect) -> None:
    crowd = [(60.0 + 150 * (i % 6), 60.0 + 190 * (i // 6), 100.0) for i in range(30)]
    for limit in (4, 30):
        people, _ = detect([crowd] * 5, max_people=limit)
        assert [len(found) for found in people] == [limit] * 5
        assert len(np.unique(people[-1][:, 0, :2].round(), axis=0)) == limit


def test_somebody_else_must_be_certain_and_keep_their_shape(detect: Detect) -> None:
    scene = [[(200.0, 300.0, 150.0), (700.0, 300.0, 150.0)]] * 30
    unsure, _ = detect(scene, confidence=0.4)
    assert [len(found) for found in unsure] == [1] * 30
    changing, _ = detect(scene, shapes=True)
    assert np.mean([len(found) for found in changing]) < 1.5


def test_nobody_is_no_person(detect: Detect) -> None:
    people, networks = detect([[]] * 3)
    assert [found.shape for found in people] == [(0, 33, 3)] * 3
    assert people[0].dtype == np.float32 and networks.searches >= 3


def test_region_is_turned_with_the_person() -> None:
    region = Region.around(
        np.array([50.0, 60.0]), np.array([90.0, 60.0])
    )  # lies, head to the right
    assert region.side == pytest.approx(2 * 1.25 * 40) and region.angle == pytest.approx(np.pi / 2)
    middle, up = region.place(np.array([[0.5, 0.5], [0.5, 0.1]]))
    assert middle == pytest.approx([50, 60]) and up == pytest.approx([90, 60])


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2, 3.0])
def test_cut_samples_the_image_where_region_places_points(angle: float) -> None:
    """Colors that are linear in the place tell where each pixel comes from."""
    pytest.importorskip("PIL")
    y, x = np.mgrid[:200, :240]
    image = np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)
    region = Region(110.0, 95.0, 100.0, angle)
    u, v = np.meshgrid(np.arange(40), np.arange(40))
    wanted = region.place(np.stack([u, v], axis=-1) / 40)
    assert np.abs(cut(image, region, 40)[..., :2] - wanted).max() <= 1
    outside = Region(230.0, 190.0, 80.0)
    inside = np.clip(outside.place(np.stack([u, v], axis=-1) / 40), 0, (239, 199))
    edge = cut(image, outside, 40, replicate=True)
    assert np.abs(edge[..., :2] - inside).max() <= 1
    assert (cut(image, outside, 40)[-1, -1] == 0).all()
    assert cut(image, Region(-500.0, 9000.0, 80.0), 40, replicate=True).shape == (40, 40, 3)


def test_steady_points_hold_still_points_and_follow_fast_ones() -> None:
    steady, generator = SteadyPoints(), np.random.default_rng(0)
    still = [steady(generator.normal(100, 1.0, (2, 2)), 200.0) for _ in range(200)]
    assert np.std(still[50:], axis=0).max() < 0.5
    for step in range(60):
        filtered = steady(np.full((2, 2), 100.0 + 20 * step), 200.0)
    assert np.abs(filtered - (100 + 20 * 59)).max() < 30
