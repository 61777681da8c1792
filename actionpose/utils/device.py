"""The device that models run on."""

from actionpose.utils.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def choose_device(device: str) -> str:
    """The torch device, "cpu" or "cuda", for "auto" (a GPU if torch finds one), "cpu" or "cuda".

    Raises:
        UserError: no such device, or "cuda" where torch finds no GPU.
    """
    import torch

    if device not in DEVICES:
        raise UserError(f"device is {', '.join(DEVICES)}, not {device!r}")
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch finds no GPU: use cpu or auto")
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
