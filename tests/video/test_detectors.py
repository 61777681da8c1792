"""Detectors on real pictures, and small networks that find joints by their color.

The latter are true ONNX models, so that boxes, crops and coordinates are tested against where the
joints were drawn, on videos that are made here.
"""

import itertools
import warnings
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from actionpose.skeletons import COCO17, HALPE26, MEDIAPIPE33
from actionpose.utils.errors import UserError
from actionpose.video.decoding import VideoReader
from actionpose.video.detectors import MediaPipe, OnnxPose, RtmLib, available, make_detector
from actionpose.video.pose_estimation import estimate_poses
from actionpose.video.source import is_keypoint_file, read_source

av = pytest.importorskip("av")
pytest.importorskip("mediapipe")
pytest.importorskip("onnxruntime")
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


def drawn(*places: tuple[float, float], joints: int = 17, size=(320, 240)) -> np.ndarray:
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


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network(tmp_path_factory.mktemp("models") / "pose.onnx", 17)


def film(path: Path, images: Iterator[np.ndarray] | list[np.ndarray], times_ms=None) -> Path:
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


def test_onnx_joints_are_where_they_were_drawn(model_file: Path) -> None:
    detector = OnnxPose(model_file, WholePicture())
    for place in ((30, 40), (34, 44), (180, 90), (36, 46)):
        people = detector.detect(drawn(place))
        assert people.shape == (1, 17, 3) and people.dtype == np.float32
        assert np.abs(people[0, :, :2] - (BODY[:17] + place)).max() < 4
        assert (people[0, :, 2] > 0.4).all()
    assert "pose.onnx" in detector.fingerprint and "sha256" in detector.fingerprint


def test_onnx_follows_its_own_box_and_looks_again_when_it_lost_the_person(
    model_file: Path,
) -> None:
    finder = WholePicture()
    detector = OnnxPose(model_file, finder)
    counts = []
    for place in ((30, 40), (34, 44), (38, 40), None, None, (200, 100), (203, 100)):
        image = drawn(place) if place else np.zeros((240, 320, 3), dtype=np.uint8)
        assert len(detector.detect(image)) == (place is not None)
        counts.append(finder.asked)
    assert counts == [1, 1, 1, 2, 3, 4, 4]


def test_rtmlib_gives_everybody_and_nobody(tmp_path: Path) -> None:
    pytest.importorskip("rtmlib")
    pose = network(tmp_path / "pose.onnx", 26, bgr=True)
    places = [(30, 60), (400, 120)]
    two = [(x - 10, y - 10, x + 100, y + 130) for x, y in places]
    detector = RtmLib(boxes_network(tmp_path / "two.onnx", two), pose)
    people = detector.detect(drawn(*places, joints=26, size=(640, 640)))
    assert people.shape == (2, 26, 3) and detector.skeleton is HALPE26
    for person, place in zip(people, places, strict=True):
        assert np.abs(person[:, :2] - (BODY[:26] + place)).max() < 4
    nobody = RtmLib(boxes_network(tmp_path / "none.onnx", []), pose)
    assert nobody.detect(drawn(*places)).shape == (0, 26, 3)


def test_estimate_poses_keeps_times_and_gaps(model_file: Path, tmp_path: Path) -> None:
    """Uneven times, an absence, and the keypoints where they were drawn."""
    times_ms = np.cumsum([0, *([33, 70] * 12)])[:20].tolist()
    ways = [(30 + 4 * n, 60) for n in range(20)]
    images = [drawn(p) if not 8 <= n < 11 else drawn() for n, p in enumerate(ways)]
    path = film(tmp_path / "a.mkv", images, times_ms)
    done: list[int] = []
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()), progress=done.append)
    assert sum(done) == found.num_frames == 20 and found.num_persons == 1
    assert np.flatnonzero(~found.valid[0]).tolist() == [8, 9, 10]
    np.testing.assert_allclose(found.times_s, np.array(times_ms) / 1000, atol=1e-3)
    assert found.rate_source == "file, uneven"
    assert (found.image_size, found.source) == ((320, 240), "a.mkv")
    for frame in (0, 7, 19):
        error = found.keypoints_px[0, frame, :, :2] - (BODY[:17] + ways[frame])
        assert np.abs(error).max() < 4
    with VideoReader(path) as video:
        given = estimate_poses(video, OnnxPose(model_file, WholePicture()), fps=120)
    assert (given.fps, given.rate_source, given.time_s) == (120, "given", None)


