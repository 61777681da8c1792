"""Typed, frozen configurations. The defaults are the paper's, or MotionBERT's where it follows it.

A recipe is a YAML file that lists only differences; a key that no configuration has is an error.
"""

import dataclasses
import difflib
import math
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from actionpose.utils.errors import UserError

Config = TypeVar("Config")


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of `PoseEncoder`, which documents them."""

    dim: int = 512
    depth: int = 5
    num_heads: int = 8
    mlp_ratio: float = 2
    dim_rep: int = 512
    max_frames: int = 243
    num_joints: int = 17
    class_token: bool = True
    middle_layer: int = 3
    embedding_depth: int = 0
    embedding_dim: int = 512
    pooling_dropout: float = 0.1


def _check_probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UserError(f"{name} is a probability, from 0 to 1, not {value}")


@dataclass(frozen=True)
class AugmentationConfig:
    """What else than the paper's clips a model may meet. All off; `augmentation` documents them."""

    recombine: float = 0.0
    """Probability that the upper body is another clip's."""
    perturb_deg: float = 0.0
    """Deviation of constant turns and bends of each limb, within the joints' limits."""
    straighten_knees: float = 0.0
    """Probability that legs are shortened until people stand on straight knees."""
    random_joint_convention: float = 0.0
    """Probability that trunk and head are placed as a random detector's layout has them."""
    joint_offset_m: float = 0.0
    """Deviation of a constant offset of each joint, which no two detectors place alike."""
    limb_occlusion: float = 0.0
    """Probability that a limb or the head is not seen for some time."""
    cropped: float = 0.0
    """Probability that an edge of the image cuts the person."""
    drop_confidence: float = 0.0
    """Probability that every joint that is seen has confidence 1."""
    camera_pitch_deg: tuple[float, float] | None = None
    """How far the camera looks down, in place of its height."""
    level_camera: float = 0.0
    """Probability that it is the usual, level one all the same."""

    def __post_init__(self) -> None:
        chances = (
            "recombine",
            "straighten_knees",
            "random_joint_convention",
            "limb_occlusion",
            "cropped",
        )
        for name in (*chances, "drop_confidence", "level_camera"):
            _check_probability(f"data.augmentation.{name}", getattr(self, name))
        for name in ("perturb_deg", "joint_offset_m"):
            if not getattr(self, name) >= 0:
                raise UserError(
                    f"data.augmentation.{name} is a deviation, 0 or more, not {getattr(self, name)}"
                )


@dataclass(frozen=True)
class ClipConfig:
    """How a training clip is made, from corpora or from pairs.

    Of the settings below `pairs`, pairs use `frames`, `stride` and `mirror` only.
    """

    corpora: dict[str, float] = field(default_factory=dict)
    """Folders, each with its share of the clips."""
    pairs: Path | None = None
    """In place of corpora: a prepared Human3.6M or MPI-INF-3DHP, seen through its own cameras."""
    pairs_keypoints: Literal["detected", "truth"] = "detected"
    """Which 2D of `pairs` is the input: the detector's, or that of the pose."""
    frames: int = 243
    temporal_stride: int = 1
    """Frames of the corpora from one frame of a clip to the next. Neighbors are nearly alike: far
    apart, as many frames teach more."""
    stride: int = 81
    """Between the windows that an epoch counts; which windows are drawn is random."""
    normalization: Literal["image", "box"] = "image"
    """What is 1 in the model's units: half the image's width, or half the person's box."""
    distance_m: tuple[float, float] = (3.0, 6.0)
    """Of the camera from the middle of the person's path."""
    camera_height_m: tuple[float, float] = (1.2, 2.2)
    focal_px: tuple[float, float] = (1145.0, 1145.0)
    """In images of 1000 pixels; Human3.6M's cameras have 1145."""
    mirror: float = 0.5
    """Probability of mirroring a clip."""
    bone_length_jitter: float = 0.0
    """Deviation of the logarithm of bone lengths; directions are kept."""
    noise: bool = True
    """Detector-like errors and confidences in the 2D input."""
    coco_joint_convention: float = 0.0
    """Probability that spine, thorax, nose and head are placed as from COCO keypoints."""
    hidden_joints: float = 0.0
    """Share of single keypoints that are hidden."""
    hidden_frames: float = 0.0
    """Share of whole frames that are hidden."""
    augmentation: AugmentationConfig = AugmentationConfig()

    def __post_init__(self) -> None:
        _check_frame_step(self.temporal_stride)


