"""Axes, the words for them, and the rotations between them."""

import numpy as np
import pytest

from actionpose.geometry.axes import Axes


def test_rotations_by_hand() -> None:
    np.testing.assert_array_equal(Axes.CAMERA.rotation_to(Axes.Y_UP), np.diag([1, -1, -1]))
    np.testing.assert_array_equal(Axes.Z_UP.rotation_to(Axes.Y_UP) @ [1, 2, 3], [1, 3, -2])


@pytest.mark.parametrize("source", Axes)
@pytest.mark.parametrize("target", Axes)
def test_rotation_and_back(source: Axes, target: Axes) -> None:
    rotation = source.rotation_to(target)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_array_equal(target.rotation_to(source) @ rotation, np.eye(3))


def test_words_are_those_of_0_1() -> None:
    assert Axes.CAMERA.words == "x right, y down, z away from the camera"
    assert Axes.Y_UP.words == "x right, y up, z towards the camera"
    assert Axes.Z_UP.words == "x right, y away from the camera, z up"
