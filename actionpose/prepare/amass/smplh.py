"""The 17 joints of a posed SMPL-H body, computed exactly without its 6,890 vertices.

Linear blend skinning moves vertex v to sum_k w_vk (R_k x_v + o_k), where k are the bones, (R_k,
o_k) is the motion of bone k, and x_v = template + shape + pose offsets, which are linear in their
coefficients. A regressed joint is the sum over v of r_jv times this. It only requires, for each
pair of joint and bone, the sums over the vertices of r_jv w_vk times template, shape and pose
directions. These are computed once per body and regressor (`reduce_body`), so that posing
(`pose_joints`) requires no vertices.

DMPL, the soft tissue of AMASS, is omitted: it moves joints by less than millimeters.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor

from actionpose.prepare.amass.body_models import BodyModel
from actionpose.utils.typing import Array

_CHUNK = 1024  # frames per chunk, so that arrays fit into the cache


@dataclass(frozen=True)
class ReducedBody:
    """The parameters of a body and a regressor for posing. J bones: first the M bones that move a
    joint, or an ancestor bone of one, in the order of tree depth; then the others, mainly fingers,
    which only deform the surface. P pairs of a regressed joint and a contributing bone, S
    shapes."""

    kind: str  # of the body model: smpl, smplh, smplx
    order: NDArray[np.intp]  # (J,) joint of the model at each index
    parents: NDArray[np.intp]  # (M,) indices; -1 for the root
    levels: tuple[tuple[int, int], ...]  # ranges of indices at the same depth
    rest_m: Array  # (3, M) joints of the template
    rest_shape: Array  # (3, M, S)
    joint: NDArray[np.intp]  # (P,) regressed joint of each pair
    bone: NDArray[np.intp]  # (P,) index of its bone
    template: Array  # (3, P)
    shape: Array  # (3, P, S)
    pose: Array  # (3, P, 9 J) last axis: entry of R - 1, then bone index
    weights: Array  # (17, M) weight of each bone in each joint
    translation: Array  # (17,) weight of the translation: 1 if a row sums to 1

    @property
    def num_shapes(self) -> int:
        return self.shape.shape[-1]


def reduce_body(body: BodyModel, regressor: Array, joint_mix: Array | None = None) -> ReducedBody:
    """Sum a body model over its vertices.

    Args:
        body: Body model.
        regressor: (17, V) Joints as weighted sums of vertices.
        joint_mix: (17, J) Joints as weighted sums of joints of the model, in addition.
    """
    parents = body.parents
    mix = np.zeros((len(regressor), len(parents))) if joint_mix is None else joint_mix
    touches = (np.abs(regressor) @ (body.weights != 0) > 0) | (mix != 0)
    moving = touches.any(axis=0)
    depth = np.zeros(len(parents), dtype=int)
    for child, parent in enumerate(parents):  # parents precede their children
        depth[child] = 0 if parent < 0 else depth[parent] + 1
    for child in range(len(parents) - 1, 0, -1):
        moving[parents[child]] |= moving[child]
    order = np.lexsort((depth, ~moving))
    moved = order[: int(moving.sum())]
    starts = np.searchsorted(depth[moved], np.arange(depth[moved].max() + 2))
    place = np.argsort(order)

    joint, bone = np.nonzero(touches)
    # (P, V), summed in one thread in a fixed order, so that results are bitwise reproducible
    rows = scipy.sparse.csr_matrix(regressor[joint] * body.weights.T[bone])
    rest = body.joint_regressor @ body.template_m
    rest_shape = np.einsum("jv,vcs->jcs", body.joint_regressor, body.shape_dirs)
    mixed = mix[joint, bone]
    template = _sums(rows, body.template_m) + mixed[:, None] * rest[bone]
    shape = _sums(rows, body.shape_dirs) + mixed[:, None, None] * rest_shape[bone]
    # (P, 3, J, 9): the root has no pose directions
    pose = np.zeros((len(joint), 3, len(parents), 9))
    pose[:, :, 1:] = _sums(rows, body.pose_dirs).reshape(len(joint), 3, -1, 9)
    pose = pose[:, :, order].transpose(1, 0, 3, 2)
    weights = mix.copy()
    weights[joint, bone] += np.asarray(rows.sum(axis=1)).ravel()
    return ReducedBody(
        kind=body.kind,
        order=order,
        parents=np.where(parents[moved] < 0, -1, place[parents[moved]]),
        levels=tuple((int(a), int(b)) for a, b in zip(starts, starts[1:], strict=False)),
        rest_m=rest[moved].T,
        rest_shape=rest_shape[moved].swapaxes(0, 1),
        joint=joint,
        bone=place[bone],
        template=template.T,
        shape=shape.swapaxes(0, 1),
        pose=pose.reshape(3, len(joint), -1),
        weights=weights[:, moved],
        translation=regressor.sum(axis=1) + mix.sum(axis=1),
    )


def _sums(rows: Any, directions: Array) -> Array:
    """Product of (P, V) and (V, ...)."""
    flat = np.ascontiguousarray(directions.reshape(len(directions), -1))
    return np.asarray(rows @ flat).reshape(-1, *directions.shape[1:])


def pose_joints(
    body: ReducedBody,
    poses: NDArray[np.floating],
    betas: NDArray[np.floating],
    trans_m: NDArray[np.floating],
    dtype: torch.dtype = torch.float32,
) -> Array:
    """The regressed joints of a body in motion.

    Args:
        body: Reduced body.
        poses: (T, 3 J) Axis-angle in radians, in the order of the model.
        betas: (S,) Shape coefficients, padded with 0 or truncated to the number of the model.
        trans_m: (T, 3) Translations.
        dtype: Data type of the sums. The error is about 1e-15 m in float64 and 3e-7 m in float32.

    Returns:
        (T, 17, 3) joints in meters, in the axes of the input.
    """
    given = np.zeros(body.num_shapes)
    used = min(len(betas), body.num_shapes)
    given[:used] = betas[:used]
    rest = body.rest_m + body.rest_shape @ given
    fixed = body.template + body.shape @ given
    fixed -= body.weights[body.joint, body.bone] * rest[:, body.bone]

    def tensor(value: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(value)).to(dtype)

    rows = torch.from_numpy((3 * body.order + np.arange(3)[:, None]).ravel())  # axis, then bone
    tensors = _Fixed(
        rest=tensor(rest),
        fixed=tensor(fixed.reshape(-1, 1)),
        pose=tensor(body.pose.reshape(3 * len(body.joint), -1)),
        weights=tensor(body.weights),
        gather=tensor(np.eye(len(body.weights))[:, body.joint]),
        bone=torch.from_numpy(body.bone),
        parents=torch.from_numpy(body.parents),
    )
    # the translation is added in float64: far from the origin, float32 would lose precision
    path = torch.from_numpy(np.ascontiguousarray(trans_m, dtype=np.float64))
    out = path[:, None] * torch.from_numpy(body.translation)[:, None]
    for start in range(0, len(poses), _CHUNK):
        stop = start + _CHUNK
        values = tensor(poses[start:stop]).T.contiguous().index_select(0, rows)  # (3 J, T)
        joints = _pose_chunk(body, tensors, values.view(3, len(body.order), -1))
        out[start:stop] += joints.permute(2, 1, 0).to(dtype, memory_format=torch.contiguous_format)
    return out.numpy()


@dataclass(frozen=True)
class _Fixed:
    """The parameters that are constant over frames."""

    rest: Tensor  # (3, M)
    fixed: Tensor  # (3 P, 1) template and shape minus the weighted rest position of the bone
    pose: Tensor  # (3 P, 9 J)
    weights: Tensor  # (17, M)
    gather: Tensor  # (17, P) of ones: sums pairs to joints
    bone: Tensor  # (P,)
    parents: Tensor  # (M,)


def _pose_chunk(body: ReducedBody, given: _Fixed, poses: Tensor) -> Tensor:
    """(3, J, T) axis-angle to (3, 17, T) joints. Frames are last, for long inner loops."""
    rotation = _rotation_less_one(poses)  # (3, 3, J, T)
    frames, moved = poses.shape[-1], len(given.parents)
    local = torch.addmm(given.fixed, given.pose, rotation.view(-1, frames)).view(3, -1, frames)
    rotation = rotation[:, :, :moved]
    for axis in range(3):
        rotation[axis, axis] += 1

    world = poses.new_empty(3, 3, moved, frames)
    place_m = poses.new_empty(3, moved, frames)
    for start, stop in body.levels:
        here = slice(start, stop)
        if start == 0:
            world[:, :, here] = rotation[:, :, here]
            place_m[:, here] = given.rest[:, here, None]
            continue
        parents = given.parents[here]
        above = world.index_select(2, parents)
        world[:, :, here] = _matmul(above, rotation[:, :, here])
        bone_m = (given.rest[:, here] - given.rest[:, parents])[..., None]
        place_m[:, here] = place_m.index_select(1, parents) + _apply(above, bone_m)
    parts = _apply(world.index_select(2, given.bone), local)  # (3, P, T)
    return given.gather @ parts + given.weights @ place_m


def _rotation_less_one(poses: Tensor) -> Tensor:
    """(3, ...) axis-angle to (3, 3, ...) rotation matrices minus the identity (Rodrigues).

    Subtracting the identity first preserves the precision of small rotations.
    """
    x, y, z = poses
    square = x * x + y * y + z * z
    angle = square.sqrt().clamp(min=1e-12)
    half = angle / 2
    sine = half.sin()
    bend = 2 * (sine / angle).square()  # (1 - cos) / angle^2
    turn = 2 * sine * half.cos() / angle  # sin / angle
    out = bend * poses[:, None] * poses[None, :]
    for first, second, axis in ((1, 0, z), (0, 2, y), (2, 1, x)):
        out[first, second] += turn * axis
        out[second, first] -= turn * axis
    for axis_number in range(3):
        out[axis_number, axis_number] -= bend * square
    return out


def _matmul(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product of (3, 3, ...) and (3, 3, ...)."""
    out = left[:, 0, None] * right[None, 0]
    for inner in (1, 2):
        out.addcmul_(left[:, inner, None], right[None, inner])
    return out


def _apply(matrix: Tensor, vector: Tensor) -> Tensor:
    """Product of matrices (3, 3, ...) and vectors (3, ...)."""
    out = matrix[:, 0] * vector[0]
    for inner in (1, 2):
        out.addcmul_(matrix[:, inner], vector[inner])
    return out
