"""Whether the fused kernels can be compiled here."""

import os
import shutil

import pytest

COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(
    not (COMPILER and shutil.which(COMPILER)), reason="no C++ compiler"
)
