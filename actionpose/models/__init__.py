"""The networks: the pose encoder and the text encoder."""

from actionpose.models.dstformer import PoseEncoder

__all__ = ["PoseEncoder"]
