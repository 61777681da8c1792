"""Bone vectors of 2D keypoints as features of joints.

The foreshortening of a bone determines its slope in depth up to the sign. The length of a 2D vector
is not linear in the keypoints, so that a small encoder without these features spends layers on
computing it.
"""

from functools import cache

import torch
from torch import Tensor

from actionpose.skeletons import H36M17


def bone_features(keypoints: Tensor) -> Tensor:
    """2D vectors and lengths of two bones per joint.

    The bones connect the joint to its parent and to a child: the spine for the pelvis, and the nose
    for the thorax. Features are 0 if an end of the bone is missing (confidence 0), or if the
    skeleton does not have the bone.

    Args:
        keypoints: (..., 17, 3) x, y and confidence in the order of H36M17.

    Returns:
        (..., 17, 6) x, y and length of the vector from the parent, then from the child, in the
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
    """The parent and the child of each joint, or the joint itself if there is none.

    If there are several children, the one on the midline of the body is used.
    """
    parents, children = list(range(len(H36M17))), list(range(len(H36M17)))
    for child, parent in H36M17.bones:
        parents[child] = parent
        if children[parent] == parent or H36M17.mirror[child] == child:
            children[parent] = child
    return parents, children
