"""Videos of drawn people, and small networks that find their joints by color, for tests.

The networks are true ONNX models, so that boxes, crops and coordinates are tested against where the
joints were drawn.
"""

import itertools
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from actionpose.skeletons import COCO17
from actionpose.video.detectors import OnnxPose

av = pytest.importorskip("av")
onnx = pytest.importorskip("onnx")

SIZE = (192, 256)  # of the networks: width, height


COLORS = np.array([c for c in itertools.product((0, 128, 255), repeat=3) if any(c)])  # 26


BODY = np.random.default_rng(2).permutation([(x, y) for x in range(5) for y in range(6)]) * 22.0


def network(path: Path, joints: int, *, bgr: bool = False) -> Path:
    """A SimCC model whose joint k is where the picture has color k, twice as fine as its input."""
    from onnx import TensorProto, helper, numpy_helper

    mean, deviation = np.array(OnnxPose.MEAN), np.array(OnnxPose.DEVIATION)
    colors = COLORS[:joints, ::-1] if bgr else COLORS[:joints]
    wanted = ((colors - mean) / deviation).astype(np.float32)
    width, height = SIZE
    constants = {
        "weight": (-2 * wanted)[:, :, None, None],
        "bias": (wanted**2).sum(1),
        "sharp": np.float32(-3),
        "axis1": np.array([1]),
        "axis2": np.array([2]),
        "axis3": np.array([3]),
        "twice_x": np.repeat(np.arange(width), 2),
        "twice_y": np.repeat(np.arange(height), 2),
    }
    nodes = [
        helper.make_node("Mul", ["image", "image"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "axis1"], ["square"], keepdims=1),
        helper.make_node("Conv", ["image", "weight", "bias"], ["cross"]),
        helper.make_node("Add", ["square", "cross"], ["distance"]),
        helper.make_node("Mul", ["distance", "sharp"], ["negative"]),
        helper.make_node("Exp", ["negative"], ["likeness"]),
        # small windows see small dots, and the largest has its peak in the middle of a large one
        *(
            helper.make_node(
                *("AveragePool", ["likeness"], [f"map{side}"]),
                kernel_shape=[side, side],
                pads=[side // 2] * 4,
            )
            for side in (3, 7, 13)
        ),
        helper.make_node("Mean", ["map3", "map7", "map13"], ["map"]),
        helper.make_node("ReduceMax", ["map", "axis2"], ["along_x"], keepdims=0),
        helper.make_node("ReduceMax", ["map", "axis3"], ["along_y"], keepdims=0),
        helper.make_node("Gather", ["along_x", "twice_x"], ["simcc_x"], axis=2),
        helper.make_node("Gather", ["along_y", "twice_y"], ["simcc_y"], axis=2),
    ]
    outputs = [("simcc_x", [1, joints, 2 * width]), ("simcc_y", [1, joints, 2 * height])]
    graph = helper.make_graph(
        nodes,
        "blobs",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, height, width])],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in outputs],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def boxes_network(path: Path, boxes: list[tuple[float, ...]]) -> Path:
    """A box model that says the same boxes of any picture, as YOLOX with suppression inside."""
    from onnx import TensorProto, helper, numpy_helper

    said = np.array([[(*box, 0.9) for box in boxes]], dtype=np.float32).reshape(1, -1, 5)
    graph = helper.make_graph(
        [helper.make_node("Identity", ["said"], ["boxes"])],
        "boxes",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 640, 640])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, said.shape)],
        [numpy_helper.from_array(said, "said")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
    return path


def drawn(
    *places: tuple[float, float], joints: int = 17, size: tuple[int, int] = (320, 240)
) -> np.ndarray:
    """A black picture with a person, a dot of 9 px per joint, at each place."""
    image = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    for place in places:
        for (x, y), color in zip(np.round(BODY[:joints] + place).astype(int), COLORS, strict=False):
            image[max(y - 4, 0) : y + 5, max(x - 4, 0) : x + 5] = color
    return image


class WholePicture:
    """A detector for which the picture is full of one person: two joints at its corners."""

    skeleton, fingerprint = COCO17, "whole picture"

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, image: np.ndarray) -> np.ndarray:
        self.asked += 1
        return np.array([[(0, 0, 1), (image.shape[1], image.shape[0], 1)]], dtype=np.float32)

    def close(self) -> None:
        pass


def write_video(
    path: Path, images: Iterable[np.ndarray], times_ms: list[int] | None = None
) -> Path:
    """A lossless video, so that colors stay what they are."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=30)
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, image in enumerate(images):
            if number == 0:
                stream.height, stream.width = image.shape[:2]
                stream.pix_fmt = "bgr0"
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(number * 1000 / 30) if times_ms is None else times_ms[number]
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
