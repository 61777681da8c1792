"""Files changed in their structure are read, or refused in a sentence; nothing else is raised.

ACTIONPOSE_FUZZ sets the number of inputs for each reader; tools/fuzz_readers.py counts failures.
"""

import os
import random
from pathlib import Path

import pytest
from helpers.untrusted_case import Case
from helpers.untrusted_files import READERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actionpose.utils.errors import UserError

NUM_INPUTS = int(os.environ.get("ACTIONPOSE_FUZZ", "50"))


@pytest.mark.parametrize("name", READERS)
def test_changed_files_are_read_or_refused(name: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers") if name == "text_encoder" else None
    case = Case(READERS[name], tmp_path / "case")

    @settings(
        max_examples=NUM_INPUTS,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**32 - 1))
    def check(seed: int) -> None:
        try:
            case.attempt(random.Random(seed))
        except UserError as error:
            assert len(str(error)) <= 2000 and "\n" not in str(error)

    check()
