"""Animated GLB (glTF 2.0): a skinned figure on the nodes of `skeleton_fit` for every person.

Units are meters, with y up. The positions and rotations of the nodes are the result; the figure is
for display only.
"""

import os
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.export.common import require_persons, standing
from actionpose.geometry.axes import Axes
from actionpose.postprocessing.skeleton_fit import SkeletonMotion, fit_skeleton
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.utils.typing import Array, BoolArray
from actionpose.visualization.drawing import rgb, side_color

_AROUND = 16  # vertices around a limb
_RADIUS_M = {"Hips": 0.055, "Spine": 0.05, "Spine1": 0.05, "Spine2": 0.045, "Neck": 0.035}
_LIMB_M, _HEAD_M = 0.032, 0.085
# constants of glTF
_COMPONENT_TYPES = {"float32": 5126, "uint32": 5125, "uint8": 5121}
_VERTICES, _INDICES = 34962, 34963


def write_glb(result: Result, path: str | os.PathLike[str], *, raw: bool = False) -> None:
    """Write a GLB file with all persons, each scaled to zero while absent.

    Each person has a node above the hips, so that importers create one armature per person. Times
    are exact, also for videos with a variable frame rate, and start at 0.

    Args:
        result: Result to write.
        path: File to write.
        raw: Whether to keep the positions of the result. By default people stand on the ground
            (`standing`).

    Raises:
        UserError: If the result has no person, the skeleton is not supported, the file cannot be
            written, or pygltflib is not installed.
    """
    try:
        import pygltflib
    except ImportError:
        raise UserError("GLB files need pygltflib: pip install 'actionpose[export]'") from None
    require_persons(result)
    result = result if raw else standing(result)
    motions = [fit_skeleton(result, person, even=False) for person in range(len(result.track_id))]
    document = _Document(pygltflib, _extras(result, motions))
    for person, motion in enumerate(motions):
        document.add_person(motion, f"id{result.track_id[person]}", result.present[person])
    with atomic_write(path) as unfinished:
        with unfinished.open("wb") as file:
            file.writelines(document.chunks())


def _extras(result: Result, motions: list[SkeletonMotion]) -> dict[str, Any]:
    facts = result.facts
    return {
        **{key: facts[key] for key in ("units", "root", "scale_source")},
        "axes": Axes.Y_UP.words,
        "track_id": result.track_id.tolist(),
        "first_time_s": float(result.time_s[0]),
        "rigid_residual_mm": [round(motion.residual_mm, 2) for motion in motions],
        "actions": result.header.get("actions", []),
    }


