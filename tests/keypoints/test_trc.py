"""TRC in pixels."""

import numpy as np
from helpers.keypoint_tables import points, trc
from helpers.keypoint_writers import KeypointsWriter, standing

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17, HALPE26


def test_trc(write_keypoints: KeypointsWriter) -> None:
    names = ["Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow"]
    names += ["LWrist", "RWrist", "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle", "Head"]
    names += ["Neck", "Hip", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"]
    body = points(26)
    body[3, 7] = 0
    found = Keypoints.read(write_keypoints(trc(names, body), "a_px_person00.trc"))
    assert found.skeleton is HALPE26
    assert (found.fps, found.rate_source, found.first_frame) == (60.0, "file", 1)
    np.testing.assert_allclose(found.keypoints_px[0, ..., :2], body[..., :2], atol=1e-4)
    assert found.keypoints_px[0, 3, 7, 2] == 0 and found.keypoints_px[0, 3, 6, 2] == 1


def test_trc_in_millimeters_is_said_and_times_are_those_of_the_rows(
    write_keypoints: KeypointsWriter,
) -> None:
    body = standing(8)
    text = trc(list(COCO17.joints), body, units="mm", rate="25").replace("25\t25\t", "60\t60\t")
    found = Keypoints.read(write_keypoints(text, "a.trc"))
    assert (found.fps, found.rate_source) == (25.0, "file")
    assert "mm, not pixels" in found.notes[0]
    assert len(found.notes) == 1
