"""2D pose detectors with a common interface: from an upright RGB frame to keypoints of people.

| name | people | joints | requirements |
|---|---|---|---|
| mediapipe | several | mediapipe33 | the extra `video`; the model is in the package, no download |
| rtmlib | all | halpe26 | the extra `rtmlib`; downloads its models on first use |
| PATH.onnx | one | by their number | the extras `video` and `onnx`; a SimCC model |

Detectors process single frames. Identities are assigned by `tracking.py`, and motion is smoothed by
`postprocessing`.
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
    """Interface of detectors, which process the frames of one video in order."""

    skeleton: Skeleton  # layout of the K joints
    fingerprint: str  # program, version and weights, stored in the header of results

    def detect(self, image: Image) -> People: ...

    def close(self) -> None: ...


def make_detector(name: str = "mediapipe", max_people: int = 4) -> Detector:
    """Create a detector from its name or the path of an ONNX model.

    Args:
        max_people: Maximum number of people per frame for MediaPipe.

    Raises:
        UserError: If the detector or model does not exist, or a required package is missing.
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
    """RTMPose by rtmlib: all people, in Halpe-26.

    The tracker of rtmlib discards identities and returns empty frames on errors, so the two models
    are called separately.

    Args:
        boxes: YOLOX model for person detection with an input of 640 x 640 px. By default it is
            downloaded.
        pose: RTMPose model with 26 joints and an input of 192 x 256 px. By default it is
            downloaded.
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
            with contextlib.redirect_stdout(io.StringIO()):  # suppress messages about loaded models
                self._models = BodyWithFeet(backend="onnxruntime", device=device, **files)
        except OSError as error:  # includes errors of urllib
            raise UserError(
                f"rtmlib cannot load or download its models ({error}): connect to the net for its "
                "first use, or choose another detector=NAME"
            ) from error
        digest = sha256(self._models.pose_model.onnx_model)[:16]
        self.fingerprint = f"RTMPose through rtmlib {version('rtmlib')}, balanced, sha256 {digest}"

    def detect(self, image: Image) -> People:
        picture = np.ascontiguousarray(image[..., ::-1])  # rtmlib expects BGR as in OpenCV
        boxes = self._models.det_model(picture)
        if len(boxes) == 0:  # otherwise the pose model would use the whole image as a person
            return nobody(self.skeleton)
        points, scores = self._models.pose_model(picture, bboxes=boxes)
        return as_people(points, scores)

    def close(self) -> None:
        pass


class OnnxPose:
    """A top-down pose model in an ONNX file, for one person at a time in a bounding box.

    The input of the model is (N, 3, H, W) RGB, normalized by mean and standard deviation of
    ImageNet. The output is SimCC: distributions (N, K, W') for x and (N, K, H') for y, as in
    RTMPose models exported by MMPose. The box is that of the joints in the previous frame, enlarged
    by a quarter. MediaPipe detects the person in the first frame and whenever the model loses them.

    Args:
        path: ONNX model. K = 17 joints are those of COCO, 26 of Halpe and 133 of COCO-WholeBody.
        finder: Detector for the initial detection. By default MediaPipe.
    """

    MARGIN = 1.25  # scale of the box relative to the bounding box of the joints
    LOST = 0.3  # mean confidence below which the person is detected again
    # of RGB values in ImageNet, as in the training of RTMPose
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
        self._last: NDArray[np.float32] | None = None  # the person in the previous frame

    def detect(self, image: Image) -> People:
        if self._last is not None:
            self._last = self._points_in(image, self._last)
        if self._last is None:
            people = self._finder.detect(image)
            self._last = self._points_in(image, people[0]) if len(people) else None
        return nobody(self.skeleton) if self._last is None else self._last[None]

    def _points_in(self, image: Image, person: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """(K, 3) joints in the bounding box of other joints; None if there is no person."""
        visible = person[person[:, 2] > 0, :2].astype(np.float64)
        if len(visible) == 0:
            return None
        middle = (visible.min(0) + visible.max(0)) / 2
        extent = np.ptp(visible, axis=0) * self.MARGIN
        width, height = self.size
        # image pixels per model pixel; the box is extended to the aspect ratio of the model
        scale = max(extent[0] / width, extent[1] / height, 1e-3)
        corner = middle - scale * np.array([width, height]) / 2
        side = max(self.size)  # crop a square, and then to the shape of the model input
        left, top = (side - np.array(self.size)) // 2
        x, y = corner + scale * (side / 2 - np.array([left, top]))
        square = cut(image, Region(x, y, scale * side), side)
        pixels = (square[top : top + height, left : left + width] - self.MEAN) / self.DEVIATION
        bins = self._session.run(None, {self._input.name: pixels.transpose(2, 0, 1)[None]})
        # SimCC bins are finer than the pixels of the input
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
    """Combine pixels (N, K, 2) and scores (N, K), clipped to 0 to 1; (0, 0, 0) for a score of 0."""
    people = np.concatenate([points, np.clip(scores, 0, 1)[..., None]], axis=-1)
    people[people[..., 2] == 0] = 0
    return people.astype(np.float32)


DETECTORS = ("mediapipe", "rtmlib")


def available() -> dict[str, str]:
    """For each detector, "" if it is available, otherwise what is missing."""
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
    except Exception as error:  # the exceptions of onnxruntime have no common base class
        raise UserError(f"{path} is not an ONNX model that onnxruntime loads ({error})") from error


def _onnx_providers() -> list[str]:
    """Available execution providers of onnxruntime in order of preference."""
    try:
        import onnxruntime
    except ImportError:
        raise UserError("this detector needs: pip install 'actionpose[onnx]'") from None
    wanted = ("CUDAExecutionProvider", "CoreMLExecutionProvider", "CPUExecutionProvider")
    return [name for name in wanted if name in onnxruntime.get_available_providers()]