def test_even_times_are_a_rate(model_file: Path, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", [drawn((30, 60))] * 10)  # times in whole milliseconds
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()))
    assert found.fps == pytest.approx(30) and found.time_s is None and found.complete


def test_one_picture_is_a_pose_and_says_so(model_file: Path, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mkv", [drawn((30, 60))])
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()))
    assert found.num_frames == 1 and "one frame only" in found.notes[0]


def test_what_was_decoded_of_a_cut_video_is_kept_and_marked(
    model_file: Path, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mkv", [drawn((30 + n, 60)) for n in range(90)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with VideoReader(path) as video:
        found = estimate_poses(video, OnnxPose(model_file, WholePicture()))
    assert 30 < found.num_frames < 60
    assert not found.complete and "a.mkv: it ends after" in " ".join(found.notes)
    found.save(tmp_path / "k.npz")
    again = type(found).read(tmp_path / "k.npz")
    assert not again.complete and again.notes == found.notes


def test_nobody(model_file: Path, tmp_path: Path) -> None:
    path = film(tmp_path / "empty.mkv", [drawn()] * 6)
    with (
        VideoReader(path) as video,
        pytest.raises(UserError, match=r"no person.*6 frames.*empty.mkv"),
    ):
        estimate_poses(video, OnnxPose(model_file, WholePicture()))


def test_mediapipe_on_the_real_clip(video_data: Path) -> None:
    """A man on a roof in front of the sky; with warnings as errors, as for a user without any."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = make_detector()
        with VideoReader(video_data / "sports2d_demo.mp4") as video:
            people = [detector.detect(f.image) for f in itertools.islice(video, 5, 17)]
            width, height = video.size
        detector.close()
    assert detector.skeleton is MEDIAPIPE33 and "sha256" in detector.fingerprint
    found = [one[0] for one in people if len(one)]
    assert len(found) >= 10
    nose, ankle = (MEDIAPIPE33.joints.index(j) for j in ("nose", "left_ankle"))
    for person in found[3:]:
        assert (person[nose] > 0.0).all() and person[nose, 1] < person[ankle, 1] - 0.2 * height
        assert 0.3 * width < person[nose, 0] < 0.45 * width
    steps = np.abs(np.diff([p[nose, :2] for p in found[3:]], axis=0))
    assert steps.max() < 40


def test_mediapipe_says_nothing_of_itself(capfd: pytest.CaptureFixture[str]) -> None:
    """Its C++ code writes to the stream of errors, which belongs to the progress bar."""
    detector = MediaPipe()
    assert len(detector.detect(np.full((120, 160, 3), 90, dtype=np.uint8))) == 0
    detector.close()
    shown = capfd.readouterr()
    assert shown.err == "" and shown.out == ""


def test_detectors_that_are_none(model_file: Path, tmp_path: Path) -> None:
    for name, words in {
        "mediapip": "mediapipe",
        str(tmp_path / "no.onnx"): "no such model",
    }.items():
        with pytest.raises(UserError, match=words):
            make_detector(name)
    (tmp_path / "bad.onnx").write_bytes(b"not a model")
    with pytest.raises(UserError, match="onnxruntime loads"):
        make_detector(str(tmp_path / "bad.onnx"))
    boxes = boxes_network(tmp_path / "boxes.onnx", [(0, 0, 9, 9)])
    with pytest.raises(UserError, match="not a top-down SimCC"):
        make_detector(str(boxes))
    with pytest.raises(UserError, match="12 joints"):
        OnnxPose(network(tmp_path / "twelve.onnx", 12), WholePicture())
    assert available()["mediapipe"] == ""


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import actionpose.video.detectors as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    for name in ("mediapipe", "rtmlib"):
        with pytest.raises(UserError, match=r"pip install 'actionpose\[(video|rtmlib)\]'"):
            make_detector(name)
        assert available()[name]


def test_videos_and_keypoints_are_told_apart(tmp_path: Path) -> None:
    files = {"a.json": b"", "b.bin": b'\xef\xbb\xbf [{"x": 1}]', "c": b"PK\x03\x04.."}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert is_keypoint_file(tmp_path / name)
    (tmp_path / "d.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
    assert not is_keypoint_file(tmp_path / "d.mp4")
    assert not is_keypoint_file(tmp_path / "missing.mp4")
    with pytest.raises(UserError, match="missing.mp4"):
        read_source(tmp_path / "missing.mp4")
