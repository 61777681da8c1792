"""Animated GLB (glTF 2.0): every person a skinned figure on the rig of `rig.py`. Meters, y up.

Node positions and turns are what is measured; the figure around them only makes them visible.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from actionpose.postprocessing.common import known
from actionpose.postprocessing.skeleton_fit import NAMES, NODES, PARENTS, RigMotion, fit
from actionpose.result import Result
from actionpose.utils.errors import UserError
from actionpose.utils.files import atomic_write
from actionpose.visualization.drawing import COLORS, side

Array = NDArray[Any]

_AROUND = 16  # corners of a limb
_RADIUS_M = {"Hips": 0.055, "Spine": 0.05, "Spine1": 0.05, "Spine2": 0.045, "Neck": 0.035}
_LIMB_M, _HEAD_M = 0.032, 0.085
_FLOAT, _UINT, _BYTE = 5126, 5125, 5121  # componentType of the format


def glb(result: Result, path: str | os.PathLike[str]) -> list[Path]:
    """Write a GLB with all persons, each hidden (scaled to nothing) while not there.

    Times are exact, also of films with a variable rate; they begin at 0.

    Raises:
        UserError: nobody to write, another skeleton, the file cannot be written, or pygltflib is
            not installed.
    """
    try:
        import pygltflib as gltf
    except ImportError:
        raise UserError("GLB files need pygltflib: pip install 'actionpose[export]'") from None
    if not len(result.track_id):
        raise UserError("there is nothing to write: the result has no person")
    motions = [fit(result, person, even=False) for person in range(len(result.track_id))]
    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="actionpose", extras=_facts(result, motions)),
        materials=[
            gltf.Material(
                name="figure",
                pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                    metallicFactor=0.0, roughnessFactor=0.6
                ),
            )
        ],
        animations=[gltf.Animation(name="motion")],
        scene=0,
    )
    data = _Buffer(document, gltf)
    roots = []
    for person, motion in enumerate(motions):
        first = len(document.nodes)
        _add_nodes(document, gltf, motion, f"id{result.track_id[person]}_" if person else "")
        _add_figure(document, gltf, data, motion, first)
        _add_animation(document, gltf, data, motion, first, known(result)[person])
        roots += [first, len(document.nodes) - 1]
    document.scenes = [gltf.Scene(nodes=roots)]
    document.buffers = [gltf.Buffer(byteLength=len(data.bytes))]
    document.set_binary_blob(bytes(data.bytes))
    with atomic_write(path) as unfinished:
        unfinished.write_bytes(b"".join(document.save_to_bytes()))
    return [Path(path)]


def _facts(result: Result, motions: list[RigMotion]) -> dict[str, Any]:
    facts = {key: result.header[key] for key in ("units", "root", "scale_source")}
    facts["axes"] = "x right, y up, z towards the camera"
    facts["track_id"] = result.track_id.tolist()
    facts["first_time_s"] = float(result.time_s[0]) if len(result.time_s) else 0.0
    facts["rigid_residual_mm"] = [round(motion.residual_mm, 2) for motion in motions]
    facts["actions"] = result.header.get("actions", [])
    return facts


class _Buffer:
    """The bytes of a document, and its accessors into them."""

    def __init__(self, document: Any, gltf: Any):
        self.document, self.gltf, self.bytes = document, gltf, bytearray()

    def add(self, array: Array, kind: str, target: int | None = None) -> int:
        """The number of the accessor of an array; `kind` is its type, such as "VEC3"."""
        component = {"f": _FLOAT, "u": _UINT if array.dtype.itemsize == 4 else _BYTE}
        view = self.gltf.BufferView(
            buffer=0, byteOffset=len(self.bytes), byteLength=array.nbytes, target=target
        )
        flat = array.reshape(len(array), -1)
        accessor = self.gltf.Accessor(
            bufferView=len(self.document.bufferViews),
            componentType=component[array.dtype.kind],
            count=len(array),
            type=kind,
            min=flat.min(axis=0).tolist(),
            max=flat.max(axis=0).tolist(),
        )
        self.bytes += array.tobytes() + b"\0" * (-array.nbytes % 4)
        self.document.bufferViews.append(view)
        self.document.accessors.append(accessor)
        return len(self.document.accessors) - 1


def _add_nodes(document: Any, gltf: Any, motion: RigMotion, prefix: str) -> None:
    first = len(document.nodes)
    for index, name in enumerate(NAMES):
        place = motion.root_m[0] if index == 0 else motion.offsets_m[index]
        children = [first + child for child, parent in enumerate(PARENTS) if parent == index]
        document.nodes.append(
            gltf.Node(name=prefix + name, translation=place.tolist(), children=children)
        )


def _add_figure(document: Any, gltf: Any, data: _Buffer, motion: RigMotion, first: int) -> None:
    """The skin, its mesh, and the node that shows it."""
    points, normals, colors, joints, faces = _figure(motion)
    weights = np.zeros((len(points), 4), np.float32)
    weights[:, 0] = 1
    four = np.zeros((len(points), 4), np.uint8)
    four[:, 0] = joints
    vertices, indices = 34962, 34963  # targets of the format
    attributes = gltf.Attributes(
        POSITION=data.add(points, "VEC3", vertices),
        NORMAL=data.add(normals, "VEC3", vertices),
        COLOR_0=data.add(colors, "VEC3", vertices),
        JOINTS_0=data.add(four, "VEC4", vertices),
        WEIGHTS_0=data.add(weights, "VEC4", vertices),
    )
    primitive = gltf.Primitive(
        attributes=attributes, indices=data.add(faces, "SCALAR", indices), material=0
    )
    document.meshes.append(gltf.Mesh(name="figure", primitives=[primitive]))
    inverse = np.tile(np.eye(4, dtype=np.float32), (len(NAMES), 1, 1))
    inverse[:, 3, :3] = -_rest(motion)  # column by column
    document.skins.append(
        gltf.Skin(
            inverseBindMatrices=data.add(inverse, "MAT4"),
            joints=list(range(first, first + len(NAMES))),
            skeleton=first,
        )
    )
    document.nodes.append(
        gltf.Node(name="figure", mesh=len(document.meshes) - 1, skin=len(document.skins) - 1)
    )


def _add_animation(
    document: Any,
    gltf: Any,
    data: _Buffer,
    motion: RigMotion,
    first: int,
    there: NDArray[np.bool_],
) -> None:
    animation = document.animations[0]
    times = data.add((motion.time_s - motion.time_s[0]).astype(np.float32), "SCALAR")

    def channel(values: Array, kind: str, node: int, path: str, interpolation: str) -> None:
        output = data.add(np.ascontiguousarray(values, dtype=np.float32), kind)
        animation.samplers.append(
            gltf.AnimationSampler(input=times, output=output, interpolation=interpolation)
        )
        target = gltf.AnimationChannelTarget(node=first + node, path=path)
        sampler = len(animation.samplers) - 1
        animation.channels.append(gltf.AnimationChannel(sampler=sampler, target=target))

    channel(motion.root_m, "VEC3", 0, "translation", "LINEAR")
    for node in range(len(NAMES)):
        if node in PARENTS or node == 0:  # hands, feet and the top of the head do not turn
            channel(motion.turns[:, node], "VEC4", node, "rotation", "LINEAR")
    if not there.all():
        channel(np.repeat(there[:, None], 3, axis=1), "VEC3", 0, "scale", "STEP")


def _rest(motion: RigMotion) -> Array:
    """(N, 3) places of the nodes in the rest pose, the hips at the origin."""
    places = np.zeros_like(motion.offsets_m)
    for index, parent in enumerate(PARENTS):
        if parent >= 0:
            places[index] = places[parent] + motion.offsets_m[index]
    return places


def _figure(motion: RigMotion) -> tuple[Array, Array, Array, Array, Array]:
    """Points, normals and colors (V, 3), the node (V,) each hangs on, and faces (F,)."""
    rest = _rest(motion)
    parts: list[tuple[Array, Array, int, str]] = []  # points, normals, node, joint of the color
    for index, (node, parent) in enumerate(zip(NODES, PARENTS, strict=True)):
        if node.along is None:
            continue
        if node.name == "HeadTop":
            middle = (rest[index] + rest[parent]) / 2
            tall = max(0.65 * float(np.linalg.norm(motion.offsets_m[index])), 1.3 * _HEAD_M)
            parts.append((*_ball(middle, (_HEAD_M, tall, _HEAD_M)), parent, "head"))
            continue
        radius = _RADIUS_M.get(NAMES[parent], _LIMB_M)
        parts.append((*_limb(rest[parent], rest[index], radius), parent, node.joint))
        parts.append((*_ball(rest[index], (radius * 1.1,) * 3), index, node.joint))
    points = np.concatenate([part[0] for part in parts]).astype(np.float32)
    normals = np.concatenate([part[1] for part in parts]).astype(np.float32)
    sizes = [len(part[0]) for part in parts]
    joints = np.repeat([part[2] for part in parts], sizes).astype(np.uint8)
    colors = np.repeat([_linear(COLORS[side(part[3])]) for part in parts], sizes, axis=0)
    starts = np.cumsum([0, *sizes[:-1]])
    faces = [start + _faces(size) for start, size in zip(starts, sizes, strict=True)]
    corners = np.concatenate(faces).astype(np.uint32)
    return points, normals, colors.astype(np.float32), joints, corners


def _linear(color: str) -> Array:
    """A web color as the format wants it: linear, 0 to 1."""
    srgb = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _lathe(heights: Array, radii: Array, slopes: Array) -> tuple[Array, Array]:
    """Rings about y: points and unit normals (rings * _AROUND, 3)."""
    angle = np.arange(_AROUND) * 2 * np.pi / _AROUND
    circle = np.stack([np.cos(angle), 0 * angle, np.sin(angle)], axis=-1)
    up = np.array([0.0, 1.0, 0.0])
    points = radii[:, None, None] * circle + heights[:, None, None] * up
    normals = np.cos(slopes)[:, None, None] * circle + np.sin(slopes)[:, None, None] * up
    return points.reshape(-1, 3), normals.reshape(-1, 3)


def _limb(start: Array, end: Array, radius: float) -> tuple[Array, Array]:
    """A tube from one point to another."""
    length = float(np.linalg.norm(end - start))
    points, normals = _lathe(np.array([0.0, length]), np.full(2, radius), np.zeros(2))
    y = (end - start) / max(length, 1e-9)
    x = np.cross(y, [0.0, 0, 1] if abs(y[2]) < 0.9 else [1.0, 0, 0])
    x /= np.linalg.norm(x)
    turn = np.stack([x, y, np.cross(x, y)], axis=-1)
    return points @ turn.T + start, normals @ turn.T


def _ball(middle: Array, radii: tuple[float, ...]) -> tuple[Array, Array]:
    """A ball, or an egg of three radii."""
    slope = np.linspace(-np.pi / 2, np.pi / 2, 9)
    points, normals = _lathe(np.sin(slope), np.cos(slope), slope)
    normals = normals / np.array(radii)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    return points * np.array(radii) + middle, normals


def _faces(size: int) -> Array:
    """Triangles between the rings of `_lathe`, seen from outside, (F,)."""
    ring, corner = np.divmod(np.arange(size - _AROUND), _AROUND)
    a = ring * _AROUND + corner
    b = ring * _AROUND + (corner + 1) % _AROUND
    c, d = a + _AROUND, b + _AROUND
    return np.stack([a, c, b, b, c, d], axis=-1).ravel()
