"""Conversion of AMASS with annotations to a corpus; `build.prepare` is the entry point.

- `babel.py`, `motion_text.py`: readers of annotations, to the types of `labels.py`
- `sequences.py`: files of AMASS, their true frame rate, resampling
- `body_models.py`, `smplh.py`: SMPL-H and related models, and the 17 joints of a posed body
- `workers.py`: one file per sequence, created by several processes
- `build.py`: the corpus and its report; `preflight.py`: a check of all inputs
"""
