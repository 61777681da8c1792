"""Files of body models and regressors, and every way they can be wrong."""

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse
from helpers.bodies import (
    body_arrays,
    regressor,
    spin_regressor,
    write_bodies,
)

from actionpose.prepare.amass.body_models import (
    BodyModel,
    load_bodies,
    load_body,
    load_regressor,
)
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bodies(tmp_path_factory.mktemp("bodies"))[0]


def test_load_bodies_of_an_unpacked_folder(folder: Path) -> None:
    """DMPL's files lie beside, with the same name; the regressor too."""
    bodies = load_bodies(folder)
    assert sorted(bodies) == ["female", "male"]
    assert bodies["male"].kind == "smplh" and bodies["male"].name == "smplh/male/model.npz"
    assert bodies["male"].parents[0] == -1 and bodies["male"].shape_dirs.shape == (300, 3, 16)
    one = load_bodies(folder / "smplh" / "female" / "model.npz")
    assert sorted(one) == ["female", "male", "neutral"]


def test_load_body_names_dmpl(folder: Path) -> None:
    with pytest.raises(UserError, match="is DMPL's file"):
        load_body(folder / "dmpls" / "male" / "model.npz")
    with pytest.raises(UserError, match="no body model for female"):
        load_bodies(folder / "dmpls")


def test_load_bodies_names_the_source(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nothing.npz"):
        with pytest.raises(UserError, match="MANO web site"):
            load_bodies(path)


def write_npz(path: Path, **changes: np.ndarray | None) -> Path:
    arrays = body_arrays() | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


WRONG = {
    "has no posedirs": {"posedirs": None},
    "has no v_template": {"v_template": None},
    "posedirs has shape": {"posedirs": np.zeros((300, 3, 207))},
    "J_regressor has shape": {"J_regressor": np.zeros((24, 300))},
    "weights of a vertex": {"weights": np.full((300, 52), 0.5)},
    "has 16 joints": {"weights": np.full((300, 16), 1 / 16)},
    "shapedirs is not finite": {"shapedirs": np.full((300, 3, 16), np.nan)},
    "parents before": {"kintree_table": np.zeros((2, 52), np.uint32) + 51},
    "v_template cannot be read": {"v_template": np.array([{}] * 300)},
}


@pytest.mark.parametrize("message", WRONG)
def test_load_body_names_what_is_wrong(tmp_path: Path, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_body(write_npz(tmp_path / "model.npz", **WRONG[message]))


def test_load_bodies_refuses_two_kinds(tmp_path: Path) -> None:
    write_bodies(tmp_path, "smplh", genders=("male",))
    np.savez(tmp_path / "SMPLX_FEMALE.npz", **body_arrays("smplx"))
    with pytest.raises(UserError, match="mixes smplh and smplx"):
        load_bodies(tmp_path)
    np.savez(tmp_path / "SMPLX_MALE.npz", **body_arrays("smplx"))
    with pytest.raises(UserError, match="two bodies for male"):
        load_bodies(tmp_path)


def test_load_body_refuses_a_damaged_archive(tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match="cannot be read as an npz archive"):
        load_body(tmp_path / "model.npz")


def check_same_body(one: BodyModel, two: BodyModel) -> None:
    for name in ("template_m", "shape_dirs", "pose_dirs", "joint_regressor", "weights", "parents"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_load_bodies_from_pickles(tmp_path: Path, protocol: int) -> None:
    arrays = body_arrays()
    sparse = arrays | {"J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"])}
    (tmp_path / "SMPLH_MALE.pkl").write_bytes(pickle.dumps(sparse, protocol=protocol))
    loaded = load_bodies(tmp_path)["male"]
    check_same_body(loaded, load_body(write_npz(tmp_path / "model.npz")))


@pytest.mark.parametrize("protocol", [0, 2])
def test_load_bodies_chumpy_pickle_without_chumpy(tmp_path: Path, protocol: int) -> None:
    """SMPL's own pickles wrap arrays in classes of a package that no longer installs."""

    class Ch:
        pass

    class Select:
        pass

    chumpy = types.ModuleType("chumpy")
    for cls, name in ((Ch, "ch"), (Select, "reordering")):
        module = types.ModuleType(f"chumpy.{name}")
        cls.__module__, cls.__qualname__ = module.__name__, cls.__name__
        setattr(module, cls.__name__, cls)
        sys.modules[module.__name__] = module
    sys.modules["chumpy"] = chumpy
    try:
        arrays = body_arrays("smpl", num_shapes=10)
        wide = Ch()
        wide.__dict__ |= {"x": np.pad(arrays["shapedirs"], [(0, 0), (0, 0), (0, 290)])}
        wide.__dict__ |= {"_dirty_vars": {"x"}, "_itr": None}
        picked = Select()
        places = np.arange(300 * 3 * 300).reshape(300, 3, 300)[..., :10].ravel()
        picked.__dict__ |= {"a": wide, "idxs": places, "preferred_shape": (300, 3, 10)}
        content = pickle.dumps(arrays | {"shapedirs": picked}, protocol=protocol)
    finally:
        for name in ("chumpy", "chumpy.ch", "chumpy.reordering"):
            del sys.modules[name]
    (tmp_path / "basicModel_m_lbs_10_207_0_v1.0.0.pkl").write_bytes(content)
    body = load_bodies(tmp_path)["male"]
    np.testing.assert_array_equal(body.shape_dirs, arrays["shapedirs"])


class Harmful:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("this must not be printed",))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_load_body_does_not_run_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], protocol: int
) -> None:
    path = tmp_path / "SMPLH_MALE.pkl"
    path.write_bytes(pickle.dumps({"v_template": Harmful()}, protocol=protocol))
    with pytest.raises(UserError, match=r"asks for builtins\.print"):
        load_body(path)
    assert capsys.readouterr().out == ""


