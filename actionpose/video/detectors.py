"""2D detectors behind one small interface: an upright RGB frame in, the people's keypoints out.

| name | people | joints | needs |
|---|---|---|---|
| mediapipe | several | mediapipe33 | the extra `video`; its model is in the package: no download |
| rtmlib | all | halpe26 | the extra `rtmlib`; downloads its models at the first use |
| PATH.onnx | one | by their number | the extras `video` and `onnx`; a SimCC model |

A detector looks at one frame: identities are for `tracking.py`, smoothing for `postprocessing`.
"""

import contextlib
import io
import os
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from actionpose.skeletons import COCO17, COCO23, HALPE26, Skeleton
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.video.mediapipe_pose import MediaPipe, People, nobody
from actionpose.video.pose_networks import Image, Region, check_runtime, cut


class Detector(Protocol):
    """What finds people in the frames of one video, given in order."""

    skeleton: Skeleton  # of the K joints
    fingerprint: str  # which program, version and weights: goes into every result

    def detect(self, image: Image) -> People: ...

    def close(self) -> None: ...


def make_detector(name: str = "mediapipe", max_people: int = 4) -> Detector:
    """A detector by its name, or by the path of an ONNX model.

    Args:
        max_people: that MediaPipe finds in a frame.

    Raises:
        UserError: no such detector or model, or a package that it needs is missing.
    """
    if name == "mediapipe":
        return MediaPipe(max_people)
    if name == "rtmlib":
        return RtmLib()
    if name.endswith(".onnx"):
        return OnnxPose(Path(name))
    raise UserError(
        f"no detector {name!r}: there are {', '.join(DETECTORS)}, and the path of an .onnx model"
    )


class RtmLib:
    """RTMPose through rtmlib: everybody, in Halpe-26.

    rtmlib's own tracker hides identities and turns failures into empty frames, so the two models
    are called one after the other.

    Args:
        boxes: a YOLOX model for boxes of 640 x 640 px, and
        pose: an RTMPose model of 26 joints and 192 x 256 px; what is not given is downloaded.
    """

    skeleton = HALPE26

    def __init__(self, boxes: Path | None = None, pose: Path | None = None):
        if find_spec("rtmlib") is None:
            raise UserError("the detector rtmlib needs: pip install 'actionpose[rtmlib]'")
        from rtmlib import BodyWithFeet

        device = "cuda" if "CUDAExecutionProvider" in _onnx_providers() else "cpu"
        given = {"det": boxes, "pose": pose}
        files = {name: os.fspath(path) for name, path in given.items() if path is not None}
        try:
            with contextlib.redirect_stdout(io.StringIO()):  # it prints what it loads
                self._models = BodyWithFeet(backend="onnxruntime", device=device, **files)
        except OSError as error:  # of urllib too
            raise UserError(
                f"rtmlib cannot load or download its models ({error}): connect to the net for its "
                "first use, or choose another detector=NAME"
            ) from error
        digest = sha256(self._models.pose_model.onnx_model)[:16]
        self.fingerprint = f"RTMPose through rtmlib {version('rtmlib')}, balanced, sha256 {digest}"

    def detect(self, image: Image) -> People:
        picture = np.ascontiguousarray(image[..., ::-1])  # rtmlib takes OpenCV's order, BGR
        boxes = self._models.det_model(picture)
        if len(boxes) == 0:  # else the pose model takes the whole picture for a person
            return nobody(self.skeleton)
        points, scores = self._models.pose_model(picture, bboxes=boxes)
        return as_people(points, scores)

    def close(self) -> None:
        pass


