"""Avatars: poses as messages of the VMC protocol (OSC over UDP), protocol.vmc.info.

Bones are the humanoid bones of Unity. Its axes are left-handed: x to the avatar's right, y up, z
forward. Therefore x is negated, and with it the sense of rotations about y and z.
"""

import re
import socket
from importlib.util import find_spec
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from actionpose.geometry.axes import Axes
from actionpose.live.frames import LiveFrame
from actionpose.postprocessing.bone_lengths import bone_lengths
from actionpose.postprocessing.skeleton_fit import TREES, NodeTree, node_rotations, rest_offsets
from actionpose.skeletons import Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

# from nodes to Unity bones; Spine2 is combined with the chest, which every avatar has
_BONES = {"Hips": "Hips", "Spine": "Spine", "Spine1": "Chest", "Neck": "Neck", "Head": "Head"}
for _side in ("Left", "Right"):
    _BONES |= {f"{_side}UpLeg": f"{_side}UpperLeg", f"{_side}Leg": f"{_side}LowerLeg"}
    _BONES |= {f"{_side}{part}": f"{_side}{part}" for part in ("Foot", "Shoulder", "Hand")}
    _BONES |= {f"{_side}Arm": f"{_side}UpperArm", f"{_side}ForeArm": f"{_side}LowerArm"}


def unity_bones(tree: NodeTree, pose_m: Array) -> dict[str, tuple[Array, Array]]:
    """Position in meters and rotation (x, y, z, w) of each bone relative to its parent.

    The hips are relative to the floor, which is at the height of the lowest joint.

    Args:
        tree: Nodes of the skeleton.
        pose_m: (J, 3) Pose in camera axes with the pelvis at the origin.
    """
    joints = (pose_m.astype(np.float64) @ Axes.CAMERA.rotation_to(Axes.Y_UP).T)[None]
    offsets = rest_offsets(tree, bone_lengths(joints))
    rotations = dict(zip(tree.names, node_rotations(tree, joints, offsets)[0], strict=True))
    upper_chest = Rotation.from_quat(rotations["Spine2"])
    rotations["Spine1"] = (Rotation.from_quat(rotations["Spine1"]) * upper_chest).as_quat()
    places = dict(zip(tree.names, offsets, strict=True))
    places["Hips"] = np.array([0.0, -joints[0, :, 1].min(), 0.0])
    for node in ("Neck", "LeftShoulder", "RightShoulder"):
        places[node] = upper_chest.inv().apply(places["Spine2"])
    return {
        bone: (places[node] * [-1, 1, 1], rotations[node] * [1, -1, -1, 1])
        for node, bone in _BONES.items()
    }


class VmcSender:
    """Sends the first person of each frame to an application with an avatar.

    UDP messages are sent without waiting, even if no application receives them.

    Args:
        address: HOST:PORT, such as 127.0.0.1:39539.
        skeleton: Joint layout of the poses.

    Raises:
        UserError: If python-osc is not installed, or the address is invalid.
    """

    def __init__(self, address: str, skeleton: Skeleton):
        if find_spec("pythonosc") is None:
            raise UserError("VMC needs python-osc: pip install 'actionpose[live]'")
        found = re.fullmatch(r"(.+):(\d{1,5})", address)
        if found is None or not 0 < int(found[2]) < 65536:
            raise UserError(f"--vmc is HOST:PORT, such as 127.0.0.1:39539, not {address}")
        try:
            found_at = socket.getaddrinfo(found[1], int(found[2]), type=socket.SOCK_DGRAM)
            self._address: Any = found_at[0][4]
            self._socket = socket.socket(*found_at[0][:2])
        except OSError as error:
            raise UserError(f"--vmc {address}: {error.strerror or error}") from None
        self._tree = TREES[skeleton.name]
        self._person: int | None = None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def send(self, due: list[LiveFrame]) -> None:
        """Send a bundle for each frame, with the same person as before, or else the first one."""
        for frame in due:
            self._send(frame)

    def _send(self, frame: LiveFrame) -> None:
        from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
        from pythonosc.osc_message_builder import OscMessageBuilder

        bundle = OscBundleBuilder(IMMEDIATELY)

        def add(path: str, *values: Any) -> None:
            message = OscMessageBuilder(path)
            for value in values:
                message.add_arg(value)
            bundle.add_content(message.build())

        add("/VMC/Ext/OK", int(len(frame.track_id) > 0))
        add("/VMC/Ext/T", float(frame.time_s))
        if len(frame.track_id):
            if self._person not in frame.track_id:
                self._person = int(frame.track_id[0])
            pose = frame.pose_m[int(np.flatnonzero(frame.track_id == self._person)[0])]
            add("/VMC/Ext/Root/Pos", "root", 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
            for bone, (place, rotation) in unity_bones(self._tree, pose).items():
                add("/VMC/Ext/Bone/Pos", bone, *map(float, (*place, *rotation)))
        try:
            self._socket.sendto(bundle.build().dgram, self._address)
        except OSError:  # no application is listening
            pass
