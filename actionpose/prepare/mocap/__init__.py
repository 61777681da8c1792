"""Motion capture files into a corpus.

- `bvh.py`, `asfamc.py`: file formats, into the kinematic trees of `tree.py`
- `joint_map.py`, `joint_maps/`: which points of a file are the 17 joints, its unit and axes
- `cmu.py`, `hdm05.py`, `bandai.py`, `folder.py`: a source each, with its texts and splits
- `common.py`: finding files, resampling, and writing the corpus
"""
