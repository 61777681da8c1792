"""Training configuration: frozen dataclasses, set by recipes and the command line.

The defaults are those of the paper, or of MotionBERT where the paper follows it. A recipe is a YAML
file with only the differences (`utils.yaml_config`). The word in parentheses at the end of each
docstring is the origin of the default. `python -m actionpose.config` prints `docs/config.md`.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Interval

from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import Setting, Settings, as_text, settings_of

Probability = Annotated[float, Interval(ge=0, le=1)]
AtLeastZero = Annotated[float, Ge(0)]
Positive = Annotated[float, Gt(0)]
Count = Annotated[int, Ge(0)]
AtLeastOne = Annotated[int, Ge(1)]
PositiveRange = tuple[Positive, Positive]
Backbone = Literal[
    "dstformer",
    "mixste",
    "motionagformer",
    "videopose3d",
    "stcformer",
    "ktpformer",
    "tcpformer",
    "pstmo",
    "glagcn",
    "diffpose",
]


@dataclass(frozen=True)
class ModelConfig(Settings):
    """Kind and sizes of the pose encoder."""

    backbone: Backbone = "dstformer"
    """Architecture of the lifting network; all but dstformer ignore sizes they lack. (paper)"""
    dim: AtLeastOne = 512
    """Number of channels of a token. (MotionBERT)"""
    depth: AtLeastOne = 5
    """Number of pairs of transformer blocks. (paper)"""
    num_heads: AtLeastOne = 8
    """Number of attention heads; a divisor of `dim`. (MotionBERT)"""
    mlp_ratio: Positive = 2
    """Ratio of the hidden channels of the MLPs to `dim`. (MotionBERT)"""
    dim_rep: AtLeastOne = 512
    """Channels of the motion representation before the 3D head. (MotionBERT)"""
    max_frames: AtLeastOne = 243
    """Maximum length of a clip, and of the temporal embedding. (paper)"""
    bone_features: bool = False
    """Add the 2D vectors and lengths of bones to the input; dstformer only. (ours)"""
    heads: bool = False
    """Train heads for feet (`h36m17_feet`) and error bars; other weights are frozen. (ours)"""
    class_token: bool = True
    """Add the `<POSE>` token, which becomes the motion embedding. (paper)"""
    middle_layer: AtLeastOne = 3
    """Pair of blocks, counted from 1, after which the embedding is taken. (ours)"""
    embedding_depth: Count = 0
    """Pairs of blocks of an embedding branch after the middle layer; 0 for none. (paper)"""
    embedding_dim: AtLeastOne = 512
    """Dimension of the embeddings of motions and texts. (ours)"""
    directional_embedding: bool = False
    """Add layers that embed body sides and directions of motion. (ours)"""
    pooling_dropout: Probability = 0.1
    """Dropout rate of the pooling layers and of BERT in training. (ours)"""


@dataclass(frozen=True)
class CameraConfig(Settings):
    """Perspective cameras that look at the middle of a person's path from any direction."""

    distance_m: PositiveRange = (3.0, 6.0)
    """Range of the distance to the person. (ours)"""
    height_m: tuple[float, float] = (1.2, 2.2)
    """Range of the height above the ground. (ours)"""
    focal_px: PositiveRange = (1145.0, 1145.0)
    """Range of the focal length for images of 1000 pixels; 1145 in Human3.6M. (ours)"""
    tilt: Probability = 0.0
    """Probability of a camera pitched from 20 degrees up to 30 degrees down. (ours)"""
    rotation: Probability = 0.0
    """Probability of a camera in any direction, with any roll. (ours)"""

    def __post_init__(self) -> None:
        for name in ("distance_m", "height_m", "focal_px"):
            low, high = getattr(self, name)
            if low > high:
                raise UserError(f"data.camera.{name} is lowest, highest, not {[low, high]}")