def _check_frame_step(step: int) -> None:
    if step < 1:
        raise UserError(f"data.temporal_stride must be 1 or more, not {step}")


@dataclass(frozen=True)
class TrainingConfig:
    """The loop: optimizer, schedule, checkpoints."""

    epochs: float = 60
    batch_size: int = 32
    """Clips of a step, over all processes and accumulated parts."""
    accumulate: int = 1
    """Parts that a process divides its share of a batch into."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """Muon takes the matrices of the encoder's blocks; the rest stays with AdamW."""
    learning_rate: float = 2e-4
    """AdamW's; Muon's is 20 times as much."""
    weight_decay: float = 0.01
    schedule: Literal["exponential", "cosine"] = "exponential"
    epoch_decay: float = 0.99
    """Factor of the learning rate per epoch (exponential)."""
    warmup_steps: int = 0
    max_grad_norm: float = 1.0
    precision: Literal["float32", "bf16"] = "float32"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = 0
    """Processes that make batches beside the training process."""
    seed: int = 0
    log_every: int = 50
    """Steps between two lines of the log."""
    save_every: int = 1000
    """Steps between two checkpoints."""
    keep: int = 2
    """Checkpoints kept; the oldest goes first."""
    max_minutes: float | None = None
    """Save and stop after this time; the same command goes on."""
    log_grad_norms_every: int = 500
    """Steps between two logs of each loss's gradient on the backbone (pretraining); 0: never."""
    fused: bool = False
    """Compute the encoder's blocks with C++ kernels: on a CPU, needs g++ or clang++."""


@dataclass(frozen=True)
class FinetuneConfig:
    """Stage two: detected 2D to 3D, no text. Losses as Equations 3 and 4."""

    model: ModelConfig = ModelConfig()
    data: ClipConfig = ClipConfig()
    training: TrainingConfig = TrainingConfig()
    init: Path | None = None
    """Weights to start from: one of our checkpoints or an official MotionBERT file."""
    init_ignore: tuple[str, ...] = ()
    """Beginnings of names of weights that need not fit; the others must, one by one."""
    position_weight: float = 1.0
    velocity_weight: float = 20.0
    scale_weight: float = 0.0
    """MotionBERT's loss after the best scale per frame; it uses 0.5."""


@dataclass(frozen=True)
class MaskConfig:
    """Which keypoints of a clip are hidden: one kind of mask a clip, drawn for each by itself."""

    random: float = 0.5
    """Share of clips with single joints and whole frames hidden at random."""
    part: float = 0.25
    """Share of clips with one of the six body parts hidden throughout."""
    window: float = 0.25
    """Share of clips with a window of time hidden. What is left of 1 has no mask."""
    joint_ratio: float = 0.05
    """Of the random mask: each joint of each frame."""
    frame_ratio: float = 0.15
    """Of the random mask: each frame."""
    window_frames: tuple[int, int] = (30, 80)
    """Shortest and longest window; a clip under 60 frames loses half of itself at most."""
    overhang: bool = False
    """Windows may hang over the ends, so that every frame is hidden as often as any other."""

    def __post_init__(self) -> None:
        shares = (self.random, self.part, self.window)
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise UserError(
                f"masks: random, part and window are shares of 1, not {', '.join(map(str, shares))}"
            )
        if not 1 <= self.window_frames[0] <= self.window_frames[1]:
            raise UserError(
                f"masks.window_frames is shortest, longest, not {list(self.window_frames)}"
            )


