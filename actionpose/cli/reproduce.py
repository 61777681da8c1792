"""Commands that reproduce the tables and figures of the paper: `actionpose reproduce`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import UseAppendAction, arg

from actionpose.cli.options import Checkpoint, Device, check_input, check_outputs
from actionpose.utils.errors import UserError
from actionpose.utils.files import make_folder

PICTURES = [".png", ".pdf", ".svg"]
Named = UseAppendAction[tuple[str, ...]]
H36M = Annotated[Path | None, arg(help="Folder of the prepared Human3.6M.")]
MpiInf3dhp = Annotated[Path | None, arg(name="3dhp", help="Folder of the prepared MPI-INF-3DHP.")]
Pretrained = Annotated[
    Named,
    arg(
        metavar="NAME=PATH",
        help="Pretrained model to fine-tune and score as the row NAME: baseline, mmm, map or full. "
        "May be repeated.",
    ),
]
Checkpoints = Annotated[
    Named,
    arg(
        name="checkpoint",
        metavar="NAME=PATH",
        help="Fine-tuned model to score as an additional row. May be repeated.",
    ),
]
Data = Annotated[
    UseAppendAction[tuple[Path, ...]], arg(help="Folder of a corpus. May be repeated.")
]
Out = Annotated[Path, arg(aliases=["-o"], help="Picture to write (png, pdf or svg).")]
Json = Annotated[Path | None, arg(name="json", help="Also write the scores to this JSON file.")]


@dataclass(frozen=True)
class TableOptions:
    """Options of all tables."""

    pretrained: Pretrained = ()
    out_dir: Annotated[Path, arg(help="Folder of the runs, scores and tables.")] = Path(
        "runs/reproduce"
    )
    recipes: Annotated[Path, arg(help="Folder of the fine-tuning recipes.")] = Path("recipes")
    options: Annotated[
        str,
        arg(
            help="Settings of every fine-tuning, quoted and after an equals sign: "
            '--options="--training.device cuda --training.workers 4"'
        ),
    ] = ""
    dry_run: Annotated[bool, arg(help="Only print the plan with the estimated hours.")] = False
    teraflops: Annotated[float, arg(help="Training speed in TFLOP/s for the estimated hours.")] = (
        50.0
    )

    def write(
        self, name: str, data: dict[str, Path | None], checkpoints: tuple[str, ...] = ()
    ) -> None:
        """Train and score the missing runs, and write the table."""
        from actionpose.experiments.plan import check_plan, collect, describe, make_plan, run_plan
        from actionpose.experiments.tables import write_table

        if self.teraflops <= 0:
            raise UserError(f"--teraflops must be above 0, not {self.teraflops:g}")
        weights = {key: Path(path) for key, path in _pairs(self.pretrained, "--pretrained").items()}
        folders = {kind: folder for kind, folder in data.items() if folder is not None}
        plan = make_plan(
            name,
            self.out_dir,
            data=folders,
            pretrained=weights,
            checkpoints=_pairs(checkpoints, "--checkpoint"),
            recipes=self.recipes,
            settings=_settings,
            options=_words(self.options),
        )
        if self.dry_run:
            print(describe(plan, self.teraflops))
            return
        check_plan(plan, weights)
        for folder in folders.values():
            check_input(folder)
        make_folder(self.out_dir)
        run_plan(plan)
        print(write_table(name, collect(plan, both_scales=name == "table2"), self.out_dir))
        print(f"wrote   {self.out_dir / name}.txt, .csv, .tex")


def _words(options: str) -> list[str]:
    """Split --options into words as a shell does."""
    import shlex

    try:
        return shlex.split(options)
    except ValueError as error:
        raise UserError(f"--options is {options!r}: {str(error).lower()}") from error


def _settings(arguments: list[str]) -> Any:
    """The configuration of `actionpose finetune` for these arguments."""
    from actionpose.cli.train import parse_training
    from actionpose.config import FinetuneConfig

    return parse_training("finetune", FinetuneConfig, arguments).config


Table = Annotated[TableOptions, arg(name="")]


def table1(
    h36m: H36M = None,
    checkpoints: Checkpoints = (),
    table: Table = TableOptions(),  # noqa: B008  (frozen)
) -> None:
    """Reproduce Table 1 (Human3.6M) as text, CSV and LaTeX, below the rows of the paper."""
    table.write("table1", {"h36m": h36m}, checkpoints)


def table2(
    mpi_inf_3dhp: MpiInf3dhp = None,
    checkpoints: Checkpoints = (),
    table: Table = TableOptions(),  # noqa: B008  (frozen)
) -> None:
    """Reproduce Table 2 (MPI-INF-3DHP) as text, CSV and LaTeX, below the rows of the paper."""
    table.write("table2", {"3dhp": mpi_inf_3dhp}, checkpoints)


def table3(
    h36m: H36M = None,
    mpi_inf_3dhp: MpiInf3dhp = None,
    table: Table = TableOptions(),  # noqa: B008  (frozen)
) -> None:
    """Reproduce Table 3 (ablation on both datasets) as text, CSV and LaTeX."""
    table.write("table3", {"h36m": h36m, "3dhp": mpi_inf_3dhp})


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """Parse repeated NAME=PATH options."""
    result = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or not name or not path:
            raise UserError(f"{option} takes NAME=PATH, not {text!r}")
        if name in result:
            raise UserError(f"{option} names {name!r} twice")
        result[name] = path
    return result


def figure5(
    data: Data,
    checkpoint: Checkpoint,
    baseline: Annotated[
        str,
        arg(
            help="Model trained without text, such as MotionBERT's official file. Its features are "
            "average-pooled."
        ),
    ],
    out: Out = Path("figure5.png"),
    split: Annotated[str, arg(help="Split of the corpora.")] = "val",
    num_labels: Annotated[
        int, arg(help="Number of verbs or labels to show, the most frequent first.")
    ] = 12,
    by: Annotated[
        Literal["verb", "label"], arg(help="Group motions by verb or by the whole label.")
    ] = "verb",
    json_out: Json = None,
    seed: Annotated[int, arg(help="Seed of t-SNE.")] = 0,
) -> None:
    """Reproduce Figure 5: t-SNE maps of motions, with and without text alignment, and scores."""
    from actionpose.datasets.corpus import open_corpus
    from actionpose.experiments.embedding_figures import draw_figure5
    from actionpose.model_hub import find

    check_outputs((out,), PICTURES, "figure5.png")
    corpora = [open_corpus(folder) for folder in data]
    report = draw_figure5(
        *(find(checkpoint), find(baseline), corpora, out),
        split=split,
        num_labels=num_labels,
        by=by,
        seed=seed,
    )
    print(f"{report['clips']} clips, {report['labels']} {by}s, split {report['split']}")
    for name, score in report["scores"].items():
        print(
            f"{name:14} 5-NN {score['knn']:.3f} (most frequent label {score['knn_chance']:.3f}), "
            f"silhouette {score['silhouette']:.3f}"
        )
    _finish(report, out, json_out)


def figure7(
    h36m: Annotated[Path, arg(help="Folder of the prepared Human3.6M.")],
    checkpoint: Annotated[str, arg(help="Checkpoint of the model.")],
    baseline: Annotated[
        str, arg(help="Checkpoint of the baseline, or an official MotionBERT file.")
    ],
    frame: Annotated[
        Named,
        arg(
            metavar="VIDEO:FRAME",
            help="Frame to show. May be repeated. By default two frames with occlusion and one "
            "without are selected.",
        ),
    ] = (),
    out: Out = Path("figure7.png"),
    device: Device = "auto",
) -> None:
    """Reproduce Figure 7: 2D input, and 3D poses of the model and a baseline."""
    from actionpose.datasets.paired import open_paired
    from actionpose.evaluation.paired import protocol_for
    from actionpose.evaluation.paired_models import load_model, model_predict
    from actionpose.experiments.qualitative_figure import choose_frames, draw_figure7, parse_frames

    check_outputs((out,), PICTURES, "figure7.png")
    pairs = open_paired(h36m, "test")
    columns: dict[str, tuple[Any, int]] = {}
    for name, given in (("ours", checkpoint), ("baseline", baseline)):
        model = load_model(given, pairs.kind, device)
        frames = model.frames or model.encoder.max_frames
        protocol = protocol_for(pairs, frames=frames)
        columns[name] = model_predict(model, pairs, protocol), frames
    rows = parse_frames(frame, pairs) if frame else choose_frames(pairs)
    names = draw_figure7(pairs, rows, columns, out)
    print(f"wrote   {out}")
    print("\n".join(f"        {name}" for name in names))


def figure8(
    labels: Annotated[str, arg(help="Two or more labels, separated by commas.")],
    checkpoint: Checkpoint,
    data: Data = (),
    h36m: Annotated[
        Path | None, arg(help="Folder of the prepared Human3.6M, instead of a corpus.")
    ] = None,
    out: Out = Path("figure8.png"),
    motion: Annotated[
        UseAppendAction[tuple[str, ...]],
        arg(
            help="Motion of a corpus, or VIDEO or VIDEO[FIRST:LAST] of Human3.6M. May be repeated. "
            "By default the clip most similar to each label."
        ),
    ] = (),
    split: Annotated[str, arg(help="Split of the corpora.")] = "val",
    json_out: Json = None,
) -> None:
    """Reproduce Figure 8: clips with the probability of each label."""
    from actionpose.datasets.corpus import open_corpus
    from actionpose.datasets.paired import open_paired
    from actionpose.evaluation.protocols import SYNTHETIC
    from actionpose.experiments.embedding_figures import draw_figure8, embed_spans, embed_videos
    from actionpose.model_hub import find

    if bool(data) == bool(h36m):
        raise UserError("name corpora with --data, or Human3.6M with --h36m, and not both")
    check_outputs((out,), PICTURES, "figure8.png")
    folder = find(checkpoint)
    if h36m:
        dataset = open_paired(h36m, "test")
        found = embed_videos(folder, dataset)
        if dataset.info.get("synthetic"):
            print(SYNTHETIC)
    else:
        found = embed_spans(folder, [open_corpus(each) for each in data], split)
    chosen = [label for label in map(str.strip, labels.split(",")) if label]
    report = draw_figure8(folder, found, chosen, out, motions=list(motion) or None)
    for clip in report:
        table = ", ".join(f"{label} {p:.2f}" for label, p in clip["probabilities"].items())
        print(f"{clip['clip']} ({clip['label']}): {table}")
    _finish(report, out, json_out)


def _finish(report: Any, out: Path, json_out: Path | None) -> None:
    from actionpose.utils.files import write_json

    print(f"wrote   {out}")
    if json_out:
        write_json(json_out, report)
        print(f"wrote   {json_out}")
