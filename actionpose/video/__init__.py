"""Keypoints from videos: decoding, 2D pose detectors and pose estimation."""

from actionpose.video.decoding import VideoReader
from actionpose.video.pose_estimation import estimate_poses
from actionpose.video.source import read_source

__all__ = ["VideoReader", "estimate_poses", "read_source"]
