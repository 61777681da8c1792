"""Type aliases of NumPy arrays; shapes stand in the docstrings of what takes them."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]
