"""Errors of frames: MotionBERT's numbers, windows that overlap, videos that end."""

from pathlib import Path

import numpy as np
from helpers.synthetic_fixtures import to_3dhp

from actionpose.evaluation.protocols import PAPER14, frame_errors, h36m_indices
from actionpose.geometry.camera import mirror

REFERENCE = np.load(Path(__file__).parents[1] / "reference_outputs" / "losses.npz")


def test_frame_errors_and_mirror_equal_those_of_motionbert() -> None:
    pred, truth = REFERENCE["pred"], REFERENCE["gt"]
    errors = frame_errors([(np.arange(9), pred[0])], truth[0], np.zeros(9, int))
    np.testing.assert_allclose(errors.p_mpjpe_mm, REFERENCE["p_mpjpe_per_frame"], rtol=1e-6)
    np.testing.assert_array_equal(mirror(pred), REFERENCE["flip"])


def test_reference_losses_are_the_shared_ones(parity_data: Path) -> None:
    shared = np.load(parity_data / "losses.npz")
    assert set(shared.files) == set(REFERENCE.files)
    for name in REFERENCE.files:
        np.testing.assert_array_equal(shared[name], REFERENCE[name])


def test_frame_errors_average_windows_and_keep_videos_apart() -> None:
    truth = np.zeros((4, 17, 3))
    pred = np.zeros((2, 17, 3))
    pred[0, 1:, 0], pred[1, 1:, 0] = 17, 34  # mm: 16 of 17 joints
    rows = np.array([1, 2])
    errors = frame_errors([(rows, pred), (rows, 3 * pred)], truth, np.array([0, 0, 1, 1]))
    assert errors.rows.tolist() == [1, 2]
    np.testing.assert_allclose(errors.mpjpe_mm, [32, 64])
    assert np.isnan(errors.mpjve_mm).all()
    same = frame_errors([(rows, pred)], truth, np.zeros(4, int))
    np.testing.assert_allclose(same.mpjve_mm, [np.nan, 16])


def test_frame_errors_ignore_batches() -> None:
    rng = np.random.default_rng(4)
    truth = rng.normal(0, 300, (9000, 17, 3))
    pred = truth + rng.normal(0, 50, truth.shape)
    rows, one = np.arange(9000), np.zeros(9000, int)
    whole = frame_errors([(rows, pred)], truth, one)
    parts = frame_errors(
        [(rows[i : i + 7], pred[i : i + 7]) for i in range(0, 9000, 7)], truth, one
    )
    np.testing.assert_array_equal(whole.mpjpe_mm, parts.mpjpe_mm)
    np.testing.assert_allclose(whole.mpjve_mm, parts.mpjve_mm, rtol=1e-12)
    np.testing.assert_allclose(whole.p_mpjpe_mm, parts.p_mpjpe_mm, rtol=1e-9)


def test_paper14_are_the_first_14_joints_of_the_dataset() -> None:
    numbers = to_3dhp(np.eye(17)[None])[0]  # row k: the 3DHP joint k, as its place in H36M17
    assert [int(row.argmax()) for row in numbers[:14]] == h36m_indices(PAPER14)