@dataclass(frozen=True)
class NoiseConfig(Settings):
    """Errors of 2D detectors: MotionBERT's noise, applied to all clips, and augmentations."""

    person_size: Positive | None = None
    """Half box, in half image widths, of a person with noise of MotionBERT's magnitude. The noise
    scales with the person; by default it does not. (MotionBERT)"""
    coco_joint_convention: Probability = 0.0
    """Probability that spine, thorax, nose and head are derived as from COCO keypoints. (ours)"""
    random_joint_convention: Probability = 0.0
    """Probability that joints are offset as by a random detector, half of them MediaPipe. (ours)"""
    limb_occlusion: Probability = 0.0
    """Probability that a limb or the head is hidden for part of a clip. (ours)"""
    truncation: Probability = 0.0
    """Probability that an edge of the image cuts off the person. (ours)"""
    drop_confidence: Probability = 0.0
    """Probability that all visible joints have confidence 1. (ours)"""


@dataclass(frozen=True)
class SamplingConfig(Settings):
    """Sampling of clips from corpora, in pretraining and in fine-tuning."""

    corpora: dict[str, AtLeastZero] = field(default_factory=dict)
    """Folders of corpora with their sampling weights. (ours)"""
    frames: AtLeastOne = 243
    """Number of frames of a clip. (paper)"""
    temporal_stride: AtLeastOne = 1
    """Stride in corpus frames between consecutive frames of a clip. (paper)"""
    normalization: Literal["image", "box"] = "image"
    """Unit of the input: half the width of the image, or half the person's box. (MotionBERT)"""
    mirror: Probability = 0.5
    """Probability that a clip is mirrored, with left and right swapped in its text. (MotionBERT)"""
    bone_length_jitter: AtLeastZero = 0.0
    """Standard deviation of the log of a random scale of bone lengths. (ours)"""
    straighten_knees: Probability = 0.0
    """Probability that legs are shortened so that standing people have straight knees. (ours)"""
    random_mask: tuple[Probability, Probability] = (0.0, 0.0)
    """Probabilities that a joint is masked in a frame, and that a whole frame is masked. (paper)"""
    camera: CameraConfig = CameraConfig()
    noise: NoiseConfig = NoiseConfig()

    def without_augmentation(self) -> Self:
        """Settings for validation: original body proportions, fully visible to a level camera."""
        return replace(
            self,
            bone_length_jitter=0.0,
            straighten_knees=0.0,
            camera=replace(self.camera, tilt=0.0, rotation=0.0),
            noise=NoiseConfig(person_size=self.noise.person_size),
        )


@dataclass(frozen=True)
class FinetuneDataConfig(SamplingConfig):
    """Clips of fine-tuning: perspective views of corpora, or a paired dataset.

    Of a paired dataset, only `frames`, `stride` and `mirror` are used.
    """

    paired: Path | None = None
    """Folder of prepared Human3.6M or MPI-INF-3DHP data, used instead of corpora. (ours)"""
    stride: AtLeastOne = 81
    """Stride in frames between windows; an epoch has one clip per window. (MotionBERT)"""

    def without_augmentation(self) -> Self:
        plain = super().without_augmentation()
        return replace(plain, random_mask=(0.0, 0.0))


@dataclass(frozen=True)
class PretrainDataConfig(SamplingConfig):
    """Clips of pretraining: views of annotated spans of corpora, with masks and texts."""

    random_mask: tuple[Probability, Probability] = (0.05, 0.15)
    window_mask: tuple[int, int] = (30, 80)
    """Minimum and maximum length of a masked time window, at most half of a short clip. (paper)"""
    masks: dict[Literal["random", "part", "window"], Probability] = field(
        default_factory=lambda: {"random": 0.5, "part": 0.25, "window": 0.25}
    )
    """Fraction of clips with each kind of mask; the remaining clips have none. (paper)"""
    view: Literal["front_side", "heading", "perspective"] = "front_side"
    """Orthographic front and side views of the world or of the first pose, or cameras. (paper)"""
    label_kinds: tuple[Literal["action", "transition", "sequence"], ...] = ("action", "transition")
    """Kinds of labels to use; a motion without any of them has its sequence label. (paper)"""
    label_sampling: Literal["uniform", "square_root", "balanced"] = "uniform"
    """Sampling of spans: uniform, or by the inverse (root of the) count of their label. (paper)"""
    temporal_crop: Probability = 0.0
    """Probability that a clip is cropped to a third of `frames` or more, and padded. (ours)"""
    shuffle_texts: bool = False
    """Give every span the text of another span, as a control. (paper)"""

    def __post_init__(self) -> None:
        if sum(self.masks.values()) > 1 + 1e-9:
            raise UserError(f"data.masks: the fractions {self.masks} sum to more than 1")
        if not 1 <= self.window_mask[0] <= self.window_mask[1]:
            raise UserError(f"data.window_mask is shortest, longest, not {list(self.window_mask)}")
        coco = NoiseConfig(self.noise.person_size, self.noise.coco_joint_convention)
        if self.view != "perspective" and (self.camera, self.noise) != (CameraConfig(), coco):
            raise UserError(
                "data.camera and data.noise (but for person_size and coco_joint_convention) need "
                "data.view: perspective"
            )


