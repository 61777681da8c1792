"""Lifting: 2D keypoints of any length to 3D motion in meters, and what people do in it.

Letters in shapes: P persons, T frames, W windows, E embedding.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actionpose import checkpoint, model_hub
from actionpose.actions.embedding import embed_tracks
from actionpose.actions.label_bank import LabelBank, unit
from actionpose.actions.timeline import (
    DEFAULT_LABELS,
    DEFAULT_THRESHOLD,
    MIN_LENGTH_S,
    OTHER,
    TRANSITION_PENALTY,
    UNKNOWN,
    Action,
    clean_labels,
    in_sight,
    timeline,
)
from actionpose.geometry.axes import Axes
from actionpose.geometry.joint_conventions import OFFSETS, convert_convention
from actionpose.geometry.stature import AVERAGE_ADULT_M
from actionpose.inference.engines import EngineChoice
from actionpose.inference.engines.base import Engine
from actionpose.inference.windows import QUALITIES, Progress, WindowLifter
from actionpose.keypoints import Keypoints
from actionpose.keypoints.from_result import keypoints_of_result
from actionpose.keypoints.model_input import prepare_tracks
from actionpose.keypoints.side_swaps import put_sides_back
from actionpose.keypoints.tracking import MAX_GAP_S, person_order
from actionpose.models import Encoder
from actionpose.models.heads import ErrorBars
from actionpose.postprocessing.visibility import visibility_notes
from actionpose.result import Header, Result, RootOrigin
from actionpose.skeletons import H36M17, H36M17_FEET, MEDIAPIPE33, Skeleton, gives
from actionpose.utils.device import choose_device
from actionpose.utils.errors import UserError
from actionpose.utils.files import sha256
from actionpose.utils.json_files import typed
from actionpose.utils.resampling import frame_rate
from actionpose.utils.sliding_windows import blend, sliding_windows
from actionpose.utils.typing import Array
from actionpose.video.source import Source, read_source


class ActionPose:
    """A trained model, ready to lift and to say what people do.

    Args:
        encoder: in eval mode.
        meta: of its checkpoint: `frames`, `normalization`, `fps`, `joint_convention` and
            `learned_detectors` (whose offsets it was trained with) if known, and
            `rejection_threshold` and `error_bars` if they were calibrated. Timelines see windows of
            `frames`, or a third of it if the `config` says that shorter ones were trained with.
        name: for the headers of results.
        weights_sha256: likewise.
        labels: what it knows of text; nothing by default.
        engine: what computes the network; see `engines.EngineChoice`.

    Raises:
        UserError: the engine cannot be used.
    """

    def __init__(
        self,
        encoder: Encoder,
        meta: dict[str, Any],
        *,
        name: str,
        weights_sha256: str = "",
        device: str = "cpu",
        labels: LabelBank | None = None,
        engine: str = "torch",
    ):
        self.encoder = encoder.to(device)
        self.device = device
        self.labels = labels or LabelBank(None)
        self.frames: int = meta["frames"]
        self.normalization: str = meta["normalization"]
        self.fps: float = meta["fps"]
        self.joint_convention: str = meta.get("joint_convention", "unknown")
        self.learned_detectors: list[str] = meta.get("learned_detectors", [])
        trained = meta.get("embedding", meta)
        short = trained.get("config", {}).get("data", {}).get("temporal_crop", 0)
        third = max(1, self.frames // 3)
        third += (1 - third) % self.encoder.embedding_stride  # its last frame is read
        self.timeline_frames = third if short else self.frames
        self.rejection_threshold: float = meta.get("rejection_threshold", DEFAULT_THRESHOLD)
        self.confidence_weights: list[float] | None = meta.get("confidence_weights")
        self.error_bars = typed(ErrorBars, meta.get("error_bars", {}), "error_bars")
        self.checkpoint = {"name": name, "sha256": weights_sha256}
        lengths = (self.frames, self.timeline_frames)
        self._engines = EngineChoice(engine, self.encoder, device, lengths)
        if "license" in meta:
            self.checkpoint["license"] = meta["license"]

    @classmethod
    def from_pretrained(
        cls, name: str | Path = "tiny", device: str = "auto", engine: str = "auto"
    ) -> "ActionPose":
        """Load a bundled model, a checkpoint, a run, an official MotionBERT file, or a Hub id.

        Args:
            device: "auto", "cpu" or "cuda".
            engine: what computes the network in float32: "torch", "fused" (kernels that a C++
                compiler makes at the first use), "openvino" or "onnx". "auto" is torch on a GPU and
                for short motions, and else the fastest one that works here.

        Raises:
            UserError: no such model, device or engine, a package is missing, or a model that
                is damaged or lacks what lifting needs.
        """
        if device == "auto" and engine not in ("auto", "torch"):
            device = "cpu"
        device = choose_device(device)
        folder = model_hub.find(name)
        encoder, meta = checkpoint.load_encoder(folder)
        if (skeleton := meta.get("skeleton", H36M17.name)) not in (H36M17.name, H36M17_FEET.name):
            raise UserError(f"{folder} lifts joints of {skeleton}; choose one of {H36M17.name}")
        if missing := {"frames", "normalization", "fps"} - meta.keys():
            raise UserError(f"{folder / checkpoint.META} lacks {', '.join(sorted(missing))}")
        digest, labels = sha256(checkpoint.weights_file(folder)), LabelBank(folder)
        model = cls(
            encoder,
            meta,
            name=str(name),
            weights_sha256=digest,
            device=device,
            labels=labels,
            engine=engine,
        )
        if model.knows_actions:
            labels.check_width(model.embedding_dim)
        return model

    def lift(
        self,
        source: Source,
        *,
        persons: str | int = "all",
        order: str = "largest",
        height_m: float | None = None,
        max_gap_s: float = MAX_GAP_S,
        joint_convention: str | None = None,
        detector: str = "mediapipe",
        quality: str = "fast",
        progress: Progress = lambda frames: None,
    ) -> Result:
        """Lift the people of a video or a keypoint file to 3D.

        Args:
            source: a video or an image; keypoints of any known layout; or a file of them that
                `Keypoints.read` takes.
            persons: "all", or how many: the first ones in the order.
            order: of the people in the result; see `tracking.person_order`.
            height_m: the stature of the people; without it they have that of an average adult.
            max_gap_s: an absence up to so many seconds is filled from both sides, and stays
                marked in `valid`. In longer ones the pose is zero.
            joint_convention: where the joints of the limbs lie: "anatomical" (OpenSim's joint
                centers), "mocap" (those of CMU and HDM05, on which models are trained) or
                "mediapipe33" (where MediaPipe puts them). By default anatomical, or the model's own
                where its checkpoint does not say it.
            detector: for videos: "mediapipe", "rtmlib" or the path of an ONNX model.
            quality: "fast"; or "best", which takes two to three times as long and has 0.25 mm less
                error (docs/results.md).
            progress: called with the number of frames lifted since the last call.

        Returns:
            Meters, x right, y down, z away from the camera, the pelvis at the origin of every
            frame. The frames are those of the video, at their own times.

        Raises:
            UserError: see `Keypoints.read`; or a height that no person has, a joint convention
                that is not known, or an image size that is needed and not known.
        """
        check_height(height_m)
        if quality not in QUALITIES:
            raise UserError(f"quality is {' or '.join(QUALITIES)}, not {quality!r}")
        if not max_gap_s >= 0:
            raise UserError(f"max_gap_s is 0 or more, not {max_gap_s:g}")
        keypoints = read_source(source, detector=detector)
        skeleton = self._skeleton(keypoints)
        selected = _select_persons(keypoints, persons, order)
        mapped = put_sides_back(selected.to_skeleton(skeleton))
        tracks = prepare_tracks(mapped, self.fps, max_gap_s, skeleton=skeleton)
        own, target = self.conventions(joint_convention)
        detector_offsets = self.detector_offsets(keypoints.skeleton, keypoints.detector)
        lifter = self._lifter(sum(len(track.points) for track in tracks), quality)
        lifted = [lifter.lift(track, progress, detector_offsets) for track in tracks]
        pose = np.stack([convert_convention(each[..., :3], own, target) for each in lifted])
        stature_m = height_m or AVERAGE_ADULT_M
        header = self.header(replace(keypoints, notes=mapped.notes), height_m, skeleton)
        header |= {"max_gap_s": max_gap_s, "engine": lifter.engine.name, "quality": quality}
        if target != "unknown":
            header["joint_convention"] = target
        uncertainty_mm = None
        if self.encoder.heads is not None:
            errors_mm = self.uncertainty_mm(np.stack([each[..., 3] for each in lifted]), stature_m)
            present = np.stack([track.present for track in tracks])[..., None]
            uncertainty_mm = np.where(present, errors_mm, np.float32(np.nan))
        embeddings = None
        if self.knows_actions:
            embeddings, spans_s = embed_tracks(
                lifter.engine.embeddings,
                self.embedding_dim,
                tracks,
                self.timeline_frames,
                self.normalization,
            )
            header["embedding_windows_s"] = np.round(spans_s, 4).tolist()
        result = Result(
            pose_m=(pose * stature_m).astype(np.float32),
            keypoints_px=mapped.keypoints_px,
            valid=mapped.valid,
            track_id=mapped.track_id,
            time_s=mapped.times_s,
            header=header,
            embeddings=embeddings,
            uncertainty_mm=uncertainty_mm,
        )
        notes = [*result.header["notes"], *visibility_notes(result)]
        result.header["notes"] = list(dict.fromkeys(notes))  # those of a result may be there
        return result

    @property
    def knows_actions(self) -> bool:
        """Whether motions and texts have embeddings in one space."""
        return self.encoder.class_token and bool(self.labels.names or self.labels.has_text)

    def default_labels(self) -> list[str]:
        """The labels that are offered where none are named.

        Raises:
            UserError: the checkpoint has no labels.
        """
        if not self.labels.names:
            name = self.checkpoint["name"]
            raise UserError(f"the checkpoint {name} has no labels: name some with labels=NAMES")
        return list(filter(self.labels.knows, DEFAULT_LABELS)) or self.labels.names

    @property
    def embedding_dim(self) -> int:
        """E of the embeddings; 0 of a model that has none."""
        return self.encoder.pooling.fc.out_features if self.encoder.class_token else 0

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, E) of texts, in the space of `embed_motion`.

        Raises:
            UserError: see `LabelBank.embed`.
        """
        return self.labels.embed(texts)

    def embed_motion(self, source: Source) -> NDArray[np.float32]:
        """One unit vector per person (P, E): the mean of the windows in which they are visible.

        Raises:
            UserError: this model has no embedding of motions.
        """
        embeddings, _ = self.embed_windows(read_source(source), length=self.frames)
        return unit(embeddings.sum(axis=1))

    def embed_windows(
        self,
        source: Result | Keypoints,
        *,
        length: int | None = None,
        progress: Progress = lambda windows: None,
    ) -> tuple[NDArray[np.float32], Array]:
        """Unit vectors of overlapping windows: those of a result, if this model made it, or anew.

        Args:
            length: of the windows, in frames at `fps`; by default that of timelines.
            progress: called with the number of windows embedded since the last call.

        Returns:
            (P, W, E), zeros where a person is not visible, and (W, 2) start and stop in seconds
            on the clock of the input.

        Raises:
            UserError: this model has no embedding of motions, or see `Keypoints.to_skeleton`.
        """
        if isinstance(source, Result):
            spans_s = source.header.get("embedding_windows_s")
            made_by = source.header.get("checkpoint") or {}
            digest = self.checkpoint["sha256"]
            same = digest != "" and made_by.get("sha256") == digest
            same &= length in (None, self.timeline_frames)
            if source.embeddings is not None and spans_s and same:
                return source.embeddings, np.array(spans_s)
            source = keypoints_of_result(source)
        skeleton = self._skeleton(source)
        mapped = put_sides_back(source.to_skeleton(skeleton))
        tracks = prepare_tracks(mapped, self.fps, skeleton=skeleton)
        engine = self.engine(sum(len(track.points) for track in tracks))
        return embed_tracks(
            engine.embeddings,
            self.embedding_dim,
            tracks,
            length or self.timeline_frames,
            self.normalization,
            progress,
        )

    def actions(
        self,
        source: Result | Source,
        labels: Iterable[str] | None = None,
        *,
        threshold: float | None = None,
        transition_penalty: float = TRANSITION_PENALTY,
        min_length_s: float = MIN_LENGTH_S,
        progress: Progress = lambda windows: None,
    ) -> list[Action]:
        """What each person does when, in the words of `labels` or "other".

        Without labels those of `timeline.DEFAULT_LABELS` are offered that the checkpoint was
        trained with (if it has none of them, all that it was trained with), or "unknown".

        Args:
            source: a result, whose embeddings are used if they are this model's; keypoints, or a
                file of them; or a video.
            labels: any number; each counts once.
            threshold: cosine that a label has to reach; else the checkpoint's calibrated one, or
                `timeline.DEFAULT_THRESHOLD`. -1 leaves "other" out.
            transition_penalty: of a change of label, in cosine times seconds; more means fewer
                changes.
            min_length_s: of a segment.
            progress: called with the number of windows embedded since the last call.

        Returns:
            In the order of persons and time; no two of a person overlap, and they begin and end
            where the person is visible.

        Raises:
            UserError: no label, one that cannot be embedded, or a model without text.
        """
        if not isinstance(source, Result):
            source = read_source(source)
        names = clean_labels(self.default_labels() if labels is None else labels)
        label_embeddings = self.labels.embed(names)
        embeddings, spans_s = self.embed_windows(source, progress=progress)
        time_s = source.time_s if isinstance(source, Result) else source.times_s
        step_s = 1 / (frame_rate(time_s) or self.fps)
        actions = []
        for person, windows in enumerate(embeddings):
            found = timeline(
                windows,
                spans_s,
                label_embeddings,
                names,
                person=person,
                threshold=self.rejection_threshold if threshold is None else threshold,
                transition_penalty=transition_penalty,
                min_length_s=min_length_s,
                rejected=UNKNOWN if labels is None else OTHER,
                weights=self.confidence_weights,
            )
            actions += in_sight(found, time_s[source.valid[person]], step_s)
        return actions

    def _skeleton(self, keypoints: Keypoints) -> Skeleton:
        """H36M17_FEET if the model has heads and feet are detected, else H36M17."""
        if self.encoder.heads is None or not gives(keypoints.skeleton, H36M17_FEET):
            return H36M17
        feet = keypoints.to_skeleton(H36M17_FEET).keypoints_px[:, :, len(H36M17) :, 2]
        return H36M17_FEET if feet.any() else H36M17

    def uncertainty_mm(self, log_error: Array, stature_m: float) -> NDArray[np.float32]:
        """(..., J) that of `Result`, of the logarithm of the errors in fractions of the stature."""
        radius_mm = 1000 * stature_m * self.error_bars.factor_68 * np.exp(log_error)
        radius_mm[..., 0] = 0  # of the pelvis, to which they are relative
        return radius_mm.astype(np.float32)

    def header(self, keypoints: Keypoints, height_m: float | None, skeleton: Skeleton) -> Header:
        """The facts of a result in `skeleton` that this model makes of keypoints."""
        header: Header = {
            "units": "meters",
            "axes": Axes.CAMERA,
            "root": RootOrigin.PELVIS,
            "skeleton": skeleton.name,
            "scale_source": "average_adult" if height_m is None else "given_height",
            "stature_m": height_m or AVERAGE_ADULT_M,
            "fps": keypoints.fps,
            "rate_source": keypoints.rate_source,
            "first_frame": keypoints.first_frame,
            "image_size": keypoints.image_size,
            "detector": keypoints.detector,
            "source": keypoints.source,
            "video": keypoints.video,
            "input_skeleton": keypoints.skeleton.name,
            "notes": list(keypoints.notes),
            "complete": keypoints.complete,
            "checkpoint": self.checkpoint,
            "versions": {"actionpose": version("actionpose"), "torch": torch.__version__},
            "actions": [],
        }
        if self.encoder.heads is not None:
            header["uncertainty"] = self.error_bars.facts
        return header

    def conventions(self, wanted: str | None = None) -> tuple[str, str]:
        """Where the model puts the joints of the limbs, and where results have them."""
        own = self.joint_convention
        return own, wanted or ("anatomical" if own in OFFSETS else own)

    def detector_offsets(self, skeleton: Skeleton, detector: str) -> Array | None:
        """Those of the detector, if they are measured and the model has not learned them itself."""
        is_mediapipe = skeleton == MEDIAPIPE33 or "mediapipe" in detector.lower()
        known = self.joint_convention in OFFSETS
        if not is_mediapipe or not known or MEDIAPIPE33.name in self.learned_detectors:
            return None
        return OFFSETS[MEDIAPIPE33.name]

    def predict(self, windows: Array, image_size: tuple[int, int] | None = None) -> Array:
        """Poses of clips in the units of their keypoints: no stature.

        Args:
            windows: (N, T, J, 3) x, y, confidence in pixels or any other unit, of H36M17, or of
                H36M17_FEET if the model has heads. Up to `frames` frames go through the model at
                once, normalized clip by clip, as it was trained; longer clips go through in
                overlapping windows that are blended.
            image_size: needed by models that normalize by the image.

        Returns:
            (N, T, J, 3), root-relative; multiply by meters per unit at the person's depth.
        """
        if len(windows) == 0:
            return np.empty((0, *windows.shape[1:]))
        lifter = self._lifter(len(windows) * windows.shape[1])
        if windows.shape[1] <= self.frames:
            return lifter.predict(windows, image_size)[0]
        spans = sliding_windows(windows.shape[1], self.frames, overlap=QUALITIES["best"].overlap)
        parts = ((a, lifter.predict(windows[:, a:b], image_size)[0]) for a, b in spans)
        return blend(parts, windows.shape)

    def predict_with_error(
        self, windows: Array, image_size: tuple[int, int] | None = None
    ) -> tuple[Array, Array | None]:
        """`predict` of clips of up to `frames` frames, and the logarithm of the expected error.

        Returns:
            Poses (N, T, J, 3), and (N, T, J) the logarithm of the errors in fractions of the
            stature, without the factors of `error_bars`; None without heads.
        """
        return self._lifter(len(windows) * windows.shape[1]).predict(windows, image_size)

    def engine(self, frames: int) -> Engine:
        """What computes the network, if there are so many frames of motion."""
        return self._engines.engine(frames)

    def _lifter(self, frames: int, quality: str = "best") -> WindowLifter:
        engine, name = self.engine(frames), self.checkpoint["name"]
        return WindowLifter(engine, self.frames, self.normalization, name, quality)


def check_height(height_m: float | None) -> None:
    """Raise a UserError if that is no person's height in meters."""
    if height_m is not None and not 0.3 <= height_m <= 2.8:
        raise UserError(f"height_m is {height_m:g}, not a person's: give meters, such as 1.75")


def _select_persons(keypoints: Keypoints, persons: str | int, order: str) -> Keypoints:
    """The persons to lift, in the order asked for."""
    rows = person_order(keypoints.keypoints_px, keypoints.valid, order)
    if persons != "all":
        if not isinstance(persons, int) or persons < 1:
            raise UserError(f"persons is 'all' or a number from 1, not {persons!r}")
        rows = rows[:persons]
    return replace(
        keypoints,
        keypoints_px=keypoints.keypoints_px[rows],
        valid=keypoints.valid[rows],
        track_id=keypoints.track_id[rows],
    )
