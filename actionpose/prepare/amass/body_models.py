"""Body models (SMPL, SMPL-H, SMPL-X) and joint regressors, read from their common file formats.

Neither is part of this project: users must register for them.
"""

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.numpy_files import NpzReader, load_npy
from actionpose.utils.safe_pickle import NUMPY, Kept, load_pickle
from actionpose.utils.typing import Array

# required arrays with their number of axes
_KEYS = {
    **{"v_template": 2, "shapedirs": 3, "posedirs": 3},
    **{"J_regressor": 2, "kintree_table": 2, "weights": 2},
}
GENDERS = ("female", "male", "neutral")
KINDS = {24: "smpl", 52: "smplh", 55: "smplx"}  # by the number of joints
NAMES = {"smpl": "SMPL", "smplh": "SMPL-H", "smplx": "SMPL-X"}
_MAX_BYTES = 2 << 30
_MAX_SHAPES = 300  # expressions follow in SMPL-X
WHERE_BODY = (
    "get the extended SMPL+H model (16 shape coefficients) from the MANO web site, after "
    "registering, and give the folder with male/model.npz and female/model.npz"
)
WHERE_REGRESSOR = (
    "the right file is J_regressor_h36m_correct.npy of Pose2Mesh's data "
    "(17 x 6890, in the order of Human3.6M)"
)

