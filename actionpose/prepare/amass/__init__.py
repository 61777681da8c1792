"""AMASS and its annotations into a corpus; `build.prepare` is the entry point.

- `babel.py`, `motion_text.py`: readers of annotations, into the types of `labels.py`
- `sequences.py`: files of AMASS, their true rate, resampling
- `body_models.py`, `smplh.py`: SMPL-H and its kin, and the 17 joints of a posed body
- `workers.py`: one file per sequence, made by many processes
- `build.py`: the corpus and its report; `preflight.py`: a check of all inputs before
"""