@dataclass(frozen=True)
class TextClipConfig:
    """How a clip with its text is made from a corpus (stage one)."""

    corpora: dict[str, float] = field(default_factory=dict)
    """Folders, each with its share of the clips."""
    frames: int = 243
    temporal_stride: int = 1
    """Frames of the corpora from one frame of a clip to the next."""
    labels: Literal["frame", "sequence", "both"] = "frame"
    """Labels of spans, with the whole motion's text where it has none; the motion's; or both."""
    label_frequency: Literal["uniform", "sqrt", "label"] = "uniform"
    """Odds of a span: all alike; over the square root of its label's count; or over the count."""
    transitions: bool = True
    """Use spans of kind transition, as "transit from A to B"."""
    short: Literal["context", "padding"] = "context"
    """Spans shorter than a clip: what the motion has around them, or padding."""
    augmentation: AugmentationConfig = AugmentationConfig()
    """Perspective cameras only, and nothing that changes what the text describes."""
    short_windows: float = 0.0
    """Probability of a shorter window, from a third of `frames` up; what is left is padding."""
    camera: Literal["orthographic", "perspective"] = "orthographic"
    """Perspective cameras are those of stage two, in any direction."""
    view: Literal["front_side", "heading", "any"] = "front_side"
    """Yaw of orthographic views: 0 or 90 degrees in the world, or from the first pose; or any."""
    units_per_m: float = 0.298
    """Orthographic scale before normalization; MotionBERT's."""
    scale_jitter: float = 0.0
    """Deviation of the logarithm of `units_per_m`."""
    centring: Literal["first_frame", "none"] = "first_frame"
    """Whether the pelvis of the first frame is at x = y = 0."""
    normalization: Literal["image", "box"] = "image"
    """What is 1 in the model's units: one of the image, or half the person's box."""
    mirror: float = 0.5
    """Probability of mirroring a clip, and left and right in its text."""
    bone_length_jitter: float = 0.0
    """Deviation of the logarithm of bone lengths; directions are kept."""
    coco_joint_convention: float = 0.0
    """Probability that spine, thorax, nose and head are placed as from COCO keypoints."""
    noise: bool = True
    """Detector-like errors and confidences, before the mask."""
    masks: MaskConfig = MaskConfig()
    shuffle_texts: bool = False
    """Control: every span gets the text of another one, drawn once."""

    def __post_init__(self) -> None:
        _check_frame_step(self.temporal_stride)
        _check_probability("data.short_windows", self.short_windows)
        more = self.augmentation
        if more.recombine or more.perturb_deg:
            raise UserError(
                "data.augmentation: recombine and perturb_deg are for stage two, which has no "
                "text: set them to 0 here"
            )
        if more != AugmentationConfig() and self.camera == "orthographic":
            raise UserError("data.augmentation needs data.camera: perspective in stage one")


@dataclass(frozen=True)
class TextConfig:
    """The text side: the first layers of a BERT, and its pooling (Figure 6b)."""

    source: str = "google-bert/bert-base-uncased"
    """A BERT: a folder, a Hugging Face Hub id, or package:NAME/FOLDER inside a Python package."""
    layers: int = 3
    pooling: Literal["cls", "mean"] = "cls"
    """The <CLS> token, or the mean of all tokens."""
    dropout: float = 0.1
    """In BERT and in the pooling, while training."""
    max_tokens: int = 64
    """Longer texts are cut."""
    frozen: bool = False
    """Train only the pooling, not BERT."""
    learning_rate_factor: float = 0.1
    """Of the text side's learning rate."""


@dataclass(frozen=True)
class AlignmentConfig:
    """Equations 1 and 2."""

    negatives: int = 16
    """K: texts that each motion is compared with besides its own (source "vocabulary")."""
    source: Literal["vocabulary", "batch", "ranks"] = "vocabulary"
    """Where negatives come from: K drawn labels, or the texts of this, or of every, process."""
    temperature: float = 0.1
    focal_gamma: float = 2.0
    target: Literal["hard", "soft"] = "hard"
    """y: one-hot, or the softmax of `sharpness` times which texts are true (as ActionCLIP)."""
    sharpness: float = 10.0
    direction: Literal["motion_to_text", "symmetric"] = "motion_to_text"
    """Symmetric adds text to motion, over the motions of the batch (of all, with "ranks")."""


