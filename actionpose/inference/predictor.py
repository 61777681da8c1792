"""Inference: lift 2D keypoints of any length to 3D motion in meters, and label actions.

Letters in shapes: P persons, T frames, J joints, W windows, E embedding dimension.
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
    """A trained model for lifting and action labeling; see `from_pretrained`.

    Args:
        encoder: Pose encoder in eval mode.
        meta: Metadata of the checkpoint: `frames`, `normalization`, `fps`, optionally
            `joint_convention` and `learned_detectors` (detectors whose joint offsets are in the
            training data), and `rejection_threshold` and `error_bars` if calibrated. Timelines use
            windows of `frames` frames, or of a third of it if `config` has a temporal crop.
        name: Name of the checkpoint, stored in the headers of results.
        weights_sha256: Hash of the weights, stored in the headers of results.
        device: Device of the encoder.
        labels: Label embeddings and text encoder. By default none.
        engine: Inference engine; see `engines.EngineChoice`.

    Raises:
        UserError: If the engine is not available.
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
        third += (1 - third) % self.encoder.embedding_stride  # so that the last frame is used
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
        """Load a pretrained model.

        Args:
            name: Name of a bundled model, folder of a checkpoint or run, official MotionBERT file,
                or Hub id.
            device: "auto", "cpu" or "cuda".
            engine: Inference engine: "torch", "fused" (C++ kernels, compiled on first use),
                "openvino", "onnx" or "auto". "auto" selects torch on a GPU and for short motions,
                and otherwise the fastest available engine.

        Raises:
            UserError: If the model, device, engine or a package is not available, or the
                checkpoint is damaged or incomplete.
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
            source: Path of a video, image or keypoint file, or `Keypoints`.
            persons: Number of people to lift, selected by `order`, or "all".
            order: Order of the people in the result: "largest", "first" or "most-moving"; see
                `tracking.person_order`.
            height_m: Body height of the people in meters. By default 1.70.
            max_gap_s: Longest gap in seconds that is filled by interpolation. Filled frames are
                False in `valid`. In longer gaps the pose is zero.
            joint_convention: Definition of the limb joints: "anatomical" (OpenSim's joint centers),
                "mocap" (as in CMU and HDM05, the training data) or "mediapipe33" (as MediaPipe). By
                default "anatomical", or that of the model if its checkpoint does not define one.
            detector: 2D pose detector for videos: "mediapipe", "rtmlib" or the path of an ONNX
                model.
            quality: "fast", or "best" for about 0.2 mm less error at two to three times the run
                time (docs/results.md).
            progress: Function that is called with the number of frames lifted since the last call.

        Returns:
            3D motion in meters, x right, y down, z away from the camera, with the pelvis at the
            origin of every frame. Frames and times are those of the input.

        Raises:
            UserError: If the input cannot be read (see `Keypoints.read`), `height_m` or
                `joint_convention` is invalid, or the image size is needed and unknown.
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
        result.header["notes"] = list(dict.fromkeys(notes))  # the result may already contain them
        return result

    @property
    def knows_actions(self) -> bool:
        """Whether the model embeds motions and texts in a shared space."""
        return self.encoder.class_token and bool(self.labels.names or self.labels.has_text)

    def default_labels(self) -> list[str]:
        """The labels that `actions` uses by default.

        Raises:
            UserError: If the checkpoint has no labels.
        """
        if not self.labels.names:
            name = self.checkpoint["name"]
            raise UserError(f"the checkpoint {name} has no labels: name some with labels=NAMES")
        return list(filter(self.labels.knows, DEFAULT_LABELS)) or self.labels.names

    @property
    def embedding_dim(self) -> int:
        """Dimension E of the embeddings; 0 if the model has none."""
        return self.encoder.pooling.fc.out_features if self.encoder.class_token else 0

    def embed_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Embed texts in the space of `embed_motion`.

        Args:
            texts: N labels or other texts.

        Returns:
            (N, E) unit vectors.

        Raises:
            UserError: See `LabelBank.embed`.
        """
        return self.labels.embed(texts)

    def embed_motion(self, source: Source) -> NDArray[np.float32]:
        """Embed the motion of each person.

        Args:
            source: Path of a video, image or keypoint file, or `Keypoints`.

        Returns:
            (P, E) unit vectors: the normalized mean over the windows in which a person is visible.

        Raises:
            UserError: If the model has no motion embedding.
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
        """Embed overlapping windows of the motion of each person.

        The embeddings stored in a result are returned if they are from this model.

        Args:
            source: Result or 2D keypoints.
            length: Length of the windows in frames at `fps`. By default that of timelines.
            progress: Function that is called with the number of windows embedded since the last
                call.

        Returns:
            (P, W, E) unit vectors, zero where a person is not visible, and (W, 2) start and stop
            times of the windows in seconds.

        Raises:
            UserError: If the model has no motion embedding; see also `Keypoints.to_skeleton`.
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
        """Segment the motion of each person into a timeline of action labels.

        Args:
            source: Result, whose embeddings are used if they are from this model; `Keypoints`; or
                path of a video or keypoint file.
            labels: Candidate labels; duplicates are removed. "other" is always a candidate. By
                default the labels of `timeline.DEFAULT_LABELS` in the checkpoint (if there are
                none, all its labels), or "unknown".
            threshold: Cosine similarity below which a time step is labeled "other"; -1 disables
                "other". By default the calibrated threshold of the checkpoint, or
                `timeline.DEFAULT_THRESHOLD`.
            transition_penalty: Cost of a change of label, in cosine similarity times seconds. A
                larger value gives fewer segments.
            min_length_s: Minimum duration of a segment in seconds.
            progress: Function that is called with the number of windows embedded since the last
                call.

        Returns:
            Segments ordered by person and time. The segments of a person do not overlap, and start
            and end where the person is visible.

        Raises:
            UserError: If there is no label, a label cannot be embedded, or the model has no text
                embedding.
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
                track_id=int(source.track_id[person]),
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
        """Convert the log of errors, relative to the body height, to `Result.uncertainty_mm`."""
        radius_mm = 1000 * stature_m * self.error_bars.factor_68 * np.exp(log_error)
        radius_mm[..., 0] = 0  # errors are relative to the pelvis
        return radius_mm.astype(np.float32)

    def header(self, keypoints: Keypoints, height_m: float | None, skeleton: Skeleton) -> Header:
        """The header of a result of this model.

        Args:
            keypoints: 2D input.
            height_m: Given body height in meters, or None for that of an average adult.
            skeleton: Joint layout of the result.
        """
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
        """The joint conventions of the model and of results, if `wanted` is requested."""
        own = self.joint_convention
        return own, wanted or ("anatomical" if own in OFFSETS else own)

    def detector_offsets(self, skeleton: Skeleton, detector: str) -> Array | None:
        """Joint offsets of a detector to remove: None if unknown or if the model has learned them.

        Args:
            skeleton: Joint layout of the keypoints.
            detector: Name of the detector.
        """
        is_mediapipe = skeleton == MEDIAPIPE33 or "mediapipe" in detector.lower()
        known = self.joint_convention in OFFSETS
        if not is_mediapipe or not known or MEDIAPIPE33.name in self.learned_detectors:
            return None
        return OFFSETS[MEDIAPIPE33.name]

    def predict(self, windows: Array, image_size: tuple[int, int] | None = None) -> Array:
        """Predict the poses of clips in the units of their keypoints.

        Args:
            windows: (N, T, J, 3) x, y and confidence in pixels or any other unit, of H36M17, or of
                H36M17_FEET if the model has heads. Clips of up to `frames` frames are normalized
                and processed as a whole; longer clips are divided into overlapping windows whose
                poses are blended.
            image_size: Width and height, required by models that normalize by the image.

        Returns:
            (N, T, J, 3) root-relative poses. Multiply by meters per unit at the depth of the person
            to obtain meters.
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
        """Predict the poses and expected errors of clips of up to `frames` frames; see `predict`.

        Returns:
            Poses (N, T, J, 3), and the log of the expected errors (N, T, J) relative to the body
            height, before calibration by `error_bars`, or None if the model has no heads.
        """
        return self._lifter(len(windows) * windows.shape[1]).predict(windows, image_size)

    def engine(self, frames: int) -> Engine:
        """The inference engine for a motion with this number of frames."""
        return self._engines.engine(frames)

    def _lifter(self, frames: int, quality: str = "best") -> WindowLifter:
        engine, name = self.engine(frames), self.checkpoint["name"]
        return WindowLifter(engine, self.frames, self.normalization, name, quality)


def check_height(height_m: float | None) -> None:
    """Check that a value is a body height in meters.

    Raises:
        UserError: If it is not.
    """
    if height_m is not None and not 0.3 <= height_m <= 2.8:
        raise UserError(f"height_m is {height_m:g}, not a person's: give meters, such as 1.75")


def _select_persons(keypoints: Keypoints, persons: str | int, order: str) -> Keypoints:
    """The persons to lift, in the requested order."""
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
