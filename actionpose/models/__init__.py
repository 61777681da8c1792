"""Networks: the pose encoders and the text encoder."""

from actionpose.models.dstformer import PoseEncoder
from actionpose.models.encoder import Encoder, build_encoder

__all__ = ["Encoder", "PoseEncoder", "build_encoder"]
