"""Messages to the live viewer: positions of people in the scene."""

from typing import Any

import numpy as np

from actionpose.geometry.axes import Axes
from actionpose.live.frames import LiveFrame
from actionpose.live.labels import LiveLabels
from actionpose.live.lifter import LiveLifter
from actionpose.visualization.html_viewer import live_page
from actionpose.visualization.scene import CLEARANCE_M, SPACING_M

PLACES = 6  # maximum number of people at the same time
_TITLE = "actionpose live"
_KEPT_S = 1.0  # seconds that the place of an absent person is kept
_FLOOR = 0.1  # weight of a new lowest joint in the height of the floor


class Scene:
    """The positions of people: side by side on the floor, because trajectories are unknown.

    Args:
        lifter: Lifter of the poses.
        labels: Action labels to show, if any.
    """

    def __init__(self, lifter: LiveLifter, labels: LiveLabels | None) -> None:
        self._lifter, self._labels = lifter, labels
        self._places: dict[int, tuple[int, float]] = {}  # by person: place and last time
        self._floor_m: dict[int, float] = {}  # distance below the pelvis

    def page(self) -> str:
        """The HTML page for `ViewerServer`."""
        names = self._labels.names if self._labels else []
        return live_page(self._lifter.header(), _TITLE, names, places=PLACES)

    def message(self, frame: LiveFrame, status: str) -> dict[str, Any]:
        """The message for `listen` of viewer.js."""
        labels = self._labels.now if self._labels else []
        return {"people": self._people(frame), "labels": labels, "status": status}

    def _people(self, frame: LiveFrame) -> list[dict[str, Any]]:
        """The people of a frame: meters with y up, pixels, and confidence from 0 to 255."""
        kept = {n: p for n, p in self._places.items() if frame.time_s - p[1] < _KEPT_S}
        for number in frame.track_id.tolist():
            free = set(range(PLACES)) - {place for place, _ in kept.values()}
            if number in kept or free:
                place = kept[number][0] if number in kept else min(free)
                kept[number] = place, frame.time_s
        self._places = kept
        self._floor_m = {n: floor for n, floor in self._floor_m.items() if n in kept}
        columns = sorted(place for place, _ in kept.values())
        shown = []
        for row, number in enumerate(frame.track_id.tolist()):
            if number not in kept:
                continue
            pose, points = frame.pose_m[row], frame.keypoints_px[row]
            place = kept[number][0]
            joints = pose.astype(np.float64) @ Axes.CAMERA.rotation_to(Axes.Y_UP).T
            lowest = float(joints[:, 1].min())
            floor = self._floor_m.get(number, lowest)
            self._floor_m[number] = floor = floor + _FLOOR * (lowest - floor)
            joints[:, 1] -= floor - CLEARANCE_M
            joints[:, 0] += SPACING_M * (columns.index(place) - (len(columns) - 1) / 2)
            shown.append(
                {
                    "place": place,
                    "id": number,
                    "joints_m": np.round(joints, 4).ravel().tolist(),
                    "xy_px": np.round(points[:, :2].astype(float), 1).ravel().tolist(),
                    "confidence": (255 * points[:, 2]).astype(int).tolist(),
                }
            )
            if frame.uncertainty_mm is not None:
                shown[-1]["uncertainty_mm"] = np.round(frame.uncertainty_mm[row], 1).tolist()
        return shown