@pytest.fixture(scope="module")
def body(folder: Path) -> BodyModel:
    return load_bodies(folder)["female"]


def saved(path: Path, matrix: np.ndarray) -> Path:
    np.save(path, matrix)
    return path


def test_load_regressor(tmp_path: Path, body: BodyModel) -> None:
    matrix = regressor(body.template_m)
    loaded = load_regressor(saved(tmp_path / "r.npy", matrix.astype(np.float32)), body)
    np.testing.assert_allclose(loaded, matrix, atol=1e-6)


def test_load_regressor_names_spins_file(tmp_path: Path, body: BodyModel) -> None:
    path = saved(tmp_path / "J_regressor_h36m.npy", spin_regressor(body.template_m))
    with pytest.raises(UserError, match=r"SPIN's.*J_regressor_h36m_correct\.npy of Pose2Mesh"):
        load_regressor(path, body)


def mirrored(matrix: np.ndarray) -> np.ndarray:
    return matrix[H36M17.mirror]


def scaled(matrix: np.ndarray) -> np.ndarray:
    return matrix * np.where(np.arange(17) == 9, 0.9, 1)[:, None]


def turned_over(matrix: np.ndarray) -> np.ndarray:
    return matrix[[0, 3, 2, 1, 6, 5, 4, *range(7, 17)]]


BAD = {
    "left and right swapped": mirrored,
    r"row 9 \(nose\) sums to 0\.900": scaled,
    "from ankle to head": turned_over,
    r"shape \(14, 300\)": lambda matrix: matrix[:14],
    r"shape \(17, 299\)": lambda matrix: matrix[:, 1:],
    "does not hold numbers": lambda matrix: np.full((17, 300), "x"),
    r"row 3 \(right_ankle\) sums to nan": lambda m: np.where(
        np.arange(17)[:, None] == 3, np.nan, m
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_load_regressor_names_what_is_wrong(tmp_path: Path, body: BodyModel, message: str) -> None:
    path = saved(tmp_path / "r.npy", BAD[message](regressor(body.template_m)))
    with pytest.raises(UserError, match=message):
        load_regressor(path, body)


def test_load_regressor_names_a_missing_file(tmp_path: Path, body: BodyModel) -> None:
    with pytest.raises(UserError, match="there is no regressor .*Pose2Mesh"):
        load_regressor(tmp_path / "r.npy", body)
    (tmp_path / "r.npy").write_text("not an array")
    with pytest.raises(UserError, match="cannot be read as an npy file"):
        load_regressor(tmp_path / "r.npy", body)