# joints that SMPL, SMPL-H and SMPL-X share, in their order
SMPL_BODY = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2"),
    *("left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck"),
    *("left_collar", "right_collar", "head", "left_shoulder", "right_shoulder"),
    *("left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)


@dataclass(frozen=True)
class BodyModel:
    """A body model with V vertices, J joints and S shape coefficients; meters, y up, left is +x."""

    name: str
    kind: str  # smpl, smplh, smplx
    template_m: Array  # (V, 3)
    shape_dirs: Array  # (V, 3, S)
    pose_dirs: Array  # (V, 3, 9 (J - 1)) last axis: joint, then entry of R - 1
    joint_regressor: Array  # (J, V)
    weights: Array  # (V, J)
    parents: NDArray[np.intp]  # (J,) parents precede children; -1 for the root


def load_bodies(path: Path | str) -> dict[str, BodyModel]:
    """Load the body models of a folder by gender; a single file is used for all genders.

    Raises:
        UserError: If there are none, they are of several kinds, or a file is invalid.
    """
    path = Path(path)
    if path.is_file():
        body = load_body(path)
        return dict.fromkeys(GENDERS, body)
    if not path.is_dir():
        raise UserError(f"there is no body model {path}: {WHERE_BODY}")
    found: dict[str, Path] = {}
    for file in sorted(path.rglob("*.npz")) + sorted(path.rglob("*.pkl")):
        gender = _gender_of(file.relative_to(path))
        if gender is None or _is_dmpl(file):
            continue
        if gender in found:
            raise UserError(
                f"{path} holds two bodies for {gender}, {found[gender]} and {file}: give the "
                "folder of one model only"
            )
        found[gender] = file
    if not found:
        raise UserError(f"{path} holds no body model for female, male or neutral: {WHERE_BODY}")
    bodies = {gender: load_body(file) for gender, file in sorted(found.items())}
    kinds = {body.kind for body in bodies.values()}
    if len(kinds) > 1:
        raise UserError(f"{path} mixes {' and '.join(sorted(kinds))}: give the folder of one")
    return bodies


def _gender_of(file: Path) -> str | None:
    words = [word for part in file.parts for word in re.split(r"[^a-z]+", part.lower())]
    short = {"f": "female", "m": "male", "n": "neutral"}  # as in basicModel_f_lbs_10_207_0
    for word in reversed(words):
        if word in GENDERS or word in short:
            return short.get(word, word)
    return None


def _is_dmpl(file: Path) -> bool:
    if file.suffix != ".npz" or not zipfile.is_zipfile(file):
        return False
    with zipfile.ZipFile(file) as archive:
        return "eigvec.npy" in archive.namelist()


def load_body(path: Path | str) -> BodyModel:
    """Load a body model: `model.npz` of SMPL-H, `SMPLX_*.npz`, or a pickle of any of them.

    Raises:
        UserError: If an array is missing or invalid; names it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no body model {path}: {WHERE_BODY}")
    if _is_dmpl(path):
        raise UserError(
            f"{path} is DMPL's file (soft tissue), which is not needed; the body is the other "
            "model.npz, in the archive of SMPL-H"
        )
    arrays = _read_arrays(path)
    num_vertices, num_joints = arrays["weights"].shape
    if num_joints not in KINDS:
        raise UserError(
            f"{path} has {num_joints} joints; SMPL has 24, SMPL-H 52 and SMPL-X 55: {WHERE_BODY}"
        )
    shapes = {
        "v_template": (num_vertices, 3),
        "weights": (num_vertices, num_joints),
        "J_regressor": (num_joints, num_vertices),
        "posedirs": (num_vertices, 3, 9 * (num_joints - 1)),
        "shapedirs": (num_vertices, 3, arrays["shapedirs"].shape[-1]),
        "kintree_table": (2, num_joints),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise UserError(f"{path}: {name} has shape {arrays[name].shape}, not {shape}")
        if not np.isfinite(arrays[name]).all():
            raise UserError(f"{path}: {name} is not finite; get the file again")
    # the parent of the root is 2^32 - 1, which is -1 in the original type
    parents = np.array([-1, *arrays["kintree_table"][0, 1:].astype(np.int64)], dtype=np.intp)
    if not all(0 <= parent < child for child, parent in enumerate(parents) if child):
        raise UserError(f"{path}: kintree_table does not list parents before their children")
    if np.abs(arrays["weights"].sum(axis=1) - 1).max() > 1e-3:
        raise UserError(f"{path}: the skinning weights of a vertex do not sum to 1")
    return BodyModel(
        name=str(Path(*path.parts[-3:])),
        kind=KINDS[num_joints],
        template_m=arrays["v_template"],
        shape_dirs=arrays["shapedirs"],
        pose_dirs=arrays["posedirs"],
        joint_regressor=arrays["J_regressor"],
        weights=arrays["weights"],
        parents=parents,
    )


_SPARSE = {
    f"scipy.sparse.{module}{cls}": Kept
    for cls in ("csc_matrix", "csr_matrix")
    for module in ("", "csc.", "csr.", "_csc.", "_csr.")
}
# pickles of SMPL need chumpy, which can no longer be installed; only its arrays are needed
_CHUMPY = {
    "chumpy.ch.Ch": Kept,
    "chumpy.reordering.Select": Kept,
}


def _read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a body model by their names in the file, in float64."""
    if path.suffix == ".pkl":
        loaded = load_pickle(path, {**NUMPY, **_SPARSE, **_CHUMPY}, max_bytes=_MAX_BYTES)
        if not isinstance(loaded, dict):
            raise UserError(f"{path} holds {type(loaded).__name__}, not a body model")
        names = [str(key) for key in loaded]
    else:
        with NpzReader(path, _MAX_BYTES) as archive:
            names = archive.names
            loaded = {name: archive.read(name) for name in _KEYS if name in names}
    arrays: dict[str, Array] = {}
    for name, axes in _KEYS.items():
        if name not in loaded:
            raise UserError(
                f"{path} has no {name}, only {', '.join(sorted(names)[:8])}: it is not a body "
                f"model; {WHERE_BODY}"
            )
        try:
            array = np.asarray(_unwrap(loaded[name]))
        except (KeyError, IndexError, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise UserError(f"{path}: {name} cannot be read: {error!r}") from error
        if array.dtype.kind not in "iuf":
            raise UserError(f"{path}: {name} holds {array.dtype}, not numbers")
        if array.ndim != axes:
            raise UserError(f"{path}: {name} has shape {array.shape}, not {axes} axes")
        arrays[name] = array.astype(np.float64)
    arrays["shapedirs"] = arrays["shapedirs"][..., :_MAX_SHAPES]
    return arrays


def _unwrap(value: Any) -> Any:
    """The array of a replaced sparse matrix or chumpy object."""
    if not isinstance(value, Kept):
        return value
    state = value.state
    if "indptr" in state:
        shape = state["_shape"] if "_shape" in state else state["shape"]
        parts = (state["data"], state["indices"], state["indptr"])
        by_rows = len(state["indptr"]) == shape[0] + 1 and shape[0] != shape[1]
        make = scipy.sparse.csr_matrix if by_rows else scipy.sparse.csc_matrix
        return make(parts, shape=shape).toarray()
    if "idxs" in state:
        chosen = np.asarray(_unwrap(state["a"])).ravel()[np.asarray(state["idxs"])]
        return chosen.reshape(state.get("preferred_shape", chosen.shape))
    return _unwrap(state["x"])


def load_regressor(path: Path | str, body: BodyModel) -> Array:
    """Load a regressor of the 17 joints of Human3.6M, and check its order on the body template.

    Returns:
        (17, V) Regressor.

    Raises:
        UserError: If the shape is wrong, rows do not sum to 1, or joints have another order, such
            as in SPIN's file, in which left and right legs are swapped.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"there is no regressor {path}: {WHERE_REGRESSOR}")
    regressor = load_npy(path)
    shape = (len(H36M17), len(body.template_m))
    if regressor.dtype.kind != "f":
        raise UserError(f"{path} does not hold numbers: {WHERE_REGRESSOR}")
    if regressor.shape != shape:
        raise UserError(
            f"{path} has shape {regressor.shape}; {body.name} needs {shape}: {WHERE_REGRESSOR}"
        )
    sums = regressor.sum(axis=1)
    if not np.abs(sums - 1).max() < 0.02:
        worst = int(np.abs(np.nan_to_num(sums, nan=9) - 1).argmax())
        raise UserError(
            f"{path}: row {worst} ({H36M17.joints[worst]}) sums to {sums[worst]:.3f}, not 1; "
            f"{WHERE_REGRESSOR}"
        )
    regressor = regressor.astype(np.float64)
    _check_order(path, regressor @ body.template_m)
    return regressor


def _check_order(path: Path, rest_m: Array) -> None:
    """Check the order of joints on a template, with left +x, up +y and forward +z."""
    at = dict(zip(H36M17.joints, rest_m, strict=True))

    def swapped(*parts: str) -> bool:
        return sum(at[f"left_{part}"][0] - at[f"right_{part}"][0] for part in parts) < 0

    legs, arms = swapped("hip", "knee", "ankle"), swapped("shoulder", "elbow", "wrist")
    if legs and not arms:
        raise UserError(
            f"{path} has the left leg in rows 1 to 3 and the right one in 4 to 6: this is the "
            f"order of SPIN's J_regressor_h36m.npy; {WHERE_REGRESSOR}"
        )
    if legs or arms:
        raise UserError(f"{path} has left and right swapped: {WHERE_REGRESSOR}")
    chain = ("right_ankle", "right_knee", "right_hip", "spine", "thorax", "head")
    heights = [float(at[name][1]) for name in chain]
    if heights != sorted(heights) or at["nose"][1] < at["thorax"][1]:
        raise UserError(
            f"{path}: its rows are not the joints of Human3.6M from ankle to head in their order; "
            f"{WHERE_REGRESSOR}"
        )


def approximate_regressor(body: BodyModel) -> tuple[Array, Array]:
    """Approximate the joints of Human3.6M without a regressor, with errors of some centimeters.

    Limbs are joints of the model, the thorax is its neck, and the spine is the midpoint of pelvis
    and thorax. Nose and head are the foremost and the highest vertex of the head of the template.

    Returns:
        Regressor (17, V) and joint mix (17, J), see `smplh.reduce_body`.
    """
    regressor = np.zeros((len(H36M17), len(body.template_m)))
    mix = np.zeros((len(H36M17), len(body.parents)))
    sources: dict[str, tuple[str, ...]] = {
        name: (name,) for name in H36M17.joints if name in SMPL_BODY and name != "head"
    }
    sources |= {"pelvis": ("left_hip", "right_hip"), "thorax": ("neck",)}
    sources["spine"] = ("left_hip", "right_hip", "neck", "neck")
    for name, parts in sources.items():
        for part in parts:
            mix[H36M17.joints.index(name), SMPL_BODY.index(part)] += 1 / len(parts)
    head = body.weights[:, SMPL_BODY.index("head")]
    on_head = np.flatnonzero(head > 0.5 * head.max())
    template = body.template_m[on_head]
    regressor[H36M17.joints.index("nose"), on_head[template[:, 2].argmax()]] = 1
    regressor[H36M17.joints.index("head"), on_head[template[:, 1].argmax()]] = 1
    return regressor, mix