class _Document:
    """A glTF document and its binary buffer."""

    def __init__(self, gltf: Any, extras: dict[str, Any]):
        self.gltf, self.bytes = gltf, bytearray()
        self.accessors: dict[bytes, int] = {}  # by content, to share equal arrays between people
        surface = gltf.PbrMetallicRoughness(metallicFactor=0.0, roughnessFactor=0.6)
        self.document = gltf.GLTF2(
            asset=gltf.Asset(version="2.0", generator="actionpose", extras=extras),
            materials=[gltf.Material(name="figure", pbrMetallicRoughness=surface)],
            animations=[gltf.Animation(name="motion")],
            scene=0,
            scenes=[gltf.Scene(nodes=[])],
        )

    def chunks(self) -> list[bytes]:
        self.document.buffers = [self.gltf.Buffer(byteLength=len(self.bytes))]
        self.document.set_binary_blob(self.bytes)
        parts: list[bytes] = self.document.save_to_bytes()
        return parts

    def add_person(self, motion: SkeletonMotion, name: str, present: BoolArray) -> None:
        """Add nodes, a figure and an animation. `present` (T,) is True where there is a pose."""
        first = len(self.document.nodes)
        prefix = f"{name}_" if first else ""  # names of nodes must be unique
        for index, node in enumerate(motion.tree.names):
            place = motion.root_m[0] if index == 0 else motion.offsets_m[index]
            children = [first + child for child, p in enumerate(motion.tree.parents) if p == index]
            self.document.nodes.append(
                self.gltf.Node(
                    name=prefix + node, translation=place.tolist(), children=children or None
                )
            )
        self._add_figure(motion, first)
        self._add_animation(motion, first, present)
        self.document.nodes.append(self.gltf.Node(name=name, children=[first]))
        figure, person = len(self.document.nodes) - 2, len(self.document.nodes) - 1
        self.document.scenes[0].nodes += [person, figure]

    def _add_array(self, array: NDArray[Any], kind: str, target: int | None = None) -> int:
        """Add an accessor for an array and return its index. `kind` is its type, such as "VEC3"."""
        content = array.tobytes()
        key = sha256(f"{kind} {target} {array.dtype} ".encode() + content).digest()
        if key in self.accessors:
            return self.accessors[key]
        view = self.gltf.BufferView(
            buffer=0, byteOffset=len(self.bytes), byteLength=array.nbytes, target=target
        )
        flat = array.reshape(len(array), -1)
        accessor = self.gltf.Accessor(
            bufferView=len(self.document.bufferViews),
            componentType=_COMPONENT_TYPES[array.dtype.name],
            count=len(array),
            type=kind,
            min=flat.min(axis=0).tolist(),
            max=flat.max(axis=0).tolist(),
        )
        self.bytes += content + b"\0" * (-array.nbytes % 4)
        self.document.bufferViews.append(view)
        self.document.accessors.append(accessor)
        self.accessors[key] = len(self.document.accessors) - 1
        return self.accessors[key]

    def _add_figure(self, motion: SkeletonMotion, first: int) -> None:
        """Add the skin, its mesh and its node."""
        points, normals, colors, joints, faces = _figure(motion)
        weights = np.zeros((len(points), 4), np.float32)
        weights[:, 0] = 1
        four = np.zeros((len(points), 4), np.uint8)
        four[:, 0] = joints
        attributes = self.gltf.Attributes(
            POSITION=self._add_array(points, "VEC3", _VERTICES),
            NORMAL=self._add_array(normals, "VEC3", _VERTICES),
            COLOR_0=self._add_array(colors, "VEC3", _VERTICES),
            JOINTS_0=self._add_array(four, "VEC4", _VERTICES),
            WEIGHTS_0=self._add_array(weights, "VEC4", _VERTICES),
        )
        indices = self._add_array(faces, "SCALAR", _INDICES)
        primitive = self.gltf.Primitive(attributes=attributes, indices=indices, material=0)
        self.document.meshes.append(self.gltf.Mesh(name="figure", primitives=[primitive]))
        inverse = np.tile(np.eye(4, dtype=np.float32), (len(motion.tree.names), 1, 1))
        inverse[:, 3, :3] = -_rest(motion)  # in column-major order
        skin = self.gltf.Skin(
            inverseBindMatrices=self._add_array(inverse, "MAT4"),
            joints=list(range(first, first + len(motion.tree.names))),
            skeleton=first,
        )
        self.document.skins.append(skin)
        mesh, skin = len(self.document.meshes) - 1, len(self.document.skins) - 1
        self.document.nodes.append(self.gltf.Node(name="figure", mesh=mesh, skin=skin))

    def _add_animation(self, motion: SkeletonMotion, first: int, present: BoolArray) -> None:
        animation = self.document.animations[0]
        seconds = (motion.time_s - motion.time_s[0]).astype(np.float32)
        times = self._add_array(seconds, "SCALAR")

        def channel(values: Array, kind: str, node: int, path: str, how: str = "LINEAR") -> None:
            output = self._add_array(np.ascontiguousarray(values, dtype=np.float32), kind)
            animation.samplers.append(
                self.gltf.AnimationSampler(input=times, output=output, interpolation=how)
            )
            target = self.gltf.AnimationChannelTarget(node=first + node, path=path)
            sampler = len(animation.samplers) - 1
            animation.channels.append(self.gltf.AnimationChannel(sampler=sampler, target=target))

        channel(motion.root_m, "VEC3", 0, "translation")
        for node in range(len(motion.tree.names)):
            if node in motion.tree.parents or node == 0:  # leaf nodes do not rotate
                channel(motion.rotations[:, node], "VEC4", node, "rotation")
        if not present.all():
            channel(np.repeat(present[:, None], 3, axis=1), "VEC3", 0, "scale", "STEP")


