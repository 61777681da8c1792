"""Messages for avatars: rotations give back the pose, and the bundle is what receivers take."""

import socket
from contextlib import closing

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from actionpose.live import LiveFrame
from actionpose.live.avatar import VmcSender, unity_bones
from actionpose.postprocessing.skeleton_fit import TREES
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError

PARENTS = {"Spine": "Hips", "Chest": "Spine", "Neck": "Chest", "Head": "Neck"}
ENDS = {"Chest": "spine"}
for side in ("Left", "Right"):
    PARENTS |= {f"{side}UpperLeg": "Hips", f"{side}LowerLeg": f"{side}UpperLeg"}
    PARENTS |= {f"{side}Foot": f"{side}LowerLeg", f"{side}Shoulder": "Chest"}
    PARENTS |= {f"{side}UpperArm": f"{side}Shoulder", f"{side}LowerArm": f"{side}UpperArm"}
    PARENTS |= {f"{side}Hand": f"{side}LowerArm"}
    own = side.lower()
    ENDS |= {f"{side}UpperLeg": f"{own}_hip", f"{side}LowerLeg": f"{own}_knee"}
    ENDS |= {f"{side}Foot": f"{own}_ankle", f"{side}UpperArm": f"{own}_shoulder"}
    ENDS |= {f"{side}LowerArm": f"{own}_elbow", f"{side}Hand": f"{own}_wrist"}


def symmetric_pose() -> np.ndarray:
    """(17, 3) camera axes: random directions; both sides alike, the pelvis between the hips."""
    rng = np.random.default_rng(3)
    lengths = rng.uniform(0.2, 0.4, 17)
    lengths = (lengths + lengths[H36M17.mirror]) / 2
    pose = np.zeros((17, 3))
    for child, parent in H36M17.bones:
        direction = rng.normal(size=3)
        if H36M17.joints[child].endswith(("hip", "shoulder")):
            direction = np.array([1.0 if "left" in H36M17.joints[child] else -1.0, 0.1, 0.2])
            direction[1:] *= direction[0]  # one line through both
        pose[child] = pose[parent] + lengths[child] * direction / np.linalg.norm(direction)
    return pose.astype(np.float32)


def test_bones_lead_back_to_the_joints() -> None:
    pose = symmetric_pose()
    bones = unity_bones(TREES["h36m17"], pose)
    assert set(bones) == {"Hips", *PARENTS}
    world: dict[str, tuple[np.ndarray, Rotation]] = {}
    for bone in sorted(bones, key=lambda bone: (bone != "Hips", _depth(bone))):
        place, rotation = bones[bone][0], Rotation.from_quat(bones[bone][1])
        if bone in PARENTS:
            above, turned = world[PARENTS[bone]]
            place, rotation = above + turned.apply(place), turned * rotation
        world[bone] = place, rotation
    in_unity = (pose - [0, pose[:, 1].max(), 0]) * [-1, -1, -1]  # right, up, ahead of the avatar
    for bone, joint in ENDS.items():
        found = world[bone][0]
        np.testing.assert_allclose(found, in_unity[H36M17.joints.index(joint)], atol=1e-5)


def _depth(bone: str) -> int:
    return 1 + _depth(PARENTS[bone]) if bone in PARENTS else 0


def test_sender_sends_one_bundle_per_frame() -> None:
    pytest.importorskip("pythonosc")
    from pythonosc.osc_bundle import OscBundle

    frame = LiveFrame(
        time_s=1.5,
        track_id=np.array([4]),
        pose_m=symmetric_pose()[None],
        keypoints_px=np.zeros((1, 17, 3), np.float32),
        valid=np.ones(1, bool),
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with closing(VmcSender(address, H36M17)) as sender:
            sender.send([frame])
        messages = list(OscBundle(listener.recv(65536)))
    assert messages[0].address == "/VMC/Ext/OK" and messages[0].params == [1]
    assert messages[1].params == [1.5]
    bones = {m.params[0]: m.params[1:] for m in messages if m.address == "/VMC/Ext/Bone/Pos"}
    assert set(bones) == {"Hips", *PARENTS} and all(len(values) == 7 for values in bones.values())


@pytest.mark.parametrize("address", ["127.0.0.1", "host:0", "a:99999", "no such host.:1"])
def test_sender_refuses_what_is_no_address(address: str) -> None:
    pytest.importorskip("pythonosc")
    with pytest.raises(UserError, match="--vmc"):
        VmcSender(address, H36M17)
