"""TRC in pixels."""

import numpy as np
from helpers.keypoint_tables import points, trc
from helpers.keypoint_writers import KeypointsWriter

from actionpose.keypoints import Keypoints
from actionpose.skeletons import HALPE26


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