@dataclass(frozen=True)
class TextConfig(Settings):
    """Text encoder: the first three layers of BERT and a pooling layer (Figure 6b)."""

    source: str = "google-bert/bert-base-uncased"
    """BERT model: folder, Hugging Face Hub id, or package:NAME/FOLDER in a Python package. If
    `init` has a text encoder, that one is used with its pooling. (paper)"""
    pooling: Literal["cls", "mean"] = "cls"
    """Features of a text: its `<CLS>` token, or the mean of all tokens. (paper)"""
    frozen: bool = False
    """Freeze BERT and train only the pooling layers. (paper)"""


@dataclass(frozen=True)
class AlignmentConfig(Settings):
    """The alignment of motions and texts in pretraining (Equations 1 and 2)."""

    negatives: AtLeastOne | Literal["batch", "ranks"] = 16
    """Number K of texts drawn per motion, or those of the batch, or of all ranks. (paper)"""
    temperature: Positive = 0.1
    """Temperature of the softmax over cosines, tau of Equation 1. (paper)"""
    focal_gamma: AtLeastZero = 2.0
    """Exponent of the focal loss. (ours)"""
    target_temperature: Positive | None = None
    """Temperature of soft targets over all matching texts; by default one-hot targets. (paper)"""


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """The training loop: length, optimizer, schedule, machine, checkpoints."""

    epochs: Positive = 60
    """Epochs over the windows (fine-tuning) or spans (pretraining). (paper)"""
    batch_size: AtLeastOne = 32
    """Clips per step, over all processes and accumulation steps. (paper)"""
    gradient_accumulation_steps: AtLeastOne = 1
    """Parts into which a process divides its clips of a step. (ours)"""
    optimizer: Literal["adamw", "muon"] = "adamw"
    """Optimizer; muon updates the matrices of the encoder's blocks, AdamW the rest. (paper)"""
    learning_rate: AtLeastZero = 2e-4
    """Peak learning rate of AdamW; Muon's is 20 times as high. (paper)"""
    weight_decay: AtLeastZero = 0.01
    """Decoupled weight decay. (MotionBERT)"""
    schedule: Literal["exponential", "cosine"] = "exponential"
    """Decay of the learning rate: by 0.99 per epoch, or as a cosine to zero. (MotionBERT)"""
    warmup_steps: Count = 0
    """Steps of linear warm-up of the learning rate. (MotionBERT)"""
    max_grad_norm: Positive = 1.0
    """Maximum norm for gradient clipping. (ours)"""
    precision: Literal["float32", "bf16"] = "float32"
    """Precision of matrix multiplications. (ours)"""
    device: Literal["auto", "cpu", "cpu_fused", "cuda"] = "auto"
    """Device; cpu_fused runs the blocks in C++ kernels and needs g++ or clang++. (ours)"""
    workers: Count = 0
    """Number of worker processes that load batches. (ours)"""
    seed: Count = 0
    """Seed of weights, clips and dropout. (ours)"""
    save_every: AtLeastOne = 1000
    """Steps between two checkpoints. (ours)"""
    max_minutes: AtLeastZero | None = None
    """Time limit after which training saves and stops; the same command resumes. (ours)"""


@dataclass(frozen=True)
class PretrainTrainingConfig(TrainingConfig):
    """The training loop with the defaults of pretraining."""

    epochs: Positive = 300
    batch_size: AtLeastOne = 16
    learning_rate: AtLeastZero = 5e-4


