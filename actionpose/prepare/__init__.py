"""Converters of motion data sets, run once per source and imported only by the command line.

- `amass/`: AMASS with the labels of BABEL, HumanML3D or KIT-ML, into a corpus
- `mocap/`: motion capture files (CMU, HDM05, Bandai-Namco, any BVH), into a corpus
- `paired/`: Human3.6M and MPI-INF-3DHP, into a paired data set
"""

CORPUS_FPS = 30.0
