"""Made-up bodies in the files of SMPL, SMPL-H and SMPL-X, and regressors for them."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

BODY_PARENTS = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]
# rest places of the first 22 joints of a T-pose, meters: left is +x, y up, looking along +z
LEFT = {
    **{1: (0.07, -0.32, -0.01), 4: (0.10, -0.70, -0.02), 7: (0.09, -1.10, -0.05)},
    **{10: (0.12, -1.16, 0.08), 13: (0.07, 0.18, -0.01), 16: (0.18, 0.22, -0.02)},
    **{18: (0.44, 0.21, -0.04), 20: (0.69, 0.21, -0.04)},
}
MIDDLE = {
    **{0: (0, -0.24, 0.0), 3: (0, -0.12, -0.01), 6: (0, 0.02, -0.01), 9: (0, 0.07, 0.01)},
    **{12: (0, 0.28, -0.02), 15: (0, 0.36, 0.02)},
}
TWIN = {1: 2, 4: 5, 7: 8, 10: 11, 13: 14, 16: 17, 18: 19, 20: 21}
# Human3.6M's 17 joints on this body
H36M_PLACES = {
    **{0: (0, -0.28, 0.0), 7: (0, 0.0, 0.0), 8: (0, 0.27, 0.0), 9: (0, 0.36, 0.09)},
    10: (0, 0.50, 0.03),
}
H36M_LEFT = {4: 1, 5: 4, 6: 7, 11: 16, 12: 18, 13: 20}
H36M_RIGHT = {1: 2, 2: 5, 3: 8, 14: 17, 15: 19, 16: 21}


def skeleton(kind: str = "smplh") -> tuple[np.ndarray, np.ndarray]:
    """Parents and rest places of the joints of one kind of model."""
    rest = np.zeros((22, 3))
    for joint, place in {**LEFT, **MIDDLE}.items():
        rest[joint] = place
    for left, right in TWIN.items():
        rest[right] = rest[left] * (-1, 1, 1)
    parents, places = list(BODY_PARENTS), list(rest)

    def add(parent: int, place: Any) -> None:
        parents.append(parent)
        places.append(np.asarray(place))

    if kind == "smpl":
        for wrist, side in ((20, 1), (21, -1)):
            add(wrist, rest[wrist] + (0.08 * side, 0, 0))
    else:
        if kind == "smplx":
            for offset in ((0, -0.02, 0.04), (0.03, 0.05, 0.08), (-0.03, 0.05, 0.08)):
                add(15, rest[15] + offset)
        for wrist, side in ((20, 1), (21, -1)):
            for finger in range(5):
                for knuckle in range(3):
                    parent = wrist if knuckle == 0 else len(parents) - 1
                    reach = (0.08 + 0.025 * knuckle) * side
                    add(parent, rest[wrist] + (reach, 0, 0.02 * (finger - 2)))
    return np.array(parents), np.array(places)


def body_arrays(
    kind: str = "smplh", num_vertices: int = 300, num_shapes: int = 16, seed: int = 0
) -> dict[str, np.ndarray]:
    """The arrays of a body model, by the names its files have.

    Vertices lie around the bones; each follows up to four of them; all directions are random and
    small, so that nothing cancels by accident.
    """
    rng = np.random.default_rng([seed, num_vertices, len(kind)])
    parents, rest = skeleton(kind)
    num_joints = len(parents)
    bone = np.concatenate([np.arange(num_joints), rng.integers(num_joints, size=num_vertices)])
    bone = bone[:num_vertices]
    end = rest[np.maximum(parents[bone], 0)]
    place = rest[bone] + rng.uniform(0, 0.6, (num_vertices, 1)) * (end - rest[bone])
    template = place + rng.normal(0, 0.03, place.shape)
    # the face and the top of the head, so that there is something to find there
    template[15], bone[15] = (0.0, 0.55, 0.02), 15
    distance = np.linalg.norm(template[:, None] - rest, axis=-1)
    nearest = np.argsort(distance, axis=1)[:, :4]
    near = np.exp(-20 * np.take_along_axis(distance, nearest, axis=1))
    weights = np.zeros((num_vertices, num_joints))
    np.put_along_axis(weights, nearest, near / near.sum(axis=1, keepdims=True), axis=1)
    return {
        "v_template": template,
        "f": rng.integers(num_vertices, size=(2 * num_vertices, 3)).astype(np.uint32),
        "shapedirs": rng.normal(0, 0.01, (num_vertices, 3, num_shapes)),
        "posedirs": rng.normal(0, 2e-4, (num_vertices, 3, 9 * (num_joints - 1))),
        "J_regressor": rows_near(rest, template, 8),
        "kintree_table": np.stack([parents, np.arange(num_joints)]).astype(np.uint32),
        "weights": weights,
    }


def rows_near(places: np.ndarray, template: np.ndarray, count: int) -> np.ndarray:
    """Rows that regress places from their nearest vertices, exactly on the template."""
    rows = np.zeros((len(places), len(template)))
    for row, place in zip(rows, places, strict=True):
        near = np.argsort(np.linalg.norm(template - place, axis=1))[:count]
        # least change of equal weights that sums to 1 and hits the place
        system = np.vstack([template[near].T, np.ones(len(near))])
        wrong = np.append(place, 1) - system @ np.full(len(near), 1 / len(near))
        row[near] = 1 / len(near) + np.linalg.pinv(system) @ wrong
    return rows


def h36m_places() -> np.ndarray:
    _, rest = skeleton()
    places = np.zeros((17, 3))
    for joint, place in H36M_PLACES.items():
        places[joint] = place
    for joint, source in {**H36M_LEFT, **H36M_RIGHT}.items():
        places[joint] = rest[source]
    return places


def regressor(template: np.ndarray, local: bool = True) -> np.ndarray:
    """(17, V) in Human3.6M's order; dense: every vertex has a part in every joint."""
    return rows_near(h36m_places(), template, 12 if local else len(template))


