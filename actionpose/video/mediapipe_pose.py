"""MediaPipe Pose for several people: person detection, and tracking from frame to frame."""

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

People = NDArray[np.float32]  # (N, K, 3): x and y in pixels, and confidence from 0 to 1; N may be 0

_PRESENT = 0.5  # minimum probability of a region, and of a person in it
_SAME = 0.5  # minimum similarity of detections of one person
_STEADY = 0.8  # same for a new person in the next frame; false detections change their shape
_BUFFER_BYTES = 2**27  # limit of the images that are kept to track new people backward
_SIDES = (0.02, 3.0)  # limits of the side of a region, relative to the longer side of the image


@dataclass
class _Person:
    """A tracked person."""

    joints: Array  # (33, 3) in the previous frame
    region: Region  # region of the person in the next frame
    is_new: bool = True
    steady: SteadyPoints = field(default_factory=SteadyPoints)


class MediaPipe:
    """MediaPipe Pose: each person is detected in the region of the previous frame.

    For the first person this is the same as in MediaPipe. Other people are searched at intervals,
    in the whole image and in square crops, in which people are larger. People detected in this way
    are also tracked backward, see `earlier`.

    Args:
        max_people: Maximum number of people per frame.

    Raises:
        UserError: If a package is missing, or max_people is less than 1.
    """

    skeleton = MEDIAPIPE33
    LOOK_AFTER = (4, 12)  # interval in frames: minimum, doubled up to the maximum if no one is new
    DETECTION = 0.3  # minimum probability of a region for further people
    CONFIDENCE = 0.5  # minimum mean confidence of further people; false detections have less

    def __init__(self, max_people: int = 4) -> None:
        if max_people < 1:
            raise UserError(f"max_people is {max_people}: at least one person must be looked for")
        self._networks = PoseNetworks()
        self.fingerprint = self._networks.fingerprint
        self.max_people = max_people
        self._people: list[_Person] = []  # the people of the previous frame
        self._frame, self._next_look, self._wait = 0, 0, self.LOOK_AFTER[0]
        self._looks = count()
        self._frames: deque[tuple[Image, list[Array]]] = deque(maxlen=1 + 2 * self.LOOK_AFTER[1])
        self._late: list[_Person] = []  # people who were new in the previous frame

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
        """People missed in earlier frames: number of frames before this one, and joints (33, 3).

        They are detected in this call.
        """
        return [found for person in self._late for found in self._followed_back(person)]

    def _followed_back(self, person: _Person) -> Iterator[tuple[int, Array]]:
        """Track a person who was new in the previous frame in the frames before it."""
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
        """Candidate regions of people, in the image or in one of its square crops in turn."""
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
        """(35, 3) joints of a person in a region, as in `PoseNetworks.joints`; None if absent."""
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
    """Whether one of the people is at the position of the detected joints."""
    joints = found[:NUM_JOINTS]
    return any(similarity(person.joints, joints[None])[0] > _SAME for person in people)


def _covers(found: Array, joints: Array) -> bool:
    """Whether the overlap is over half of the smaller box, which indicates the same person."""
    low, high = found[:NUM_JOINTS, :2].min(0), found[:NUM_JOINTS, :2].max(0)
    other_low, other_high = joints[:, :2].min(0), joints[:, :2].max(0)
    shared = np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0).prod()
    smaller = np.minimum((high - low).prod(), (other_high - other_low).prod())
    return bool(shared > smaller / 2)
