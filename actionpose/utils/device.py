"""Selection of the device for models."""

from actionpose.utils.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def choose_device(device: str) -> str:
    """Return the torch device, "cpu" or "cuda", for "auto", "cpu" or "cuda".

    "auto" selects "cuda" if a GPU is available.

    Raises:
        UserError: If the device is unknown, or "cuda" is not available.
    """
    import torch

    if device not in DEVICES:
        raise UserError(f"device is {', '.join(DEVICES)}, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch finds no GPU: use cpu or auto")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
