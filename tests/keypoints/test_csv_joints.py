"""Tables with a row per joint."""

import numpy as np
from helpers.keypoint_writers import KeypointsWriter, check_read, standing

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17


def test_rows_of_joints(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    expected[3, 5] = 0
    lines = ["person,frame,time_s,joint,x_m,y_m,x_px,y_px,confidence"]
    for n, points in enumerate(expected):
        for joint, (x, y, c) in zip(COCO17.joints, points, strict=True):
            cells = f"{x},{y},{c}" if c else ",,"
            lines.append(f"0,{n},{n / 50},{joint},0.1,0.2,{cells}")
    lines.insert(40, "0,2,0.04,tail,0,0,1,1,1")
    found = Keypoints.read(write_keypoints("\n".join(lines), "a.csv"))
    check_read(found, expected)
    assert found.fps == 50


def test_rows_of_numbered_joints_in_any_order(write_keypoints: KeypointsWriter) -> None:
    expected = standing()
    rows = [
        f"{n}\t{joint}\t{x}\t{y}"
        for n, points in enumerate(expected)
        for joint, (x, y, _) in enumerate(points)
    ]
    np.random.default_rng(0).shuffle(rows)
    text = "\n".join(["frame\tkeypoint_id\tx\ty", *rows])
    expected[..., 2] = 1
    check_read(Keypoints.read(write_keypoints(text, "a.csv")), expected)