class OnnxPose:
    """A top-down pose model in a file, which sees one person at a time in a box.

    The model takes (N, 3, H, W) RGB with ImageNet's mean and deviation, and gives SimCC: (N, K, W')
    and (N, K, H'), a distribution for x and one for y. RTMPose as MMPose exports it is such a
    model. The box is that of the person's joints in the frame before, a quarter larger; MediaPipe
    finds the person in the first frame and whenever the model loses them.

    Args:
        path: of the model; K = 17 joints are COCO's, 26 Halpe's, 133 COCO's and more.
        finder: finds the person to begin with; MediaPipe if it is not given.
    """

    MARGIN = 1.25  # of the box around the joints
    LOST = 0.3  # mean confidence below which the person is looked for again
    # of the colors in ImageNet, which RTMPose was trained with
    MEAN = np.array([123.675, 116.28, 103.53], dtype=np.float32)
    DEVIATION = np.array([58.395, 57.12, 57.375], dtype=np.float32)
    LAYOUTS = {17: COCO17, 26: HALPE26, 133: COCO23}

    def __init__(self, path: Path, finder: Detector | None = None):
        self._session = _onnx_session(path)
        self._input = self._session.get_inputs()[0]
        shape, outputs = self._input.shape, self._session.get_outputs()
        sized = len(shape) == 4 and all(isinstance(side, int) for side in shape[1:])
        if not sized or shape[1] != 3 or [len(o.shape) for o in outputs] != [3, 3]:
            raise UserError(
                f"{path} is not a top-down SimCC pose model: it takes {shape} and gives "
                f"{', '.join(str(o.shape) for o in outputs)}, not (N, 3, H, W) and two (N, K, bins)"
            )
        joints = outputs[0].shape[1]
        if joints not in self.LAYOUTS:
            known = ", ".join(map(str, self.LAYOUTS))
            raise UserError(f"{path} gives {joints} joints, of which no layout is known: {known}")
        self.skeleton = self.LAYOUTS[joints]
        self.size = (int(shape[3]), int(shape[2]))  # width, height
        self.fingerprint = f"{path.name}, sha256 {sha256(path)[:16]}"
        self._finder = finder or MediaPipe(max_people=1)
        self._last: NDArray[np.float32] | None = None  # the person in the frame before

    def detect(self, image: Image) -> People:
        if self._last is not None:
            self._last = self._points_in(image, self._last)
        if self._last is None:
            people = self._finder.detect(image)
            self._last = self._points_in(image, people[0]) if len(people) else None
        return nobody(self.skeleton) if self._last is None else self._last[None]

    def _points_in(self, image: Image, person: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """(K, 3) joints in the box around other joints; None if nobody is there."""
        visible = person[person[:, 2] > 0, :2].astype(np.float64)
        if len(visible) == 0:
            return None
        middle = (visible.min(0) + visible.max(0)) / 2
        extent = np.ptp(visible, axis=0) * self.MARGIN
        width, height = self.size
        # pixels of the image per pixel of the model; the box grows to the model's shape
        scale = max(extent[0] / width, extent[1] / height, 1e-3)
        corner = middle - scale * np.array([width, height]) / 2
        side = max(self.size)  # a square is cut out, and what the model does not see cut off
        left, top = (side - np.array(self.size)) // 2
        x, y = corner + scale * (side / 2 - np.array([left, top]))
        square = cut(image, Region(x, y, scale * side), side)
        pixels = (square[top : top + height, left : left + width] - self.MEAN) / self.DEVIATION
        bins = self._session.run(None, {self._input.name: pixels.transpose(2, 0, 1)[None]})
        # a SimCC axis is finer than the model's pixels
        places = [
            b[0].argmax(-1) * side / b.shape[-1] for b, side in zip(bins, self.size, strict=True)
        ]
        scores = np.minimum(*(b[0].max(-1) for b in bins))
        points = np.stack(places, axis=-1) * scale + corner
        found = as_people(points[None], scores[None])[0, : len(self.skeleton)]
        return found if found[:, 2].mean() >= self.LOST else None

    def close(self) -> None:
        self._finder.close()


def as_people(points: NDArray[Any], scores: NDArray[Any]) -> People:
    """(N, K, 2) pixels and (N, K) scores to people: scores within 0 and 1, (0, 0, 0) if none."""
    people = np.concatenate([points, np.clip(scores, 0, 1)[..., None]], axis=-1)
    people[people[..., 2] == 0] = 0
    return people.astype(np.float32)


DETECTORS = ("mediapipe", "rtmlib")


def available() -> dict[str, str]:
    """Of each detector, "" if it can be used, else what it lacks."""
    lacks = {name: "" for name in DETECTORS}
    try:
        check_runtime()
    except UserError as error:
        lacks["mediapipe"] = str(error)
    if find_spec("rtmlib") is None:
        lacks["rtmlib"] = "pip install 'actionpose[rtmlib]'"
    return lacks


def _onnx_session(path: Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise UserError("an ONNX detector needs: pip install 'actionpose[video,onnx]'") from None
    if not path.is_file():
        raise UserError(f"no such model: {path}")
    try:
        return onnxruntime.InferenceSession(path, providers=_onnx_providers())
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise UserError(f"{path} is not an ONNX model that onnxruntime loads ({error})") from error


def _onnx_providers() -> list[str]:
    """Where onnxruntime computes, best first."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError("this detector needs: pip install 'actionpose[onnx]'") from None
    wanted = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")
    return [name for name in wanted if name in onnxruntime.get_available_providers()]
