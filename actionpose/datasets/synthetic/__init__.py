"""Procedural human motion with labels, made of tables.

- `key_poses.txt`, `movements.yaml`: the tables; a new action is a few rows
- `key_poses.py`, `movements.py`: what a row means
- `animation.py`: movements to channels over time
- `body.py`: a jointed body, from channels to 17 joint positions
- `generate.py`: random motions, transitions, and the whole data set
"""
