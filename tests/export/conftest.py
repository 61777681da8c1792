"""Results that are exported."""

import pytest
from helpers.results import people

from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.result import Result


@pytest.fixture
def rubbery() -> Result:
    """One person whose bones change their lengths."""
    return people()


@pytest.fixture(scope="session")
def fixed() -> Result:
    """The same with constant bone lengths."""
    return fix_bone_lengths(people())
