"""Commands about checkpoints: `actionpose models`."""

import json
from pathlib import Path

from tyro.conf import Positional


def models_list() -> None:
    """The models that ship with the package."""
    from actionpose.checkpoint import bundled

    for name, folder in bundled().items():
        print(f"{name}\t{folder}")


def models_info(checkpoint: Positional[str] = "tiny") -> None:
    """What a checkpoint says of itself.

    Args:
        checkpoint: Bundled name, checkpoint or run folder, or Hub id.
    """
    from actionpose.checkpoint import find, load, sha256

    folder = find(checkpoint)
    weights, meta = load(folder)
    print(json.dumps({**meta, "sha256": sha256(folder)}, indent=2))
    print(f"{sum(value.numel() for value in weights.values()):,} parameters")


def models_convert(checkpoint: Positional[str], out: Positional[Path], text: bool = False) -> None:
    """Write what others need of a checkpoint: half-precision weights, metadata, known labels.

    Args:
        checkpoint: Checkpoint or run folder.
        out: Folder to make.
        text: Also the trained text side, for labels that training has not seen.
    """
    from actionpose.checkpoint import find, publish

    print(f"wrote   {publish(find(checkpoint), out, text=text)}")