def _rest(motion: SkeletonMotion) -> Array:
    """(N, 3) Positions of the nodes in the rest pose, with the hips at the origin."""
    places = np.zeros_like(motion.offsets_m)
    for index, parent in enumerate(motion.tree.parents):
        if parent >= 0:
            places[index] = places[parent] + motion.offsets_m[index]
    return places


def _figure(motion: SkeletonMotion) -> tuple[NDArray[Any], ...]:
    """Vertices, normals and colors (V, 3), nodes of vertices (V,), and triangle indices (F,)."""
    rest = _rest(motion)
    parts: list[tuple[Array, Array, int, str]] = []  # points, normals, node, joint of the color
    tree = motion.tree
    for index, (node, parent) in enumerate(zip(tree.nodes, tree.parents, strict=True)):
        if node.along is None:
            continue
        if node.name == "HeadTop":
            middle = (rest[index] + rest[parent]) / 2
            tall = max(0.65 * float(np.linalg.norm(motion.offsets_m[index])), 1.3 * _HEAD_M)
            parts.append((*_ball(middle, (_HEAD_M, tall, _HEAD_M)), parent, "head"))
            continue
        radius = _RADIUS_M.get(tree.names[parent], _LIMB_M)
        parts.append((*_limb(rest[parent], rest[index], radius), parent, node.joint))
        parts.append((*_ball(rest[index], (radius * 1.1,) * 3), index, node.joint))
    points = np.concatenate([part[0] for part in parts]).astype(np.float32)
    normals = np.concatenate([part[1] for part in parts]).astype(np.float32)
    sizes = [len(part[0]) for part in parts]
    joints = np.repeat([part[2] for part in parts], sizes).astype(np.uint8)
    colors = np.repeat([_linear(side_color(part[3])) for part in parts], sizes, axis=0)
    starts = np.cumsum([0, *sizes[:-1]])
    faces = [start + _faces(size) for start, size in zip(starts, sizes, strict=True)]
    corners = np.concatenate(faces).astype(np.uint32)
    return points, normals, colors.astype(np.float32), joints, corners


def _linear(color: str) -> Array:
    """A web color in linear RGB from 0 to 1, as required by glTF."""
    srgb = rgb(color)
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _lathe(heights: Array, radii: Array, slopes: Array) -> tuple[Array, Array]:
    """Surface of revolution about y: points and unit normals (rings * _AROUND, 3)."""
    angle = np.arange(_AROUND) * 2 * np.pi / _AROUND
    circle = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=-1)
    up = np.array([0.0, 1.0, 0.0])
    points = radii[:, None, None] * circle + heights[:, None, None] * up
    normals = np.cos(slopes)[:, None, None] * circle + np.sin(slopes)[:, None, None] * up
    return points.reshape(-1, 3), normals.reshape(-1, 3)


def _limb(start: Array, end: Array, radius: float) -> tuple[Array, Array]:
    """A tube between two points."""
    length = float(np.linalg.norm(end - start))
    points, normals = _lathe(np.array([0.0, length]), np.full(2, radius), np.zeros(2))
    y = (end - start) / max(length, 1e-9)
    x = np.cross(y, [0.0, 0, 1] if abs(y[2]) < 0.9 else [1.0, 0, 0])
    x /= np.linalg.norm(x)
    turn = np.stack([x, y, np.cross(x, y)], axis=-1)
    return points @ turn.T + start, normals @ turn.T


def _ball(middle: Array, radii: tuple[float, ...]) -> tuple[Array, Array]:
    """A sphere, or an ellipsoid with three radii."""
    slope = np.linspace(-np.pi / 2, np.pi / 2, 9)
    points, normals = _lathe(np.sin(slope), np.cos(slope), slope)
    normals = normals / np.array(radii)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return points * np.array(radii) + middle, normals


def _faces(size: int) -> Array:
    """Indices (F,) of the triangles between the rings of `_lathe`, oriented outward."""
    ring, corner = np.divmod(np.arange(size - _AROUND), _AROUND)
    a = ring * _AROUND + corner
    b = ring * _AROUND + (corner + 1) % _AROUND
    c, d = a + _AROUND, b + _AROUND
    return np.stack([a, c, b, b, c, d], axis=-1).ravel()
