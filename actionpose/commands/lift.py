"""Commands that lift, and write results in other formats."""

import time
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from tqdm import tqdm
from tyro.conf import Positional, UseAppendAction, arg

from actionpose.commands.common import Checkpoint, Device, Quiet, make_folder, parse_size
from actionpose.errors import UserError


def demo(
    out: Annotated[Path, arg(aliases=["-o"], help="folder for the files")] = Path("demo"),
    html: Annotated[bool, arg(help="also write a 3D viewer for the browser")] = True,
    device: Device = "auto",
) -> None:
    """Lift a bundled real clip and write the result, a picture and a 3D viewer; offline."""
    from actionpose.keypoints import Keypoints
    from actionpose.lift import ActionPose

    file = Path(str(resources.files("actionpose"))) / "assets" / "demo_keypoints.npz"
    keypoints = Keypoints.read(file)
    model = ActionPose.from_pretrained("tiny", device)
    started = time.perf_counter()
    result = model.lift(keypoints)
    seconds = time.perf_counter() - started
    make_folder(out)
    files = [out / "demo.npz", out / "demo.png", *([out / "demo.html"] if html else [])]
    for path in files:
        result.save(path)
    print(f"input   {keypoints.num_frames} frames at {keypoints.rate_hz:g} Hz")
    print(f"        {keypoints.detector}; {keypoints.source}")
    print(f"lifted  in {seconds:.1f} s, {keypoints.num_frames / seconds:.0f} frames a second")
    _print_result(result, files)


def lift(
    file: Positional[Path],
    out: Annotated[UseAppendAction[tuple[Path, ...]], arg(aliases=["-o"])],
    checkpoint: Checkpoint = "tiny",
    height: float | None = None,
    persons: str = "all",
    format: Annotated[str, arg(aliases=["--from"])] = "auto",
    skeleton: str | None = None,
    image_size: str | None = None,
    rate_hz: float | None = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Lift the people of a keypoint file to 3D.

    Args:
        file: Keypoints of AlphaPose, OpenPose (a folder), MMPose, COCO, or an npz.
        out: A file to write; the suffix is the format: npz, json, csv, png, html. May be repeated.
        height: Stature of the people in metres; else that of an average adult.
        persons: "all", or the number of those seen largest and longest.
        format: Container, where it cannot be told: alphapose, openpose, mmpose, coco, npz.
        skeleton: Layout, where the number of joints leaves it open, such as coco17 or h36m17.
        image_size: WIDTHxHEIGHT in pixels, where the file does not say it.
        rate_hz: Frames a second, where the file does not say it; else 30.
    """
    from actionpose.keypoints import Keypoints
    from actionpose.lift import ActionPose
    from actionpose.result import WRITERS

    if not out:
        raise UserError("say where to write: -o result.npz")
    for path in out:  # before the work, not after it
        if path.suffix.lower() not in WRITERS:
            raise UserError(f"cannot write {path}: its suffix must be one of {', '.join(WRITERS)}")
        if not path.absolute().parent.is_dir():
            raise UserError(f"cannot write {path}: there is no folder {path.absolute().parent}")
    size = None if image_size is None else parse_size(image_size)
    keypoints = Keypoints.read(
        file, format=format, skeleton=skeleton, image_size=size, rate_hz=rate_hz
    )
    model = ActionPose.from_pretrained(checkpoint, device)
    number = persons if persons == "all" else _integer(persons)
    total = keypoints.num_frames * (keypoints.num_persons if number == "all" else int(number))
    with tqdm(total=total, unit="frame", disable=True if quiet else None) as bar:
        result = model.lift(keypoints, persons=number, height_m=height, progress=bar.update)
    for path in out:
        result.save(path)
    _print_result(result, list(out))


def _print_result(result: Any, files: list[Path]) -> None:
    header = result.header
    persons, frames = result.valid.shape
    seen = int(result.valid.sum())
    print(
        f"result  {persons} {'person' if persons == 1 else 'people'}, {frames} frames at "
        f"{header['rate_hz']:g} Hz ({header['rate_source']}); {seen} detections"
    )
    print(f"        {header['units']}; {header['axes']}; {header['root']}")
    print(f"scale   {header['scale_source']}")
    for path in files:
        print(f"wrote   {path}")


def _integer(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"--persons is all or a number from 1, not {text}")
    return int(text)
