"""Joints of a reduced body against a plain full mesh."""

import pickle
import sys
import types

import numpy as np
import pytest
import scipy.sparse
import torch
from helpers.bodies import (
    body_arrays,
    h36m_places,
    mesh,
    regressor,
    spin_regressor,
    write_bodies,
)

from actionpose.prepare.amass.body_models import (
    approximate_regressor,
    load_bodies,
    load_body,
    load_regressor,
)
from actionpose.prepare.amass.smplh import pose_joints, reduce_body
from actionpose.skeletons import H36M17
from actionpose.utils.errors import UserError
from actionpose.utils.safe_pickle import NUMPY, load_pickle


def motion(num_joints, frames=5, seed=0):
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.7, (frames, 3 * num_joints))
    poses[0] = 0  # the rest pose: an angle of 0 divides nothing
    poses[1, 3:6] = (0, np.pi, 0)
    poses[2] *= 1e-9
    return poses, rng.normal(0, 1, 16), rng.normal(0, 3, (frames, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_bodies(tmp_path_factory.mktemp("bodies"))[0]


@pytest.mark.parametrize("local", [True, False], ids=["local", "dense"])
@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx"])
def test_equals_the_full_mesh(tmp_path, kind, local):
    write_bodies(tmp_path, kind)
    body = load_bodies(tmp_path / kind)["female"]
    arrays = dict(np.load(tmp_path / kind / "female" / "model.npz"))
    matrix = regressor(arrays["v_template"], local)
    poses, betas, trans_m = motion(len(body.parents))
    expected = np.einsum("jv,tvc->tjc", matrix, mesh(arrays, poses, betas, trans_m)[0])
    made = reduce_body(body, matrix)
    exact = pose_joints(made, poses, betas, trans_m, torch.float64)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-12)
    fast = pose_joints(made, poses, betas, trans_m)
    np.testing.assert_allclose(fast, expected, rtol=0, atol=1e-6)  # 0.001 mm


def test_exact_for_sums_that_are_not_quite_one(tmp_path):
    """Of a joint's row, and of a vertex's weights: exactness does not hang on tidy files."""
    arrays = body_arrays()
    arrays["weights"] *= np.linspace(0.9995, 1.0005, 300)[:, None]
    np.savez(tmp_path / "model.npz", **arrays)
    body = load_body(tmp_path / "model.npz")
    matrix = regressor(arrays["v_template"]) * np.linspace(0.99, 1.01, 17)[:, None]
    poses, betas, trans_m = motion(52)
    expected = np.einsum("jv,tvc->tjc", matrix, mesh(arrays, poses, betas, trans_m)[0])
    exact = pose_joints(reduce_body(body, matrix), poses, betas, trans_m, torch.float64)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-12)


def test_chunks_do_not_matter(folder):
    body = load_bodies(folder / "smplh")["male"]
    made = reduce_body(body, regressor(body.template_m))
    poses, betas, trans_m = motion(52, frames=2100)
    whole = pose_joints(made, poses, betas, trans_m, torch.float64)
    for part in (slice(0, 3), slice(1000, 1100), slice(2095, 2100)):
        some = pose_joints(made, poses[part], betas, trans_m[part], torch.float64)
        np.testing.assert_allclose(some, whole[part], rtol=0, atol=1e-12)
    assert pose_joints(made, poses[:0], betas, trans_m[:0]).shape == (0, 17, 3)


@pytest.mark.parametrize("given", [1, 10, 16, 300])
def test_betas_of_any_length(folder, given):
    body = load_bodies(folder / "smplh")["male"]
    made = reduce_body(body, regressor(body.template_m))
    poses, _, trans_m = motion(52)
    betas = np.random.default_rng(3).normal(0, 1, given)
    padded = np.zeros(16)
    padded[: min(given, 16)] = betas[:16]
    np.testing.assert_array_equal(
        pose_joints(made, poses, betas, trans_m), pose_joints(made, poses, padded, trans_m)
    )