@dataclass(frozen=True)
class RunConfig(Settings):
    """Settings shared by pretraining and fine-tuning."""

    init: Path | None = None
    """Weights to start from: a checkpoint, or an official MotionBERT file. (paper)"""
    init_ignore: tuple[str, ...] = ()
    """Prefixes of weight names that may differ from the model; all others must match. (ours)"""
    model: ModelConfig = ModelConfig()


@dataclass(frozen=True)
class FinetuneConfig(RunConfig):
    """Fine-tuning: lift detected 2D to 3D, without text."""

    loss_weights: dict[Literal["position", "velocity", "scale"], AtLeastZero] = field(
        default_factory=lambda: {"position": 1.0, "velocity": 20.0, "scale": 0.0}
    )
    """Weights of the losses; omitted losses have weight 0. (MotionBERT)"""
    data: FinetuneDataConfig = FinetuneDataConfig()
    training: TrainingConfig = TrainingConfig()


@dataclass(frozen=True)
class PretrainConfig(RunConfig):
    """Pretraining: 3D from masked and noisy 2D, and alignment with text (Equation 5)."""

    loss_weights: dict[Literal["position", "velocity", "scale", "alignment"], AtLeastZero] = field(
        default_factory=lambda: dict(position=1.0, velocity=20.0, scale=0.0, alignment=1.0)
    )
    """Weights of the losses; omitted losses have weight 0. Without alignment, no text is used. With
    alignment only, a separate embedding branch (`model.embedding_depth`) is trained and the lifting
    network of `init` is frozen. (MotionBERT)"""
    text: TextConfig = TextConfig()
    data: PretrainDataConfig = PretrainDataConfig()
    alignment: AlignmentConfig = AlignmentConfig()
    training: PretrainTrainingConfig = PretrainTrainingConfig()

    @property
    def freezes_lifting(self) -> bool:
        """Whether only the embedding is trained."""
        trained = {name for name, weight in self.loss_weights.items() if weight}
        own = self.model.class_token and self.model.embedding_depth > 0
        return own and self.init is not None and trained == {"alignment"}


_INTRODUCTION = """\
# Settings

<!-- written by python -m actionpose.config; change actionpose/config.py instead -->

Settings of `actionpose pretrain` and `actionpose finetune`. A recipe is a YAML file that lists the
settings that differ from the defaults; groups are nested:

```yaml
data:
  corpora: {data/open/cmu: 0.7, data/open/hdm05: 0.3}
  camera: {focal_px: [700, 1200]}
```

On the command line, each setting is an option, such as `--data.camera.focal-px 700 1200`, which
overrides the recipe. Each key of a dictionary is a separate option, such as
`--loss-weights.velocity 2`; only `--data.corpora FOLDER WEIGHT ...` replaces the whole dictionary
of the recipe. Boolean settings are flags, such as `--model.class-token` and
`--model.no-class-token`. An unknown key is an error. The last column gives the origin of the
default value.
"""


def document() -> str:
    """The content of `docs/config.md`: a table for each group of settings."""
    found: dict[str, dict[str, Setting]] = {}
    for stage, cls in {"fine-tuning": FinetuneConfig, "pretraining": PretrainConfig}.items():
        for setting in settings_of(cls):
            found.setdefault(setting.name, {})[stage] = setting
    groups: dict[str, list[str]] = {}
    for name, stages in found.items():
        defaults = {stage: as_text(setting.default) for stage, setting in stages.items()}
        default = next(iter(defaults.values()))
        if len(set(defaults.values())) > 1:
            default = "; ".join(f"{stage}: {text}" for stage, text in defaults.items())
        group, _, key = name.rpartition(".")
        setting, used = list(stages.values())[-1], "both" if len(stages) > 1 else next(iter(stages))
        row = (f"`{key}`", setting.type, default, setting.meaning, used, setting.origin)
        groups.setdefault(group, []).append(f"| {' | '.join(row)} |")
    head = "| setting | type | default | meaning | stage | origin |\n|---|---|---|---|---|---|"
    order = ("", "model", "text", "data", "data.camera", "data.noise", "alignment", "training")
    assert set(order) == set(groups)
    tables = ("\n".join([f"## {of or 'Losses and weights'}\n", head, *groups[of]]) for of in order)
    return "\n\n".join([_INTRODUCTION.rstrip("\n"), *tables]) + "\n"


if __name__ == "__main__":
    print(document(), end="")