def spin_regressor(template: np.ndarray) -> np.ndarray:
    """The same in the order of SPIN's file: left leg first."""
    return regressor(template)[[0, 4, 5, 6, 1, 2, 3, *range(7, 17)]]


def write_bodies(
    folder: Path,
    kind: str = "smplh",
    num_vertices: int = 300,
    genders: tuple[str, ...] = ("female", "male"),
) -> tuple[Path, Path]:
    """A folder as it is unpacked, with the DMPL files that people put beside; and the regressor.

    Returns:
        The folder of the bodies and the file of the regressor.
    """
    made = {gender: body_arrays(kind, num_vertices, seed=i) for i, gender in enumerate(genders)}
    template = made[genders[0]]["v_template"]
    for gender, arrays in made.items():
        (folder / kind / gender).mkdir(parents=True)
        # one topology: the same vertex is at the same part of every body
        arrays |= {name: made[genders[0]][name] for name in ("weights", "J_regressor")}
        arrays["v_template"] = template * (1 if gender == genders[0] else 1.05)
        np.savez(folder / kind / gender / "model.npz", **arrays, bs_style="lbs")
        (folder / "dmpls" / gender).mkdir(parents=True)
        np.savez(folder / "dmpls" / gender / "model.npz", eigvec=np.zeros((num_vertices, 3, 8)))
    np.save(folder / "J_regressor_h36m_correct.npy", regressor(template))
    return folder, folder / "J_regressor_h36m_correct.npy"


def mesh(
    arrays: dict[str, np.ndarray], poses: np.ndarray, betas: np.ndarray, trans_m: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Every vertex of every frame, as SMPL is written down: the oracle. (T, V, 3), (T, J, 3)."""
    parents = arrays["kintree_table"][0].astype(np.int64)
    num_joints = len(parents)
    shaped = arrays["v_template"] + arrays["shapedirs"][..., : len(betas)] @ betas
    rest = arrays["J_regressor"] @ shaped
    vertices, joints = [], []
    for pose, trans in zip(poses, trans_m, strict=True):
        rotations = Rotation.from_rotvec(pose.reshape(-1, 3)).as_matrix()
        posed = shaped + arrays["posedirs"] @ (rotations[1:] - np.eye(3)).ravel()
        world = [None] * num_joints
        for joint in range(num_joints):
            local = np.eye(4)
            local[:3, :3] = rotations[joint]
            local[:3, 3] = rest[joint] - (rest[parents[joint]] if joint else 0)
            world[joint] = local if joint == 0 else world[parents[joint]] @ local
        joints.append(np.array(world)[:, :3, 3] + trans)
        for joint in range(num_joints):
            world[joint] = world[joint].copy()
            world[joint][:3, 3] -= world[joint][:3, :3] @ rest[joint]
        blended = np.einsum("vj,jab->vab", arrays["weights"], np.array(world))
        posed = np.einsum("vab,vb->va", blended[:, :3, :3], posed) + blended[:, :3, 3]
        vertices.append(posed + trans)
    return np.array(vertices), np.array(joints)
