"""Detectors on real frames and on drawn people."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
from helpers.drawn_people import (
    BODY,
    WholePicture,
    boxes_network,
    drawn,
    network,
)

from actionpose.skeletons import HALPE26, MEDIAPIPE33
from actionpose.utils.errors import UserError
from actionpose.video.decoding import VideoReader
from actionpose.video.detectors import MediaPipe, OnnxPose, RtmLib, available, make_detector

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network(tmp_path_factory.mktemp("models") / "pose.onnx", 17)


def test_onnx_detector_finds_drawn_joints(model_file: Path) -> None:
    detector = OnnxPose(model_file, WholePicture())
    for place in ((30, 40), (34, 44), (180, 90), (36, 46)):
        people = detector.detect(drawn(place))
        assert people.shape == (1, 17, 3) and people.dtype == np.float32
        assert np.abs(people[0, :, :2] - (BODY[:17] + place)).max() < 4
        assert (people[0, :, 2] > 0.4).all()
    assert "pose.onnx" in detector.fingerprint and "sha256" in detector.fingerprint


def test_onnx_detector_follows_its_box_until_it_loses_the_person(
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


def test_rtmlib_detector_finds_all_people_or_none(tmp_path: Path) -> None:
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


def test_mediapipe_detector_on_the_real_clip(video_data: Path) -> None:
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


def test_mediapipe_detector_finds_both_of_two_people(video_data: Path) -> None:
    """A woman in front of a man; one of them alone with max_people=1."""
    with VideoReader(video_data / "two_people.mp4") as video:
        images = [frame.image for frame in itertools.islice(video, 4)]
    detector, single = MediaPipe(), MediaPipe(max_people=1)
    for image in images:
        people = detector.detect(image)
        assert people.shape == (2, 33, 3) and len(single.detect(image)) <= 1
        middles = people[..., :2].mean(1)
        assert np.linalg.norm(middles[0] - middles[1]) > 200
    detector.close()
    single.close()


def test_mediapipe_detector_finds_a_small_person_in_a_part_of_the_image(video_data: Path) -> None:
    with VideoReader(video_data / "two_people.mp4") as video:
        image = next(iter(video)).image[::2, ::2]
    wide = np.full((1000, 1800, 3), 120, dtype=np.uint8)
    wide[20:980, 1200:1744] = image
    detector = MediaPipe()
    found = [detector.detect(wide) for _ in range(4)][-1]
    detector.close()
    assert len(found) >= 1 and (found[..., 0].mean(1) > 1200).all()


def test_mediapipe_detector_refuses_no_people() -> None:
    with pytest.raises(UserError, match="at least one person"):
        make_detector("mediapipe", 0)


def test_mediapipe_detector_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    """Its C++ code writes to the stream of errors, which belongs to the progress bar."""
    detector = MediaPipe()
    assert len(detector.detect(np.full((120, 160, 3), 90, dtype=np.uint8))) == 0
    detector.close()
    shown = capfd.readouterr()
    assert shown.err == "" and shown.out == ""


def test_make_detector_refuses_other_files(model_file: Path, tmp_path: Path) -> None:
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


def test_make_detector_names_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    import actionpose.video.detectors as module
    from actionpose.video import pose_networks

    for its in (module, pose_networks):
        monkeypatch.setattr(its, "find_spec", lambda name: None)
    for name in ("mediapipe", "rtmlib"):
        with pytest.raises(UserError, match=r"pip install 'actionpose\[(video|rtmlib)\]'"):
            make_detector(name)
        assert available()[name]
