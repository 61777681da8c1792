"""Which index is which joint."""

import numpy as np
import pytest
from helpers.keypoint_writers import KeypointsWriter, alphapose, body, refused

from actionpose.keypoints import Keypoints
from actionpose.keypoints.layout import joint_layout
from actionpose.skeletons import COCO17, COCO23, H36M17_FEET, HALPE26, SKELETONS, Skeleton


@pytest.mark.parametrize(("joints", "skeleton"), [(133, COCO23), (136, HALPE26)])
def test_whole_body_layouts_are_cut_to_the_body(
    write_keypoints: KeypointsWriter, joints: int, skeleton: Skeleton
) -> None:
    points = body(0, 0, joints=joints)
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]))
    assert found.skeleton is skeleton
    np.testing.assert_array_equal(found.keypoints_px[0, 0], np.float32(points[: len(skeleton)]))


def test_whole_body_layout_is_cut_to_coco17_when_asked(write_keypoints: KeypointsWriter) -> None:
    points = body(0, 0, joints=133)
    found = Keypoints.read(write_keypoints([alphapose("0.jpg", points)]), skeleton="coco17")
    assert found.skeleton is COCO17
    np.testing.assert_array_equal(found.keypoints_px[0, 0], np.float32(points[:17]))


@pytest.mark.parametrize("skeleton", SKELETONS.values())
def test_names_of_joints_come_before_their_number(skeleton: Skeleton) -> None:
    found = joint_layout(len(skeleton), None, names=skeleton.joints, assume_coco=True)
    assert found == (skeleton, list(range(len(skeleton))))


def test_21_joints_without_names_have_to_be_said(write_keypoints: KeypointsWriter) -> None:
    path = write_keypoints([alphapose("0.jpg", body(0, 0, joints=21))])
    refused(path, "21 joints", "h36m17_feet", "skeleton=NAME")
    assert Keypoints.read(path, skeleton="h36m17_feet").skeleton is H36M17_FEET
