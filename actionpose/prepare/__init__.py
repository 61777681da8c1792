"""Converters of motion datasets, run once per source and imported only by the command line.

- `amass/`: AMASS with labels of BABEL, HumanML3D or KIT-ML, to a corpus
- `mocap/`: motion capture files (CMU, HDM05, Bandai-Namco, any BVH), to a corpus
- `paired/`: Human3.6M and MPI-INF-3DHP, to a paired dataset
"""

CORPUS_FPS = 30.0
