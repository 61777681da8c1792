"""The bones of 2D keypoints as features of the joints at their ends.

How far a bone is foreshortened tells its slope in depth, up to the sign. The length of a 2D vector
is not linear in the keypoints: a small encoder that reads only these spends layers on it.
"""

from functools import cache

import torch
from torch import Tensor

from actionpose.skeletons import H36M17


def bone_features(keypoints: Tensor) -> Tensor:
    """2D vectors of two bones of each joint, and their lengths.

    The bones lead to the joint's parent and to its child: of the pelvis the spine, of the thorax
    the nose. A bone with a missing end, which has confidence 0, is 0, and so is one that the
    skeleton lacks.

    Args:
        keypoints: (..., 17, 3) x, y and confidence in the order of H36M17.

    Returns:
        (..., 17, 6): x, y and length of the vector from the parent, then from the child, in the
        units of the keypoints.
    """
    features = []
    for other in _bone_ends():
        end = keypoints[..., other, :]
        seen = (keypoints[..., 2:] > 0) & (end[..., 2:] > 0)
        vector = (keypoints - end)[..., :2] * seen
        features += [vector, torch.linalg.vector_norm(vector, dim=-1, keepdim=True)]
    return torch.cat(features, dim=-1)


@cache
def _bone_ends() -> tuple[list[int], list[int]]:
    """The parent and the child of each joint; the joint itself where there is none.

    Of several children it is the one on the midline of the body.
    """
    parents, children = list(range(len(H36M17))), list(range(len(H36M17)))
    for child, parent in H36M17.bones:
        parents[child] = parent
        if children[parent] == parent or H36M17.mirror[child] == child:
            children[parent] = child
    return parents, children