def test_the_fallback_is_the_models_own_joints(folder):
    body = load_bodies(folder / "smplh")["male"]
    arrays = dict(np.load(folder / "smplh" / "male" / "model.npz"))
    matrix, mix = approximate_regressor(body)
    poses, betas, trans_m = motion(52)
    vertices, joints = mesh(arrays, poses, betas, trans_m)
    expected = np.einsum("jv,tvc->tjc", matrix, vertices) + np.einsum("jk,tkc->tjc", mix, joints)
    exact = pose_joints(reduce_body(body, matrix, mix), poses, betas, trans_m, torch.float64)
    np.testing.assert_allclose(exact, expected, rtol=0, atol=1e-12)
    at = H36M17.joints.index
    np.testing.assert_allclose(exact[:, at("left_knee")], joints[:, 4], atol=1e-12)
    np.testing.assert_allclose(exact[:, at("right_wrist")], joints[:, 21], atol=1e-12)
    np.testing.assert_allclose((matrix.sum(axis=1) + mix.sum(axis=1)), 1)


def test_the_fallback_looks_like_a_person(folder):
    body = load_bodies(folder / "smplh")["female"]
    made = reduce_body(body, *approximate_regressor(body))
    rest = pose_joints(made, np.zeros((1, 156)), np.zeros(16), np.zeros((1, 3)))[0]
    apart = dict(zip(H36M17.joints, np.linalg.norm(rest - h36m_places(), axis=1), strict=True))
    assert max(apart.values()) < 0.25, apart
    limbs = [apart[name] for name in H36M17.joints if name.startswith(("left", "right"))]
    assert max(limbs) < 1e-6


# Files


def test_a_folder_as_it_is_unpacked(folder):
    """DMPL's files lie beside, with the same name; the regressor too."""
    bodies = load_bodies(folder)
    assert sorted(bodies) == ["female", "male"]
    assert bodies["male"].kind == "smplh" and bodies["male"].name == "smplh/male/model.npz"
    assert bodies["male"].parents[0] == -1 and bodies["male"].shape_dirs.shape == (300, 3, 16)
    one = load_bodies(folder / "smplh" / "female" / "model.npz")
    assert sorted(one) == ["female", "male", "neutral"]


def test_dmpl_in_the_place_of_the_body(folder):
    with pytest.raises(UserError, match="is DMPL's file"):
        load_body(folder / "dmpls" / "male" / "model.npz")
    with pytest.raises(UserError, match="no body model for female"):
        load_bodies(folder / "dmpls")


def test_where_to_get_a_body(tmp_path):
    for path in (tmp_path, tmp_path / "nothing", tmp_path / "nothing.npz"):
        with pytest.raises(UserError, match="MANO web site"):
            load_bodies(path)


def write_npz(path, **changes):
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
def test_wrong_bodies(tmp_path, message):
    with pytest.raises(UserError, match=message):
        load_body(write_npz(tmp_path / "model.npz", **WRONG[message]))


def test_two_kinds_in_a_folder(tmp_path):
    write_bodies(tmp_path, "smplh", genders=("male",))
    np.savez(tmp_path / "SMPLX_FEMALE.npz", **body_arrays("smplx"))
    with pytest.raises(UserError, match="mixes smplh and smplx"):
        load_bodies(tmp_path)
    np.savez(tmp_path / "SMPLX_MALE.npz", **body_arrays("smplx"))
    with pytest.raises(UserError, match="two bodies for male"):
        load_bodies(tmp_path)


def test_not_an_archive(tmp_path):
    (tmp_path / "model.npz").write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(UserError, match="cannot be read as an npz archive"):
        load_body(tmp_path / "model.npz")


