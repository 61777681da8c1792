"""Changes of video files."""

import struct
from pathlib import Path


def rotated(path: Path, quarters: int) -> Path:
    """Write the matrix of a phone that was held otherwise into the track header of an mp4."""
    data = bytearray(path.read_bytes())
    cos, sin = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarters]
    at = data.index(b"tkhd") + 4 + 40  # version 0: the matrix follows 40 bytes of other fields
    one = 1 << 16
    matrix = (cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    data[at : at + 36] = struct.pack(">9i", *matrix)
    path.write_bytes(data)
    return path
