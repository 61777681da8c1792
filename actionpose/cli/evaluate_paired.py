"""Commands that evaluate by standard protocols: `actionpose evaluate h36m` and `evaluate 3dhp`."""

import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import arg

from actionpose.cli.options import Device, Quiet, progress_bar
from actionpose.utils.errors import UserError

Scored = Annotated[
    str | None,
    arg(
        help="Name of a bundled model, folder of a checkpoint or run, Hub id, or official "
        "MotionBERT file."
    ),
]
PredictionsFile = Annotated[
    Path | None, arg(help="Predictions of another method (npz) to score instead of a checkpoint.")
]
JsonOut = Annotated[Path | None, arg(name="json", help="Also write the scores to this JSON file.")]
ErrorsDir = Annotated[
    Path | None,
    arg(help="New folder for an error analysis: tables and a picture of the largest errors."),
]
Frames = Annotated[
    int | None, arg(help="Number of frames per window, if not that of the protocol.")
]
NoFlip = Annotated[
    bool, arg(help="Disable flip averaging, which is part of the published protocols.")
]
BatchSize = Annotated[int, arg(help="Number of windows per batch.")]


def h36m(
    data: Annotated[
        Path, arg(help="Folder of the prepared Human3.6M, or MotionBERT's original pkl file.")
    ],
    checkpoint: Scored = None,
    predictions: PredictionsFile = None,
    json_out: JsonOut = None,
    errors_dir: ErrorsDir = None,
    keypoints: Annotated[
        Literal["detected", "truth"],
        arg(help="2D input: detected keypoints, or the ground truth projected to the image."),
    ] = "detected",
    overwrite_xy: Annotated[
        bool,
        arg(
            help="Replace the predicted x and y by the input, as MotionBERT does with "
            "ground-truth 2D."
        ),
    ] = False,
    all_frames: Annotated[
        bool,
        arg(
            help="Also score the frames after the last full window, which the published protocol "
            "leaves out."
        ),
    ] = False,
    family: Annotated[
        Literal["pstmo", "ktpformer"] | None,
        arg(
            help="Variant of the protocol on VideoPose3D's files. By default that of the "
            "checkpoint's architecture, or pstmo."
        ),
    ] = None,
    no_flip: NoFlip = False,
    frames: Frames = None,
    seed: Annotated[
        int, arg(help="Seed for stretching videos that are shorter than a window.")
    ] = 0,
    batch_size: BatchSize = 16,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Evaluate on Human3.6M, by MotionBERT's or VideoPose3D's protocol depending on the data."""
    from actionpose.evaluation.paired import protocol_for
    from actionpose.evaluation.protocols import CPN_FAMILIES
    from actionpose.prepare.paired.h36m import prepare_h36m

    if predictions and (overwrite_xy or keypoints == "truth"):
        raise UserError("--keypoints and --overwrite-xy are for a checkpoint, not for predictions")
    if seed < 0:
        raise UserError(f"--seed must be 0 or more, not {seed}")

    def prepare(source: Path, out: Path) -> Path:
        if source.suffix == ".npz":
            raise UserError(
                f"{source} is scored with a 2D file and cameras: prepare it first, with actionpose "
                f"prepare h36m {source} OUT --keypoints FILE --cameras FILE"
            )
        return prepare_h36m(source, out)

    notes: tuple[str, ...] = ("GROUND-TRUTH 2D INPUT",) if keypoints == "truth" else ()
    if overwrite_xy:
        notes += ("x and y overwritten by the input: only depth errs",)
    with _opened(data, ("h36m-sh", "h36m-cpn"), prepare) as pairs:
        if family and pairs.kind != "h36m-cpn":
            raise UserError(f"--family is for VideoPose3D's files, but {data} is {pairs.kind}")
        model, base = _model(checkpoint, predictions, pairs, device)
        if family:
            notes += (f"NOT as the authors of {model.backbone} score",) if base else ()
            window = {"frames": base.frames} if base else {}
            base = replace(CPN_FAMILIES[family], **window)
        protocol = protocol_for(
            *(pairs, base),
            frames=frames,
            all_frames=all_frames,
            flip=False if no_flip else None,
            notes=notes,
        )
        inputs = {"keypoints": keypoints, "overwrite_xy": overwrite_xy}
        source, out = (model, predictions, inputs), (json_out, errors_dir)
        _score(pairs, protocol, source, out, seed, batch_size, quiet)


def mpi_inf_3dhp(
    data: Annotated[
        Path, arg(help="Folder of the prepared MPI-INF-3DHP, or of P-STMO's original files.")
    ],
    checkpoint: Scored = None,
    predictions: PredictionsFile = None,
    json_out: JsonOut = None,
    errors_dir: ErrorsDir = None,
    joints: Annotated[
        Literal["paper14", "all17"], arg(help="Joints that count for PCK and AUC.")
    ] = "paper14",
    average: Annotated[
        Literal["frames", "sequences"], arg(help="Average over all frames, or over sequence means.")
    ] = "frames",
    scale: Annotated[
        Literal["constant", "image_width"] | None,
        arg(
            help="Unit of the network's output: 1024 mm, or half the width of the test image at "
            "1 mm per pixel."
        ),
    ] = None,
    no_flip: NoFlip = False,
    frames: Frames = None,
    batch_size: BatchSize = 16,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Evaluate on MPI-INF-3DHP: PCK, AUC and MPJPE of the valid frames."""
    from actionpose.evaluation.paired import protocol_for
    from actionpose.evaluation.protocols import ALL17, PAPER14
    from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp

    def prepare(source: Path, out: Path) -> Path:
        return prepare_3dhp(source, out, splits=("test",))

    with _opened(data, ("3dhp",), prepare) as pairs:
        model, base = _model(checkpoint, predictions, pairs, device)
        counted = PAPER14 if joints == "paper14" else ALL17
        protocol = protocol_for(
            *(pairs, base),
            frames=frames,
            flip=False if no_flip else None,
            average=average,
            joints=counted,
            scale=scale,
        )
        source, out = (model, predictions, dict[str, Any]()), (json_out, errors_dir)
        _score(pairs, protocol, source, out, 0, batch_size, quiet)


@contextmanager
def _opened(
    data: Path, kinds: tuple[str, ...], prepare: Callable[[Path, Path], Path]
) -> Iterator[Any]:
    """Open the test split of a prepared folder; original files are prepared temporarily."""
    from actionpose.datasets.paired import open_paired

    with tempfile.TemporaryDirectory() as folder:
        if not data.exists():
            raise UserError(f"no such file or folder: {data}")
        raw = data.is_file() or (data / "data_test_3dhp.npz").is_file()
        prepared = prepare(data, Path(folder) / "prepared") if raw else data
        pairs = open_paired(prepared, "test")
        if pairs.kind not in kinds:
            raise UserError(f"{data} is {pairs.kind}, not {' or '.join(kinds)}")
        yield pairs


def _model(
    checkpoint: str | None, predictions: Path | None, pairs: Any, device: str
) -> tuple[Any, Any]:
    """The model of a checkpoint and the protocol of its authors; None without a checkpoint."""
    from actionpose.evaluation.paired_models import authors_protocol, load_model

    if (checkpoint is None) == (predictions is None):
        raise UserError("give --checkpoint, or --predictions, and not both")
    if checkpoint is None:
        return None, None
    model = load_model(checkpoint, pairs.kind, device)
    return model, authors_protocol(model, pairs)


def _score(
    pairs: Any,
    protocol: Any,
    source: tuple[Any, Path | None, dict[str, Any]],
    out: tuple[Path | None, Path | None],
    seed: int,
    batch_size: int,
    quiet: bool,
) -> None:
    """Score a model with its inputs, or predictions; print the scores and write the outputs."""
    from actionpose.evaluation import paired as datasets
    from actionpose.evaluation.error_analysis import write_error_analysis
    from actionpose.evaluation.paired_models import check_window, model_predict
    from actionpose.evaluation.predictions import load_predictions
    from actionpose.utils.files import write_json

    model, predictions, inputs = source
    json_out, errors_dir = out
    if json_out and not json_out.absolute().parent.is_dir():  # before the computation
        raise UserError(f"cannot write {json_out}: there is no folder {json_out.parent}")
    if errors_dir and errors_dir.exists():
        raise UserError(f"{errors_dir} exists already: remove it, or choose another name")
    if batch_size < 1:
        raise UserError(f"--batch-size must be 1 or more, not {batch_size}")
    if protocol.frames < 1:
        raise UserError(f"--frames must be 1 or more, not {protocol.frames}")
    if model is not None:
        check_window(model, protocol)
        in_units = model.unit_mm == pairs.unit_mm
        protocol = replace(protocol, notes=protocol.notes + model.notes)
        predict = model_predict(model, pairs, protocol, **inputs)
        identity = {"checkpoint": model.identity}
    else:
        assert predictions is not None
        windows = datasets.windows_of(pairs, protocol, seed)
        predict, who = load_predictions(predictions, pairs, windows, protocol.root)
        identity = {"predictions": who}
        in_units = who["array"] == "pose"
    evaluation = datasets.evaluate(
        predict,
        pairs,
        protocol,
        seed=seed,
        batch_size=batch_size,
        in_units=in_units,
        progress=lambda batches: progress_bar(batches, quiet=quiet, unit="batch"),
    )
    report = {**evaluation.report, **identity}
    _print(report)
    if json_out:
        write_json(json_out, _known(report))
        print(f"wrote   {json_out}")
    if errors_dir:
        write_error_analysis(errors_dir, evaluation, predict, pairs)
        print(f"wrote   {errors_dir}")


def _known(value: Any) -> Any:
    """Replace NaN, which JSON does not support, by None."""
    if isinstance(value, dict):
        return {key: _known(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def _print(report: dict[str, Any]) -> None:
    """Print the scores by group and in total, followed by the protocol."""
    groups = report.get("per_sequence") or report["per_action"]
    names = [name for name in next(iter(groups.values())) if name != "frames"]
    width = max(len("all"), *map(len, groups))
    print(" " * width, *(f"{name.removesuffix('_mm'):>9}" for name in names), "   frames")
    for group, row in groups.items():
        print(f"{group:{width}}", *(f"{row[name]:9.2f}" for name in names), f"{row['frames']:9}")
    print(f"{'all':{width}}", *(f"{report[name]:9.2f}" for name in names), f"{report['frames']:9}")
    for found in report.get("scales", {}).values():
        print(f"{'all':{width}}", *(f"{found[name]:9.2f}" for name in names), found["protocol"])
    print(f"{report['protocol']}")
    left_out = f"; left out: {len(report['blocked'])} videos" if report["blocked"] else ""
    print(
        f"{report['clips']} windows, {report['frames_not_scored']} frames in no window{left_out}; "
        "millimeters, PCK and AUC in percent"
    )
