"""Checkpoint lookup: bundled models, folders, files, and the Hugging Face Hub."""

from importlib import resources
from pathlib import Path

from actionpose.checkpoint import LABELS, META, TEXT, WEIGHTS, saved_steps
from actionpose.utils.errors import UserError


def bundled() -> dict[str, Path]:
    """The checkpoints in the package by name."""
    root = Path(str(resources.files("actionpose"))) / "weights"
    return {path.parent.name: path.parent for path in sorted(root.glob(f"*/{META}"))}


def find(name: str | Path) -> Path:
    """Find the folder of a checkpoint, or an official MotionBERT file.

    Args:
        name: Name of a bundled model, folder of a checkpoint, a run or a run with stages, official
            MotionBERT file, or Hugging Face Hub id. For a run, the last checkpoint is used; for a
            run with stages, that of the last stage. RUN/best is the checkpoint with the best score.

    Raises:
        UserError: If the checkpoint does not exist, or the Hub cannot be reached.
    """
    if str(name) in bundled():
        return bundled()[str(name)]
    folder = Path(name)
    for run in (folder, *reversed(stage_folders(folder))):
        if steps := saved_steps(run):
            return steps[-1]
    if folder.exists():
        return folder
    if str(name).count("/") == 1 and not str(name).startswith((".", "/")):
        return _download(str(name))
    known = ", ".join(bundled()) or "none"
    raise UserError(f"no checkpoint {name}: give a folder, a Hub id, or a bundled name ({known})")


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=[WEIGHTS, META, LABELS, f"{TEXT}/*"]))
    except OSError as error:  # base class of the exceptions of huggingface_hub
        why = f"failed ({type(error).__name__})"
        if isinstance(error, LocalEntryNotFoundError):
            why = "cannot be reached"
        elif isinstance(error, RepositoryNotFoundError):
            why = "has no such model, or does not show it to you"
        raise UserError(
            f"no folder {name} here, and the Hugging Face Hub {why}: name a run, a checkpoint, or "
            "a model of `models list`"
        ) from error


def stage_folders(run: Path) -> list[Path]:
    """The folders N-NAME of a run with stages, in order; see `training.stages`."""
    found = [path for path in run.glob("[0-9]*-*") if path.name.split("-")[0].isdigit()]
    return sorted(found, key=lambda path: int(path.name.split("-")[0]))
