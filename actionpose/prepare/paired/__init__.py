"""Data sets of 2D keypoints paired with 3D poses, into the format of `datasets/paired.py`.

- `h36m.py`, `mpi_inf_3dhp.py`: a data set each, from the files in circulation
- `validation.py`: checks of units, sides and body sizes
"""