def same_body(one, two):
    for name in ("template_m", "shape_dirs", "pose_dirs", "joint_regressor", "weights", "parents"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_pickled_bodies(tmp_path, protocol):
    arrays = body_arrays()
    sparse = arrays | {"J_regressor": scipy.sparse.csc_matrix(arrays["J_regressor"])}
    (tmp_path / "SMPLH_MALE.pkl").write_bytes(pickle.dumps(sparse, protocol=protocol))
    loaded = load_bodies(tmp_path)["male"]
    same_body(loaded, load_body(write_npz(tmp_path / "model.npz")))


@pytest.mark.parametrize("protocol", [0, 2])
def test_a_pickle_with_chumpy_in_it_needs_no_chumpy(tmp_path, protocol):
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
    def __reduce__(self):
        return (print, ("this must not be printed",))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_is_named_and_not_run(tmp_path, capsys, protocol):
    path = tmp_path / "SMPLH_MALE.pkl"
    path.write_bytes(pickle.dumps({"v_template": Harmful()}, protocol=protocol))
    with pytest.raises(UserError, match=r"asks for builtins\.print"):
        load_body(path)
    assert capsys.readouterr().out == ""


BOMBS = {
    # memory for places of remembered objects, for one array, for bytes that are not there
    "remembers": b"\x80\x04N" + b"r\xff\xff\xff\x7f" + b".",
    "cannot be read": b"\x80\x05\x96" + (1 << 40).to_bytes(8, "little") + b".",
    "pickle": b"\x80\x02cnumpy.core.multiarray\n_reconstruct\n" + b"garbage",
}


@pytest.mark.parametrize("message", BOMBS)
def test_pickles_that_ask_for_memory(tmp_path, message):
    (tmp_path / "x.pkl").write_bytes(BOMBS[message])
    with pytest.raises(UserError, match=message):
        load_pickle(tmp_path / "x.pkl")


def test_a_huge_array_is_not_made(tmp_path):
    """NumPy's own function would allocate whatever shape a pickle names."""
    content = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR."
    (tmp_path / "x.pkl").write_bytes(content)
    assert load_pickle(tmp_path / "x.pkl").shape == (0,)


def test_size_limit(tmp_path):
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(np.zeros(100)))
    with pytest.raises(UserError, match="more than 100 are not read"):
        load_pickle(tmp_path / "x.pkl", max_bytes=100)
    with pytest.raises(UserError, match=r"asks for numpy\._core\.multiarray\._reconstruct"):
        load_pickle(tmp_path / "x.pkl", allowed={})


@pytest.mark.parametrize("protocol", range(6))
def test_plain_pickles_come_through(tmp_path, protocol):
    content = {
        "array": np.arange(12, dtype=np.float32).reshape(3, 4),
        "columns": np.asfortranarray(np.eye(3)),
        "scalar": np.float64(1.5),
        "table": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "text": ["S1", "é", b"\xff\x00"],
        "set": {1, 2},
    }
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    loaded = load_pickle(tmp_path / "x.pkl", NUMPY)
    assert loaded.keys() == content.keys()
    for name in ("array", "columns", "scalar", "table"):
        np.testing.assert_array_equal(loaded[name], content[name])
        assert loaded[name].dtype == content[name].dtype
    assert (loaded["text"], loaded["set"]) == (content["text"], content["set"])


# Regressors


@pytest.fixture(scope="module")
def body(folder):
    return load_bodies(folder)["female"]


def saved(path, matrix):
    np.save(path, matrix)
    return path


def test_the_right_regressor(tmp_path, body):
    matrix = regressor(body.template_m)
    loaded = load_regressor(saved(tmp_path / "r.npy", matrix.astype(np.float32)), body)
    np.testing.assert_allclose(loaded, matrix, atol=1e-6)


def test_spins_regressor_is_told_by_name(tmp_path, body):
    path = saved(tmp_path / "J_regressor_h36m.npy", spin_regressor(body.template_m))
    with pytest.raises(UserError, match=r"SPIN's.*J_regressor_h36m_correct\.npy of Pose2Mesh"):
        load_regressor(path, body)


def mirrored(matrix):
    return matrix[H36M17.mirror]


def scaled(matrix):
    return matrix * np.where(np.arange(17) == 9, 0.9, 1)[:, None]


def turned_over(matrix):
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
def test_wrong_regressors(tmp_path, body, message):
    path = saved(tmp_path / "r.npy", BAD[message](regressor(body.template_m)))
    with pytest.raises(UserError, match=message):
        load_regressor(path, body)


def test_no_regressor(tmp_path, body):
    with pytest.raises(UserError, match="there is no regressor .*Pose2Mesh"):
        load_regressor(tmp_path / "r.npy", body)
    (tmp_path / "r.npy").write_text("not an array")
    with pytest.raises(UserError, match="cannot be read as an npy file"):
        load_regressor(tmp_path / "r.npy", body)
