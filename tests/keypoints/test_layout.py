"""Which index is which joint."""

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, alphapose, body

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17, HALPE26, Skeleton


@pytest.mark.parametrize(("joints", "skeleton"), [(133, COCO17), (136, HALPE26)])
def test_whole_body_layouts_are_cut_to_the_body(
    write_keypoints: KeypointsWriter, joints: int, skeleton: Skeleton
) -> None:
    points = body(0, 0, joints=joints)
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]))
    assert found.skeleton is skeleton
    np.testing.assert_array_equal(found.keypoints_px[0, 0], np.float32(points[: len(skeleton)]))
