"""Rotations of a kinematic tree."""

import warnings

import numpy as np
from scipy.spatial.transform import Rotation

from actionpose.prepare.mocap.tree import axis_rotation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # how it imports PyGLM is to be deprecated


def test_axis_rotation_agrees_with_scipy() -> None:
    angles = np.array([-200.0, -30, 0, 90, 400])
    for axis, name in enumerate("xyz"):
        expected = Rotation.from_euler(name, angles[:, None], degrees=True).as_matrix()
        np.testing.assert_allclose(axis_rotation(axis, angles), expected, atol=1e-12)
