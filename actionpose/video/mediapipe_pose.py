"""MediaPipe Pose for several people: its networks, and who is followed from frame to frame."""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from actionpose.keypoints.tracking import similarity
from actionpose.skeletons import MEDIAPIPE33, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array
from actionpose.video.pose_networks import (
    NUM_JOINTS,
    Image,
    PoseNetworks,
    Region,
    SteadyPoints,
)

People = NDArray[np.float32]  # (N, K, 3): x, y in pixels, confidence 0 to 1; N may be 0

_PRESENT = 0.5  # probability of a place, and of a person in it
_SAME = 0.5  # similarity of detections of one person
_STEADY = 0.8  # of somebody new, in the frame after: what is nobody changes its shape
_BUFFER_BYTES = 2**27  # of the images in which somebody new is looked for after the fact
_SIDES = (0.02, 3.0)  # of a region, in longer sides of the image: others are of nobody


@dataclass
class _Person:
    """Somebody who is followed."""

    joints: Array  # (33, 3) in the frame before
    region: Region  # where to look in the next frame
    is_new: bool = True
    steady: SteadyPoints = field(default_factory=SteadyPoints)


class MediaPipe:
    """MediaPipe Pose: each person is looked for where they were in the frame before.

    Of the first person that is as MediaPipe's own program does it. Others are looked for at times,
    in the whole image and in squares of it, where people are larger. Who is found so is followed
    into the frames before too, see `earlier`.

    Args:
        max_people: found in a frame.

    Raises:
        UserError: a package is missing, or max_people is less than 1.
    """

    skeleton = MEDIAPIPE33
    LOOK_AFTER = (4, 12)  # frames between looks for others: doubled while they find nobody new
    DETECTION = 0.3  # least probability of a place where somebody else might be
    CONFIDENCE = 0.5  # mean, of somebody else; ghosts have less

    def __init__(self, max_people: int = 4) -> None:
        if max_people < 1:
            raise UserError(f"max_people is {max_people}: at least one person must be looked for")
        self._networks = PoseNetworks()
        self.fingerprint = self._networks.fingerprint
        self.max_people = max_people
        self._people: list[_Person] = []  # of the frame before
        self._frame, self._next_look, self._wait = 0, 0, self.LOOK_AFTER[0]
        self._looks = count()
        self._frames: deque[tuple[Image, list[Array]]] = deque(maxlen=1 + 2 * self.LOOK_AFTER[1])
        self._late: list[_Person] = []  # who was new in the frame before the last one

    def detect(self, image: Image) -> People:
        before, self._people, self._late = self._people, [], []
        for person in before:
            found = self._joints(image, person.region)
            if found is None or _like_any(found, self._people):
                continue
            if person.is_new and similarity(person.joints, found[None, :NUM_JOINTS])[0] < _STEADY:
                continue
            self._add(found, person.steady, is_new=False)
            if person.is_new:
                self._late.append(person)
        lost = len(self._people) < sum(not person.is_new for person in before)
        if not self._people:
            for region in self._networks.find(image, _PRESENT)[:1]:
                if (found := self._joints(image, region)) is not None:
                    self._add(found, SteadyPoints(), is_new=False)
        if self.max_people > 1 and (lost or self._frame >= self._next_look):
            self._look_for_others(image, lost)
        self._frame += 1
        if self.max_people > 1:
            if len(self._frames) * image.nbytes > _BUFFER_BYTES:
                self._frames.popleft()
            self._frames.append((image, [person.joints for person in self._people]))
        if not self._people:
            return nobody(self.skeleton)
        return np.stack([person.joints for person in self._people]).astype(np.float32)

    def earlier(self) -> list[tuple[int, Array]]:
        """Whom the last `detect` missed in frames before its own: how many before, and (33, 3).

        They are looked for in this call.
        """
        return [found for person in self._late for found in self._followed_back(person)]

    def _followed_back(self, person: _Person) -> Iterator[tuple[int, Array]]:
        """Follow somebody who was new in the frame before into those before it."""
        joints, region = person.joints, person.region
        for back in range(2, len(self._frames)):
            image, known = self._frames[-1 - back]
            found = self._joints(image, region)
            if found is None or found[:NUM_JOINTS, 2].mean() < self.CONFIDENCE:
                break
            before, joints = joints, found[:NUM_JOINTS]
            if similarity(before, joints[None])[0] < _SAME or len(known) >= self.max_people:
                break
            if any(_covers(found, other) for other in known):
                break
            known.append(joints)
            yield back, joints
            region = Region.around(*found[NUM_JOINTS:, :2])

    def _look_for_others(self, image: Image, lost: bool) -> None:
        known = len(self._people)
        for region in self._places(image):
            if len(self._people) >= self.max_people:
                break
            if any(region.is_near(person.region) for person in self._people):
                continue
            found = self._joints(image, region)
            if found is None or found[:NUM_JOINTS, 2].mean() < self.CONFIDENCE:
                continue
            if not any(_covers(found, person.joints) for person in self._people):
                self._add(found, SteadyPoints(), is_new=True)
        shortest, longest = self.LOOK_AFTER
        again = lost or len(self._people) > known
        self._wait = shortest if again else min(2 * self._wait, longest)
        self._next_look = self._frame + self._wait

    def _places(self, image: Image) -> Iterable[Region]:
        """Where people might be: in the image and, at the next look, in one of its squares."""
        look = next(self._looks)
        side, rest = min(image.shape[:2]), np.array(image.shape[1::-1]) - min(image.shape[:2])
        if look % 2 == 0 or not rest.any():
            yield from self._networks.find(image, self.DETECTION)
        if rest.any() and (look == 0 or look % 2):
            left, top = rest * (-look // 2 % 3) // 2  # the end, the middle and the start in turn
            part = image[top : top + side, left : left + side]
            for region in self._networks.find(part, self.DETECTION):
                yield region._replace(x=region.x + left, y=region.y + top)

    def _joints(self, image: Image, region: Region) -> Array | None:
        """(35, 3) joints of somebody in a region, see `PoseNetworks.joints`; None of nobody."""
        smallest, largest = (limit * max(image.shape[:2]) for limit in _SIDES)
        if not smallest < region.side < largest:
            return None
        presence, joints = self._networks.joints(image, region)
        return joints if presence > _PRESENT else None

    def _add(self, found: Array, steady: SteadyPoints, *, is_new: bool) -> None:
        ends = found[NUM_JOINTS:, :2]
        region = Region.around(*steady(ends, 2 * float(np.linalg.norm(ends[1] - ends[0]))))
        self._people.append(_Person(found[:NUM_JOINTS], region, is_new, steady))

    def close(self) -> None:
        pass


def nobody(skeleton: Skeleton) -> People:
    return np.empty((0, len(skeleton), 3), dtype=np.float32)


def _like_any(found: Array, people: list[_Person]) -> bool:
    """Whether one of the people is where somebody is found."""
    joints = found[:NUM_JOINTS]
    return any(similarity(person.joints, joints[None])[0] > _SAME for person in people)


def _covers(found: Array, joints: Array) -> bool:
    """Whether the boxes share half of the smaller one: then they are rather one person."""
    low, high = found[:NUM_JOINTS, :2].min(0), found[:NUM_JOINTS, :2].max(0)
    other_low, other_high = joints[:, :2].min(0), joints[:, :2].max(0)
    shared = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod()
    smaller = np.minimum((high - low).prod(), (other_high - other_low).prod())
    return bool(shared > smaller / 2)
