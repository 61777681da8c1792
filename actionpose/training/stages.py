"""Training of a released model by a recipe with stages, each initialized from the previous one.

A recipe is a YAML file with a list `stages`. A stage has a `name`, a `command` (pretrain or
finetune) and the settings of that command that differ from the defaults. `based_on`,
`expected_minutes` and `expected_score` are optional. Settings outside `stages` apply to all stages.
Settings of the stage `based_on` apply unless a stage overrides them. Dictionaries such as
`data.corpora` are replaced as a whole.

`base` is the name of another recipe in the same folder, whose settings and stages apply unless
overridden; entries of `stages` then change the stages with the same names. Expected minutes and
scores of the base are ignored.

Stage N of the run FOLDER is stored in FOLDER/N-NAME and starts from the last checkpoint of stage
N - 1.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from actionpose import checkpoint
from actionpose.config import FinetuneConfig, PretrainConfig
from actionpose.model_hub import stage_folders
from actionpose.training import run_folder
from actionpose.training.finetune import finetune
from actionpose.training.loop import Outcome
from actionpose.training.pretrain import pretrain
from actionpose.utils.errors import UserError
from actionpose.utils.json_files import read_json, typed
from actionpose.utils.yaml_config import Settings, from_dict, read_yaml, to_dict

_CONFIGS: dict[str, type[FinetuneConfig] | type[PretrainConfig]] = {
    "finetune": FinetuneConfig,
    "pretrain": PretrainConfig,
}
_EXPECTED = ("expected_minutes", "expected_score")
_WHOLE = ("corpora", "masks", "loss_weights")  # settings that are dictionaries


@dataclass(frozen=True)
class StageInfo(Settings):
    """The properties of a stage in a recipe other than its settings."""

    name: str = ""
    command: str = ""
    based_on: str = ""
    expected_minutes: float = 0.0
    expected_score: dict[str, float] = field(default_factory=dict)
    """Expected scores by name, from the validation of training or `actionpose evaluate open`."""


@dataclass(frozen=True)
class Stage:
    """A stage of a run."""

    info: StageInfo
    folder: Path
    config: FinetuneConfig | PretrainConfig

    @property
    def report(self) -> dict[str, Any]:
        """The `report.json` of the stage, empty if no call has ended.

        Raises:
            UserError: If the file is damaged.
        """
        path = self.folder / "report.json"
        return typed(dict[str, Any], read_json(path), str(path)) if path.exists() else {}

    @property
    def state(self) -> str:
        """The state of the training: "finished", "resumes at step N" or "to do".

        Raises:
            UserError: If the stage has another configuration, or its report is damaged.
        """
        last = run_folder.last_checkpoint(self.folder, to_dict(self.config))
        if last is None:
            return "to do"
        is_finished = self.report.get("status") == "finished"
        return "finished" if is_finished else f"resumes at step {int(last.name)}"


def read_stages(path: Path, run: Path) -> list[Stage]:
    """Read the stages of a recipe, for a run in the folder `run`.

    Raises:
        UserError: If the file is not a recipe with stages, or a stage is invalid.
    """
    recipe = _with_base(read_yaml(path), path)
    listed = recipe.pop("stages", None) if isinstance(recipe, dict) else None
    if not isinstance(listed, list) or not listed:
        raise UserError(
            f"{path} has no list of stages: train a recipe of one stage with actionpose pretrain "
            "or actionpose finetune, --config"
        )
    stages: list[Stage] = []
    settings: dict[str, dict[str, Any]] = {}  # by the name of a stage
    for number, values in enumerate(listed, 1):
        where = f"{path}, stage {number}"
        if not isinstance(values, dict):
            raise UserError(f"{where} is not a mapping of settings")
        known = StageInfo.__dataclass_fields__.keys() & values.keys()
        info = from_dict(StageInfo, {key: values[key] for key in known}, where)
        own = {key: value for key, value in values.items() if key not in known}
        _check(info, own, settings, stages, where)
        base = settings.get(info.based_on, recipe)
        settings[info.name] = _merged(base, own)
        config = from_dict(_CONFIGS[info.command], settings[info.name], f"{where} ({info.name})")
        if stages:
            config = replace(config, init=stages[-1].folder)
        stages.append(Stage(info, run / f"{number}-{info.name}", config))
    return [_with_recorded_init(stage) for stage in stages]


def _with_base(recipe: Any, path: Path) -> Any:
    if not isinstance(recipe, dict) or "base" not in recipe:
        return recipe
    base = recipe.pop("base")
    if not isinstance(base, str):
        raise UserError(f"{path}: base must be the name of a recipe, not {base!r}")
    settings = read_yaml(path.parent / base)
    if not isinstance(settings, dict) or "base" in settings:
        raise UserError(f"{path}: {base} must be a recipe of its own, with no base")
    listed = settings.get("stages")
    if not isinstance(listed, list) or not all(isinstance(stage, dict) for stage in listed):
        raise UserError(f"{path}: {base} has no list of stages")
    stages = {
        str(stage.get("name")): {key: stage[key] for key in stage if key not in _EXPECTED}
        for stage in listed
    }
    changes = recipe.pop("stages", [])
    if not isinstance(changes, list):
        raise UserError(f"{path}: stages must be a list")
    for change in changes:
        name = change.get("name") if isinstance(change, dict) else change
        if str(name) not in stages:
            known = ", ".join(stages)
            raise UserError(f"{path}: {base} has no stage {name!r} to change; it has {known}")
        stages[str(name)] = _merged(stages[str(name)], change)
    return _merged(settings, recipe) | {"stages": list(stages.values())}


def _check(
    info: StageInfo,
    settings: Mapping[str, Any],
    others: Mapping[str, Any],
    before: list[Stage],
    where: str,
) -> None:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", info.name) or info.name in others:
        raise UserError(
            f"{where}: name must be of a-z, 0-9, - and _, and not that of another stage, not "
            f"{info.name!r}"
        )
    if info.command not in _CONFIGS:
        raise UserError(f"{where}: command must be pretrain or finetune, not {info.command!r}")
    if info.based_on:
        commands = {stage.info.name: stage.info.command for stage in before}
        if commands.get(info.based_on) != info.command:
            raise UserError(
                f"{where}: based_on must name an earlier stage with the command {info.command}, "
                f"not {info.based_on!r}"
            )
    if before and "init" in settings:
        raise UserError(f"{where}: only the first stage has init; others start from the one before")


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and key not in _WHOLE:
            value = _merged(old, value)
        merged[key] = value
    return merged


def _with_recorded_init(stage: Stage) -> Stage:
    """Use the recorded folder of the previous stage, which may have been moved."""
    saved = stage.folder / "config.yaml"
    if not stage.config.init or not saved.is_file():
        return stage
    init = Path(yaml.safe_load(saved.read_text(encoding="utf-8"))["init"] or "")
    if init.name != stage.config.init.name:
        return stage
    return replace(stage, config=replace(stage.config, init=init))


def train(
    recipe: Path,
    run: Path,
    *,
    quiet: bool = False,
    report: Callable[[str], object] = lambda line: None,
) -> Outcome:
    """Train the stages of a recipe, or resume at the stage and step where a call stopped.

    Args:
        recipe: Recipe with stages.
        run: Folder of the run.
        quiet: Whether to hide the progress bar.
        report: Function that is called with a line before and after each stage.

    Returns:
        The outcome of the last stage that was trained. If a stage is stopped, later ones are not
        started.

    Raises:
        UserError: See `read_stages`, `pretrain` and `finetune`; or if `run` contains other stages
            or has another configuration.
    """
    stages = read_stages(recipe, run)
    _check_folder(run, recipe, stages)
    for number, stage in enumerate(stages, 1):
        title = f"stage {number} of {len(stages)}, {stage.folder.name}"
        if stage.state == "finished":
            report(f"{title}: finished")
            continue
        minutes = stage.info.expected_minutes
        report(f"{title}: {stage.info.command}" + (f", {minutes:g} minutes" if minutes else ""))
        if isinstance(stage.config, PretrainConfig):
            outcome = pretrain(stage.config, stage.folder, quiet=quiet)
        else:
            outcome = finetune(stage.config, stage.folder, quiet=quiet)
        report(f"{title}: {outcome.status} at step {outcome.step}{_scores(stage)}")
        if outcome.status != "finished":
            return outcome
    last = checkpoint.saved_steps(stages[-1].folder)[-1]
    return Outcome(int(last.name), "finished", last)


def _check_folder(run: Path, recipe: Path, stages: Sequence[Stage]) -> None:
    """Check that the folder does not contain another training run."""
    for folder in [*stage_folders(run), run / "checkpoints"]:
        if folder.is_dir() and folder not in [stage.folder for stage in stages]:
            raise UserError(
                f"{run} has {folder.name}, which is no stage of {recipe}: use the recipe that it "
                "was made with, or another --run"
            )


def _scores(stage: Stage) -> str:
    """The scores of a trained stage that have an expected value, with that value."""
    scores = stage.report.get("scores", {})
    found = [
        f"{name} {scores[name]:.1f} (expected {value:g})"
        for name, value in stage.info.expected_score.items()
        if name in scores
    ]
    return ": " + ", ".join(found) if found else ""


def plan(stages: Sequence[Stage]) -> list[str]:
    """A line per stage with its expected minutes and scores and its state, and a line with the sum.

    Raises:
        UserError: See `Stage.state`.
    """
    lines = []
    for stage in stages:
        info = stage.info
        scores = ", ".join(f"{name} {value:g}" for name, value in info.expected_score.items())
        line = f"{stage.folder.name:16} {info.command:9} {info.expected_minutes:5g} minutes"
        lines.append(f"{line}  {stage.state:20} {scores}".rstrip())
    total = sum(stage.info.expected_minutes for stage in stages)
    return [*lines, f"{len(stages)} stages, {total:g} minutes"]
