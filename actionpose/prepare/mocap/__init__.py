"""Conversion of motion capture files to a corpus.

- `bvh.py`, `asfamc.py`: file formats, to the kinematic trees of `tree.py`
- `joint_map.py`, `joint_maps/`: the points of a file that are the 17 joints, its unit and axes
- `cmu.py`, `hdm05.py`, `bandai.py`, `folder.py`: sources with their texts and splits
- `common.py`: search of files, resampling, and writing of the corpus
"""
