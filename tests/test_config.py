"""Recipes: what they may say, and what is refused with the key named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml
from helpers.command_line import call

from actionpose.config import (
    CameraConfig,
    FinetuneConfig,
    FinetuneDataConfig,
    ModelConfig,
    PretrainConfig,
    TrainingConfig,
    document,
)
from actionpose.training import finetune, loop
from actionpose.training.stages import read_stages
from actionpose.utils.errors import UserError
from actionpose.utils.yaml_config import (
    Settings,
    from_dict,
    load_recipe,
    read_yaml,
    settings_of,
    to_dict,
)

ROOT = Path(__file__).parent.parent
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))


def num_settings(*configurations: type[Settings]) -> int:
    """Leaves of all configurations; one that several have is counted once."""
    return len({setting.name for cls in configurations for setting in settings_of(cls)})


def test_there_are_few_settings() -> None:
    assert num_settings(PretrainConfig, FinetuneConfig) <= 68


def test_document_is_that_of_the_code() -> None:
    """Written by python -m actionpose.config > docs/config.md."""
    assert (ROOT / "docs" / "config.md").read_text(encoding="utf-8") == document()


@pytest.mark.parametrize("cls", [PretrainConfig, FinetuneConfig])
def test_every_setting_names_the_origin_of_its_default(cls: type[Settings]) -> None:
    for setting in settings_of(cls):
        assert setting.origin in ("paper", "MotionBERT", "ours"), setting.name
        assert setting.meaning.endswith("."), setting.name


def recipe(tmp_path: Path, text: str) -> FinetuneConfig:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(FinetuneConfig, path)


def test_an_empty_recipe_is_the_defaults(tmp_path: Path) -> None:
    assert recipe(tmp_path, "") == FinetuneConfig()
    assert recipe(tmp_path, "# nothing but a comment\n") == FinetuneConfig()


def test_a_recipe_lists_only_differences(tmp_path: Path) -> None:
    found = recipe(
        tmp_path,
        """
        model: {dim: 64, class_token: false}
        data:
          corpora: {some/folder: 0.7, other: 1}
          normalization: box
          camera: {distance_m: [2, 8.5]}
        training: {learning_rate: 1e-4, max_minutes: 90, epochs: 2}
        init: runs/first
        """,
    )
    assert found == FinetuneConfig(
        model=ModelConfig(dim=64, class_token=False),
        data=FinetuneDataConfig(
            corpora={"some/folder": 0.7, "other": 1.0},
            normalization="box",
            camera=CameraConfig(distance_m=(2.0, 8.5)),
        ),
        training=TrainingConfig(learning_rate=1e-4, max_minutes=90.0, epochs=2.0),
        init=Path("runs/first"),
    )
    assert isinstance(found.training.epochs, float)
    assert isinstance(found.data.corpora["other"], float)


def test_a_stage_keeps_its_own_defaults() -> None:
    found = from_dict(PretrainConfig, {"training": {"epochs": 2}}, "here")
    assert (found.training.epochs, found.training.batch_size) == (2, 16)
    assert found.data.random_mask == (0.05, 0.15) != FinetuneConfig().data.random_mask


@pytest.mark.parametrize("number", ["1e-4", "1.e-4", "+1E-04"])
def test_numbers_that_pyyaml_reads_as_text(tmp_path: Path, number: str) -> None:
    """YAML 1.1 takes 1e-4 for a string."""
    assert yaml.safe_load("1e-4") == "1e-4"
    assert recipe(tmp_path, f"training: {{learning_rate: {number}}}").training.learning_rate == 1e-4


def test_null_where_it_is_allowed(tmp_path: Path) -> None:
    found = recipe(tmp_path, "init: null\ntraining: {max_minutes: null}")
    assert found.init is None and found.training.max_minutes is None


WRONG = {
    "modle: {}": r"recipe\.yaml: unknown key modle; did you mean model\?",
    "model: {dmi: 3}": r"recipe\.yaml: unknown key model\.dmi; did you mean model\.dim\?",
    "model: {zzz: 3}": r"unknown key model\.zzz; docs/config\.md has",
    "data: {focal_px: [9, 9]}": r"key data\.focal_px; did you mean data\.camera\.focal_px\?",
    "3: 4": "unknown key 3",
    "model: 5": "model is 5: it should be an object",
    "- 1": r"FinetuneConfig is \[1\]",
    "model: {dim: 3.5}": "model.dim is 3.5: it should be a valid integer",
    "model: {dim: wide}": "model.dim is 'wide': it should be a valid integer",
    "model: {dim: true}": "model.dim is True",
    "model: {class_token: 1}": "model.class_token is 1: it should be a valid boolean",
    "training: {learning_rate: fast}": "training.learning_rate is 'fast': .* number",
    "training: {learning_rate: true}": "training.learning_rate is True",
    "training: {learning_rate: [1]}": r"training.learning_rate is \[1\]",
    "training: {learning_rate: null}": "training.learning_rate is None",
    "training: {epochs: .nan}": "training.epochs is nan",
    "training: {learning_rate: .inf}": "training.learning_rate is inf",
    "training: {schedule: linear}": "schedule is 'linear': .*'exponential' or 'cosine'",
    "training: {max_minutes: soon}": "training.max_minutes is 'soon'",
    "data: {camera: {distance_m: 3}}": "data.camera.distance_m is 3",
    "data: {camera: {distance_m: [3]}}": r"data.camera.distance_m is \[3\]",
    "data: {camera: {distance_m: [3, near]}}": "data.camera.distance_m is 'near'",
    "data: {corpora: [a]}": r"data.corpora is \['a'\]",
    "data: {corpora: {a: much}}": "data.corpora.a is 'much'",
    "data: {mirror: 1.2}": "data.mirror is 1.2: it should be less than or equal to 1",
    "data: {bone_length_jitter: -1}": "data.bone_length_jitter is -1: it should be greater than",
    "data: {camera: {distance_m: [6, 3]}}": r"distance_m is lowest, highest, not \[6\.0, 3",
    "data: {camera: {focal_px: [0, 9]}}": "data.camera.focal_px is 0: it should be greater than 0",
    "data: {corpora: {a: -0.5}}": "data.corpora.a is -0.5: it should be greater",
    "model: {num_heads: 0}": "model.num_heads is 0: it should be greater than or equal to 1",
    "model: {depth: -1}": "model.depth is -1: it should be greater than or equal to 1",
    "training: {epochs: -5}": "training.epochs is -5: it should be greater than 0",
    "training: {max_grad_norm: -1}": "training.max_grad_norm is -1: it should be greater than 0",
    "training: {workers: -1}": "training.workers is -1: it should be .* equal to 0",
    "loss_weights: {position: -1}": "loss_weights.position is -1: it should be greater",
    "data: {temporal_stride: 0}": "data.temporal_stride is 0: it should be .* equal to 1",
    "data: {temporal_stride: -3}": "data.temporal_stride is -3: it should be .* equal to 1",
    "data: {masks: {random: 1}}": "unknown key data.masks",
    "loss_weights: {positon: 1}": "loss_weights.positon .* 'position', 'velocity' or 'scale'",
    "init: 3": "init is 3: it should be a valid",
    "data: 2020-01-01": "data is '2020-01-01'",
    "model: [": r"recipe\.yaml is not YAML",
    "a: \x00": r"recipe\.yaml is not YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError, match=WRONG[text]) as caught:
        recipe(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read the recipe .*none\.yaml"):
        load_recipe(FinetuneConfig, tmp_path / "none.yaml")
    with pytest.raises(UserError, match="cannot read the recipe"):
        load_recipe(FinetuneConfig, tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"init: \xe9\xff")
    with pytest.raises(UserError, match=r"latin\.yaml is not YAML"):
        load_recipe(FinetuneConfig, tmp_path / "latin.yaml")


def test_a_recipe_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not YAML"):
        recipe(tmp_path, "init: !!python/object/apply:os.getcwd []")


EXAMPLES = [
    FinetuneConfig(),
    FinetuneConfig(
        data=FinetuneDataConfig(
            corpora={"a/b": 0.5}, camera=CameraConfig(focal_px=(900.0, 1500.0))
        ),
        training=TrainingConfig(max_minutes=3.0, schedule="cosine", learning_rate=1e-7),
        init=Path("some/where"),
    ),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_plain_values_and_back(example: FinetuneConfig) -> None:
    plain = to_dict(example)
    assert from_dict(FinetuneConfig, plain, "here") == example
    # through a file, too; the values are those of YAML and nothing else
    assert from_dict(FinetuneConfig, yaml.safe_load(yaml.safe_dump(plain)), "here") == example


def test_to_dict_is_a_copy() -> None:
    config = FinetuneConfig(data=FinetuneDataConfig(corpora={"a": 1.0}))
    to_dict(config)["data"]["corpora"]["b"] = 2.0
    assert config.data.corpora == {"a": 1.0}


def test_configurations_are_frozen_and_do_not_share() -> None:
    with pytest.raises(AttributeError):
        FinetuneConfig().init = Path("x")  # type: ignore[misc]
    assert FinetuneConfig().data.corpora == {}


@dataclass(frozen=True)
class Small(Settings):
    kind: Literal["a", "b"] = "a"
    """One of two. (ours)"""
    count: int | None = None
    """How many. (ours)"""


def test_any_settings_are_a_configuration() -> None:
    assert from_dict(Small, {"kind": "b", "count": 3}, "x") == Small("b", 3)
    with pytest.raises(UserError, match="x: count is 'c': it should be a valid integer"):
        from_dict(Small, {"count": "c"}, "x")


@pytest.mark.parametrize("path", RECIPES, ids=[path.name for path in RECIPES])
def test_every_recipe_loads(path: Path) -> None:
    """As pretraining, fine-tuning, or stages of both."""
    if "stages" in read_yaml(path):
        assert read_stages(path, Path("run"))
        return
    errors = []
    for cls in (PretrainConfig, FinetuneConfig):
        try:
            assert isinstance(load_recipe(cls, path), cls)
            return
        except UserError as error:
            errors.append(str(error))
    raise AssertionError("\n".join(errors))


def test_there_are_recipes() -> None:
    assert RECIPES


# ---- the command line


@pytest.fixture
def trained_with(monkeypatch: pytest.MonkeyPatch) -> list[FinetuneConfig]:
    """The configurations that `actionpose finetune` trains with, in place of training."""
    found: list[FinetuneConfig] = []

    def train(config: FinetuneConfig, run: Path, *, quiet: bool = False) -> loop.Outcome:
        found.append(config)
        return loop.Outcome(1, "finished", run)

    monkeypatch.setattr(finetune, "finetune", train)
    return found


def test_options_override_the_recipe(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trained_with: list[FinetuneConfig]
) -> None:
    text = "data: {corpora: {a: 1, b: 2}, frames: 9}\nloss_weights: {position: 1, velocity: 20}\n"
    (tmp_path / "r.yaml").write_text(text)
    options = ["finetune", "--config", tmp_path / "r.yaml", "--run", "x"]
    assert call(monkeypatch, *options, "--data.stride", 3) == 0
    assert call(monkeypatch, *options, "--data.corpora", "data/x", 1) == 0
    assert call(monkeypatch, *options, "--data.camera.focal-px", 700, 900) == 0
    assert call(monkeypatch, *options, "--loss-weights.velocity", 2) == 0
    stride, corpora, focal, weights = trained_with
    assert (stride.data.corpora, stride.data.stride, stride.data.frames) == ({"a": 1, "b": 2}, 3, 9)
    assert corpora.data.corpora == {"data/x": 1.0} and corpora.data.frames == 9
    assert focal.data.camera.focal_px == (700, 900)
    assert weights.loss_weights == {"position": 1, "velocity": 2}


@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_help_is_short_and_has_every_setting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert call(monkeypatch, command, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 123 and max(map(len, lines)) <= 100
    for setting in settings_of(PretrainConfig if command == "pretrain" else FinetuneConfig):
        assert any(f"--{setting.name.replace('_', '-')} " in line for line in lines), setting.name
