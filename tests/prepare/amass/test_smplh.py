"""The 17 joints of a reduced body against a full mesh."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.bodies import (
    body_arrays,
    h36m_places,
    mesh,
    regressor,
    write_bodies,
)

from actionpose.prepare.amass.body_models import (
    approximate_regressor,
    load_bodies,
    load_body,
)
from actionpose.prepare.amass.smplh import pose_joints, reduce_body
from actionpose.skeletons import H36M17


def motion(
    num_joints: int, frames: int = 5, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    poses = rng.normal(0, 0.7, (frames, 3 * num_joints))
    poses[0] = 0  # the rest pose: an angle of 0 divides nothing
    poses[1, 3:6] = (0, np.pi, 0)
    poses[2] *= 1e-9
    return poses, rng.normal(0, 1, 16), rng.normal(0, 3, (frames, 3))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bodies(tmp_path_factory.mktemp("bodies"))[0]


@pytest.mark.parametrize("local", [True, False], ids=["local", "dense"])
@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx"])
def test_pose_joints_equals_the_full_mesh(tmp_path: Path, kind: str, local: bool) -> None:
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


def test_pose_joints_exact_where_sums_are_not_one(tmp_path: Path) -> None:
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


def test_pose_joints_does_not_depend_on_chunks(folder: Path) -> None:
    body = load_bodies(folder / "smplh")["male"]
    made = reduce_body(body, regressor(body.template_m))
    poses, betas, trans_m = motion(52, frames=2100)
    whole = pose_joints(made, poses, betas, trans_m, torch.float64)
    for part in (slice(0, 3), slice(1000, 1100), slice(2095, 2100)):
        some = pose_joints(made, poses[part], betas, trans_m[part], torch.float64)
        np.testing.assert_allclose(some, whole[part], rtol=0, atol=1e-12)
    assert pose_joints(made, poses[:0], betas, trans_m[:0]).shape == (0, 17, 3)


@pytest.mark.parametrize("given", [1, 10, 16, 300])
def test_pose_joints_betas_of_any_length(folder: Path, given: int) -> None:
    body = load_bodies(folder / "smplh")["male"]
    made = reduce_body(body, regressor(body.template_m))
    poses, _, trans_m = motion(52)
    betas = np.random.default_rng(3).normal(0, 1, given)
    padded = np.zeros(16)
    padded[: min(given, 16)] = betas[:16]
    np.testing.assert_array_equal(
        pose_joints(made, poses, betas, trans_m), pose_joints(made, poses, padded, trans_m)
    )


def test_approximate_regressor_is_the_models_own_joints(folder: Path) -> None:
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


def test_approximate_regressor_is_near_the_exact_one(folder: Path) -> None:
    body = load_bodies(folder / "smplh")["female"]
    made = reduce_body(body, *approximate_regressor(body))
    rest = pose_joints(made, np.zeros((1, 156)), np.zeros(16), np.zeros((1, 3)))[0]
    apart = dict(zip(H36M17.joints, np.linalg.norm(rest - h36m_places(), axis=1), strict=True))
    assert max(apart.values()) < 0.25, apart
    limbs = [apart[name] for name in H36M17.joints if name.startswith(("left", "right"))]
    assert max(limbs) < 1e-6
