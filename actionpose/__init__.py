"""actionpose: 2D keypoints to 3D human motion, with an encoder that knows the action."""
