"""A walk for the tests of postprocessing."""

import pytest
from helpers.results import Array, made_up_walk


@pytest.fixture(scope="session")
def walk() -> Array:
    """(T, 17, 3) meters, world, z up, feet on z = 0."""
    return made_up_walk()
