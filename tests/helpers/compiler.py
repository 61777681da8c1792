"""What engines need that is not on every machine."""

import os
import shutil

import pytest

COMPILER = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(
    not (COMPILER and shutil.which(COMPILER)), reason="no C++ compiler"
)

needs_openvino = pytest.mark.skipif(
    "ONEDNN_MAX_CPU_ISA" in os.environ, reason="OpenVINO crashes where ONEDNN_MAX_CPU_ISA is set"
)
