"""Commands that make the paper's tables and figures: `actionpose reproduce TABLE`."""

from pathlib import Path
from typing import Annotated, Any

from tyro.conf import UseAppendAction, arg

from actionpose.cli.options import Device, make_folder
from actionpose.utils.errors import UserError

Named = UseAppendAction[tuple[str, ...]]
H36M = Annotated[Path | None, arg(help="prepared Human3.6M")]
MpiInf3dhp = Annotated[Path | None, arg(name="3dhp", help="prepared MPI-INF-3DHP")]
Pretrained = Annotated[
    Named, arg(metavar="NAME=PATH", help="fine-tune these: baseline, mmm, map, full; repeatable")
]
Checkpoints = Annotated[
    Named, arg(name="checkpoint", metavar="NAME=PATH", help="only score this one; repeatable")
]
Work = Annotated[Path, arg(help="folder of runs, scores and tables")]
Recipes = Annotated[Path, arg(help="folder of the fine-tuning recipes")]
DryRun = Annotated[bool, arg(help="print the plan with its hours, and run nothing")]
Teraflops = Annotated[float, arg(help="speed that the plan's hours are for")]
Options = Annotated[str, arg(help="settings for every fine-tuning, as one quoted text")]
_WORK, _RECIPES = Path("runs/reproduce"), Path("recipes")


def table1(
    h36m: H36M = None,
    pretrained: Pretrained = (),
    checkpoints: Checkpoints = (),
    work: Work = _WORK,
    recipes: Recipes = _RECIPES,
    options: Options = "",
    dry_run: DryRun = False,
    teraflops: Teraflops = 50.0,
) -> None:
    """Table 1, Human3.6M: our rows under the paper's, as text, CSV and LaTeX."""
    named = (pretrained, checkpoints)
    _table("table1", {"h36m": h36m}, *named, work, recipes, options, dry_run, teraflops)


def table2(
    mpi_inf_3dhp: MpiInf3dhp = None,
    pretrained: Pretrained = (),
    checkpoints: Checkpoints = (),
    work: Work = _WORK,
    recipes: Recipes = _RECIPES,
    options: Options = "",
    dry_run: DryRun = False,
    teraflops: Teraflops = 50.0,
) -> None:
    """Table 2, MPI-INF-3DHP: our rows under the paper's, as text, CSV and LaTeX."""
    named = (pretrained, checkpoints)
    _table("table2", {"3dhp": mpi_inf_3dhp}, *named, work, recipes, options, dry_run, teraflops)


def table3(
    h36m: H36M = None,
    mpi_inf_3dhp: MpiInf3dhp = None,
    pretrained: Pretrained = (),
    work: Work = _WORK,
    recipes: Recipes = _RECIPES,
    options: Options = "",
    dry_run: DryRun = False,
    teraflops: Teraflops = 50.0,
) -> None:
    """Table 3, the ablation on both data sets, as text, CSV and LaTeX."""
    data = {"h36m": h36m, "3dhp": mpi_inf_3dhp}
    _table("table3", data, pretrained, (), work, recipes, options, dry_run, teraflops)


def _table(
    name: str,
    data: dict[str, Path | None],
    pretrained: tuple[str, ...],
    checkpoints: tuple[str, ...],
    work: Path,
    recipes: Path,
    options: str,
    dry_run: bool,
    teraflops: float,
) -> None:
    import shlex

    from actionpose.experiments.plan import check_plan, collect, describe, make_plan, run_plan
    from actionpose.experiments.tables import write_table

    if teraflops <= 0:
        raise UserError(f"--teraflops must be above 0, not {teraflops:g}")
    weights = {key: Path(path) for key, path in _pairs(pretrained, "--pretrained").items()}
    plan = make_plan(
        name,
        work,
        data={kind: folder for kind, folder in data.items() if folder is not None},
        pretrained=weights,
        checkpoints=_pairs(checkpoints, "--checkpoint"),
        recipes=recipes,
        options=shlex.split(options),
    )
    if dry_run:
        print(describe(plan, teraflops))
        return
    check_plan(plan, weights)
    make_folder(work)
    run_plan(plan)
    print(write_table(name, collect(plan), work))
    print(f"wrote   {work / name}.txt, .csv, .tex")


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """NAME=PATH, as often as given."""
    result = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UserError(f"{option} takes NAME=PATH, not {text!r}")
        result[name] = path
    return result


def figure7(
    h36m: Annotated[Path, arg(help="prepared Human3.6M")],
    checkpoint: Annotated[str, arg(help="our model")],
    baseline: Annotated[str, arg(help="the baseline: ours, or an official MotionBERT file")],
    frame: Annotated[
        Named, arg(metavar="VIDEO:FRAME", help="repeatable; else two occluded and a clear one")
    ] = (),
    out: Annotated[Path, arg(aliases=["-o"])] = Path("figure7.png"),
    device: Device = "auto",
) -> None:
    """Figure 7: input 2D, our 3D and the baseline's for chosen frames."""
    from actionpose.datasets.paired import open_pairs
    from actionpose.evaluation.paired import load_model, model_predict, protocol_for
    from actionpose.experiments.qualitative_figure import choose_frames, draw_figure7, parse_frames

    pairs = open_pairs(h36m, "test")
    columns: dict[str, tuple[Any, int]] = {}
    for name, given in (("ours", checkpoint), ("baseline", baseline)):
        model = load_model(given, pairs.kind, device)
        frames = model.frames or model.encoder.max_frames
        protocol = protocol_for(pairs, frames=frames)
        columns[name] = model_predict(model, pairs, protocol), frames
    chosen = parse_frames(frame, pairs) if frame else choose_frames(pairs)
    print(f"wrote   {draw_figure7(pairs, chosen, columns, out)}")
    for place, number in chosen:
        print(f"        {pairs.videos[place].name}:{number}")
