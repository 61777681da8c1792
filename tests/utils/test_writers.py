"""What a format needs is known before the work."""

import sys

import pytest

from actionpose.utils.errors import UserError
from actionpose.utils.writers import check_packages


def test_check_packages_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    check_packages([".npz", ".csv", ".absent"])
    monkeypatch.setitem(sys.modules, "ezc3d", None)
    with pytest.raises(UserError, match=r"\.c3d files need ezc3d: pip install .*\[export\]"):
        check_packages([".npz", ".c3d"])
