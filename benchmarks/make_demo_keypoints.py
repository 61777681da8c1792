"""Create the keypoint file of the bundled demo: run MediaPipe Pose on a part of the Sports2D video.

    pip install mediapipe==0.10.14 av
    python benchmarks/make_demo_keypoints.py demo.mp4 actionpose/assets/demo_keypoints.npz

The script does not import actionpose, so that the detector can be installed in a separate
environment. The joint order is that of MediaPipe, `actionpose.skeletons.MEDIAPIPE33`.
"""

import argparse
import json
from itertools import islice
from pathlib import Path

import av
import numpy as np
from mediapipe.python.solutions.pose import Pose

# Almost two jumping jacks of the man on the roof. Later frames are omitted, because in frames 68 to
# 72 the detector confuses front and back and swaps left and right.
FRAMES = 66
# image region for the detector: MediaPipe tracks one person, and only this person is inside
LEFT, TOP, RIGHT, BOTTOM = 300, 0, 1100, 480


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path, help="the demo.mp4 of Sports2D")
    parser.add_argument("out", type=Path, help="the .npz file to write")
    args = parser.parse_args()

    keypoints_px = np.zeros((1, FRAMES, 33, 3), dtype=np.float32)  # x, y, confidence
    valid = np.zeros((1, FRAMES), dtype=bool)
    origin, size = (LEFT, TOP), (RIGHT - LEFT, BOTTOM - TOP)
    with av.open(str(args.video)) as container, Pose(model_complexity=1) as pose:
        stream = container.streams.video[0]
        for t, frame in enumerate(islice(container.decode(stream), FRAMES)):
            window = frame.to_ndarray(format="rgb24")[TOP:BOTTOM, LEFT:RIGHT]
            landmarks = pose.process(np.ascontiguousarray(window)).pose_landmarks
            if landmarks:
                found = np.array([(p.x, p.y, p.visibility) for p in landmarks.landmark])
                keypoints_px[0, t, :, :2] = origin + found[:, :2] * size
                keypoints_px[0, t, :, 2] = found[:, 2].clip(0, 1)
                valid[0, t] = True
        header = {
            "format_version": 1,
            "skeleton": "mediapipe33",
            "fps": float(stream.average_rate),
            "image_size": [stream.width, stream.height],
            "detector": "MediaPipe Pose 0.10.14, model complexity 1",
            "source": f"Sports2D demo video, frames 0 to {FRAMES - 1}; "
            "BSD 3-Clause, Copyright 2022 perfanalytics",
        }

    # NumPy dates the members of archives 1980-01-01, so that the same arrays give the same bytes
    np.savez_compressed(
        args.out,
        keypoints_px=keypoints_px,
        valid=valid,
        track_id=np.zeros(1, dtype=np.int64),
        header=np.array(json.dumps(header)),
    )
    print(f"{args.out}: a person in {valid.sum()} of {FRAMES} frames")


if __name__ == "__main__":
    main()
