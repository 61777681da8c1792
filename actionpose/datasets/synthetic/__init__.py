"""Procedural human motion with labels, defined by tables.

- `key_poses.txt`, `movements.yaml`: the tables; a new action requires a few rows
- `key_poses.py`, `movements.py`: parsing of the rows
- `animation.py`: movements to channels over time
- `body.py`: articulated body, channels to 17 joint positions
- `generate.py`: random motions, transitions, and the whole dataset
"""
