"""Whether the fused kernels can be compiled here."""

import pytest

from actionpose.models.ops.fused_block import library
from actionpose.utils.errors import UserError


def _can_compile() -> bool:
    try:
        library()
    except UserError:
        return False
    return True


needs_compiler = pytest.mark.skipif(not _can_compile(), reason="no C++ compiler that works")
