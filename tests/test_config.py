"""Recipes: what they may say, and what is refused with the place named."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
import yaml

from actionpose import config as configurations
from actionpose.config import (
    ClipConfig,
    FinetuneConfig,
    ModelConfig,
    TrainingConfig,
    from_dict,
    load_recipe,
    read_yaml,
    to_dict,
)
from actionpose.training.stages import read_stages
from actionpose.utils.errors import UserError

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))


def recipe(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(FinetuneConfig, path)


def test_an_empty_recipe_is_the_defaults(tmp_path):
    assert recipe(tmp_path, "") == FinetuneConfig()
    assert recipe(tmp_path, "# nothing but a comment\n") == FinetuneConfig()


def test_a_recipe_lists_only_differences(tmp_path):
    found = recipe(
        tmp_path,
        """
        model: {dim: 64, class_token: false}
        data:
          corpora: {some/folder: 0.7, other: 1}
          normalization: box
          distance_m: [2, 8.5]
        training: {learning_rate: 1e-4, max_minutes: 90, epochs: 2}
        init: runs/first
        """,
    )
    assert found == FinetuneConfig(
        model=ModelConfig(dim=64, class_token=False),
        data=ClipConfig(
            corpora={"some/folder": 0.7, "other": 1.0}, normalization="box", distance_m=(2.0, 8.5)
        ),
        training=TrainingConfig(learning_rate=1e-4, max_minutes=90.0, epochs=2.0),
        init=Path("runs/first"),
    )
    assert isinstance(found.training.epochs, float)
    assert isinstance(found.data.corpora["other"], float)


def test_numbers_that_yaml_reads_as_text(tmp_path):
    """YAML 1.1 takes 1e-4 for a string."""
    assert yaml.safe_load("1e-4") == "1e-4"
    assert recipe(tmp_path, "training: {learning_rate: 1e-4}").training.learning_rate == 1e-4


def test_null_where_it_is_allowed(tmp_path):
    found = recipe(tmp_path, "init: null\ntraining: {max_minutes: null}")
    assert found.init is None and found.training.max_minutes is None


WRONG = {
    "modle: {}": r"recipe\.yaml: unknown key 'modle' in FinetuneConfig; did you mean model\?",
    "model: {dmi: 3}": r"recipe\.yaml, model: unknown key 'dmi'.*did you mean dim\?",
    "model: {zzz: 3}": "unknown key 'zzz' in ModelConfig; known are dim, depth",
    "3: 4": "unknown key 3",
    "model: 5": "expected settings of ModelConfig, got 5",
    "- 1": "expected settings of FinetuneConfig",
    "model: {dim: 3.5}": "model, dim: 3.5 is not int",
    "model: {dim: wide}": "model, dim: 'wide' is not int",
    "model: {dim: true}": "model, dim: True is not int",
    "model: {class_token: 1}": "class_token: 1 is not bool",
    "training: {learning_rate: fast}": "training, learning_rate: 'fast' is not float",
    "training: {learning_rate: true}": "learning_rate: True is not float",
    "training: {learning_rate: [1]}": r"learning_rate: \[1\] is not float",
    "training: {learning_rate: null}": "learning_rate: None is not float",
    "training: {epochs: .nan}": "epochs: nan",
    "training: {learning_rate: .inf}": "learning_rate: inf",
    "training: {schedule: linear}": "schedule: 'linear' is not .*'exponential', 'cosine'",
    "training: {max_minutes: soon}": "max_minutes: 'soon' is not float",
    "data: {distance_m: 3}": "distance_m: 3 is not",
    "data: {distance_m: [3]}": r"distance_m: \[3\] is not",
    "data: {distance_m: [3, near]}": "distance_m: 'near' is not float",
    "data: {corpora: [a]}": r"corpora: \['a'\] is not",
    "data: {corpora: {a: much}}": "corpora, a: 'much' is not float",
    "init: 3": "init: 3 is not Path",
    "model: [": r"recipe\.yaml is not YAML",
    "a: \x00": r"recipe\.yaml is not YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named(tmp_path, text):
    with pytest.raises(UserError, match=WRONG[text]) as caught:
        recipe(tmp_path, text)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the recipe .*none\.yaml"):
        load_recipe(FinetuneConfig, tmp_path / "none.yaml")
    with pytest.raises(UserError, match="cannot read the recipe"):
        load_recipe(FinetuneConfig, tmp_path)
    (tmp_path / "latin.yaml").write_bytes(b"init: \xe9\xff")
    with pytest.raises(UserError, match=r"latin\.yaml is not YAML"):
        load_recipe(FinetuneConfig, tmp_path / "latin.yaml")


def test_a_recipe_is_no_program(tmp_path):
    with pytest.raises(UserError, match="is not YAML"):
        recipe(tmp_path, "init: !!python/object/apply:os.getcwd []")


EXAMPLES = [
    FinetuneConfig(),
    FinetuneConfig(
        data=ClipConfig(corpora={"a/b": 0.5}, focal_px=(900.0, 1500.0)),
        training=TrainingConfig(max_minutes=3.0, schedule="cosine", learning_rate=1e-7),
        init=Path("some/where"),
    ),
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_plain_values_and_back(example):
    plain = to_dict(example)
    assert from_dict(FinetuneConfig, plain, "here") == example
    # through a file, too; the values are those of YAML and nothing else
    assert from_dict(FinetuneConfig, yaml.safe_load(yaml.safe_dump(plain)), "here") == example


def test_to_dict_is_a_copy():
    config = FinetuneConfig(data=ClipConfig(corpora={"a": 1.0}))
    to_dict(config)["data"]["corpora"]["b"] = 2.0
    assert config.data.corpora == {"a": 1.0}


def test_configurations_are_frozen_and_do_not_share():
    with pytest.raises(AttributeError):
        FinetuneConfig().init = Path("x")
    assert FinetuneConfig().data.corpora == {}


def test_any_frozen_dataclass_is_a_configuration():
    @dataclass(frozen=True)
    class Small:
        kind: Literal["a", "b"] = "a"
        count: int | None = None

    assert from_dict(Small, {"kind": "b", "count": 3}, "x") == Small("b", 3)
    with pytest.raises(UserError, match="x, count: 'c' is not int"):
        from_dict(Small, {"count": "c"}, "x")


@pytest.mark.parametrize("path", RECIPES, ids=[path.name for path in RECIPES])
def test_every_recipe_loads(path):
    """As one of the configurations that end in Config and have a `training` part, or as stages."""
    if "stages" in read_yaml(path):
        assert read_stages(path, Path("run"))
        return
    stages = [
        value
        for name, value in vars(configurations).items()
        if name.endswith("Config") and "training" in getattr(value, "__dataclass_fields__", {})
    ]
    errors = []
    for stage in stages:
        try:
            assert isinstance(load_recipe(stage, path), stage)
            return
        except UserError as error:
            errors.append(str(error))
    raise AssertionError("\n".join(errors))


def test_there_are_recipes():
    assert RECIPES


@pytest.mark.parametrize("step", [0, -3])
def test_a_step_of_frames_is_1_or_more(tmp_path, step):
    with pytest.raises(UserError, match="temporal_stride must be 1 or more"):
        recipe(tmp_path, f"data: {{temporal_stride: {step}}}")
