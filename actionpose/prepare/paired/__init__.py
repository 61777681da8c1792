"""Conversion of datasets with 2D keypoints and 3D poses to the format of `datasets/paired.py`.

- `h36m.py`, `mpi_inf_3dhp.py`: one dataset each, from commonly used files
- `validation.py`: checks of units, sides and body sizes
"""
