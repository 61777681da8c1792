"""Type aliases of NumPy arrays. Shapes are in the docstrings of functions."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