PRETRAINING = TrainingConfig(epochs=300, batch_size=16, learning_rate=5e-4)


@dataclass(frozen=True)
class PretrainConfig:
    """Stage one: 3D from hidden and noisy 2D, and the action's text (Equation 5)."""

    model: ModelConfig = ModelConfig()
    text: TextConfig = TextConfig()
    data: TextClipConfig = TextClipConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    training: TrainingConfig = PRETRAINING
    init: Path | None = None
    """Weights to start from: one of our checkpoints or an official MotionBERT file."""
    init_ignore: tuple[str, ...] = ()
    """Beginnings of names of weights that need not fit; the others must, one by one."""
    alignment_weight: float = 1.0
    """0 trains without text."""
    position_weight: float = 1.0
    velocity_weight: float = 20.0
    scale_weight: float = 0.0
    """MotionBERT's loss after the best scale per frame; it uses 0.5."""


def load_recipe(cls: type[Config], path: Path | str) -> Config:
    """Read a YAML recipe into a configuration.

    Raises:
        UserError: no such file, not YAML, an unknown key, or a value of another type.
    """
    return from_dict(cls, read_yaml(path), str(path))


def read_yaml(path: Path | str) -> Any:
    """The plain values of a YAML file; an empty one has no settings.

    Raises:
        UserError: no such file, or not YAML.
    """
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the recipe {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = " ".join(str(error).split())
        raise UserError(f"{path} is not YAML: {first}") from error
    return {} if values is None else values


def from_dict(cls: type[Config], values: Any, where: str) -> Config:
    """Build a configuration from plain values; `where` names their origin in errors."""
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected settings of {cls.__name__}, got {values!r}")
    hints = typing.get_type_hints(cls)
    defaults = {item.name: item.default for item in dataclasses.fields(cls)}  # type: ignore[arg-type]
    arguments = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(hints)}"
            raise UserError(f"{where}: unknown key {key!r} in {cls.__name__}{hint}")
        base = defaults.get(key)
        if (
            dataclasses.is_dataclass(base)
            and not isinstance(base, type)
            and isinstance(value, dict)
        ):
            value = {**_shallow(base), **value}  # a stage has defaults of its own inside
        arguments[key] = _parse(hints[key], value, f"{where}, {key}")
    return cls(**arguments)


def _shallow(config: Any) -> dict[str, Any]:
    return {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}


def _parse(hint: Any, value: Any, where: str) -> Any:
    """Check one value against its type; YAML gives lists, integers and strings for some."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_dict(hint, value, where)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in inner:
            return None
        return _parse(next(arg for arg in inner if arg is not type(None)), value, where)
    if origin is Literal:
        if value in inner:
            return value
    elif origin is tuple:
        if isinstance(value, (list, tuple)) and inner[-1] is Ellipsis:
            return tuple(_parse(inner[0], item, where) for item in value)
        if isinstance(value, (list, tuple)) and len(value) == len(inner):
            return tuple(_parse(a, v, where) for a, v in zip(inner, value, strict=True))
    elif origin is dict:
        if isinstance(value, dict):
            return {str(k): _parse(inner[1], v, f"{where}, {k}") for k, v in value.items()}
    elif hint is float:
        # YAML 1.1 reads 1e-4 as a string
        try:
            if not isinstance(value, bool) and math.isfinite(float(value)):
                return float(value)
        except (TypeError, ValueError):
            pass
    elif hint is Path:
        if isinstance(value, (str, Path)):
            return Path(value)
    elif type(value) is hint:
        return value
    return _wrong(hint, value, where)


def _wrong(hint: Any, value: Any, where: str) -> typing.NoReturn:
    name = getattr(hint, "__name__", None) if typing.get_origin(hint) is None else str(hint)
    raise UserError(f"{where}: {value!r} is not {name}")


def to_dict(config: Any) -> dict[str, Any]:
    """Plain values that YAML and JSON can hold; `from_dict` reads them back."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return str(value) if isinstance(value, Path) else value

    result: dict[str, Any] = plain(dataclasses.asdict(config))
    return result
