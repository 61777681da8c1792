"""Alignment with text in other ways: does any of them help the 3D?

    actionpose benchmark open --rows alone_long baseline map --seeds 0 1 --steps 500 250
    python benchmarks/alignment_variants.py --against runs/benchmark_open

Every variant changes one thing of the ablation's row `map` (alignment, without large masks) and
keeps its steps, seeds, starting point and scores. Three to five minutes of one CPU core a run; goes
on where it stopped. Prints a table with the difference to the rows of `--against`, window by window
and seed by seed, with 95 % intervals.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from actionpose.config import FinetuneConfig, PretrainConfig, load_recipe
from actionpose.datasets.corpus import open_corpus
from actionpose.experiments import ablation as bench
from actionpose.utils.errors import exit_codes

Pair = tuple[PretrainConfig, FinetuneConfig]
ROW = "map"


def alignment(**changes: Any) -> Callable[[Pair, Path], Pair]:
    """Other settings of equations 1 and 2."""

    def change(pair: Pair, _: Path) -> Pair:
        one, two = pair
        return replace(one, alignment=replace(one.alignment, **changes)), two

    return change


def weight(value: float) -> Callable[[Pair, Path], Pair]:
    """Another weight of the alignment in the loss."""
    return lambda pair, _: (replace(pair[0], alignment_weight=value), pair[1])


def text(**changes: Any) -> Callable[[Pair, Path], Pair]:
    """Another text side."""
    return lambda pair, _: (replace(pair[0], text=replace(pair[0].text, **changes)), pair[1])


def clips(**changes: Any) -> Callable[[Pair, Path], Pair]:
    """Other clips of stage one."""
    return lambda pair, _: (replace(pair[0], data=replace(pair[0].data, **changes)), pair[1])


def middle_layer(number: int) -> Callable[[Pair, Path], Pair]:
    """The motion embedding from another layer: l1 of the paper."""

    def change(pair: Pair, _: Path) -> Pair:
        one, two = (replace(c, model=replace(c.model, middle_layer=number)) for c in pair)
        return one, two

    return change


def same_corpora(pair: Pair, _: Path) -> Pair:
    """Stage one on the corpora of stage two."""
    one, two = pair
    return replace(one, data=replace(one.data, corpora=two.data.corpora)), two


def clean_labels(pair: Pair, folder: Path) -> Pair:
    """One label for one action: no styles, no "-ing", no transitions, no "A, then B"."""
    one, two = pair
    corpora = {
        str(cleaned(Path(old), folder / "corpora" / Path(old).name)): share
        for old, share in one.data.corpora.items()
    }
    return replace(one, data=replace(one.data, corpora=corpora, transitions=False)), two


def cleaned(corpus: Path, folder: Path) -> Path:
    """A copy of a corpus with fewer texts."""
    segments = [json.loads(line) for line in (corpus / "segments.jsonl").read_text().splitlines()]
    words = {word for segment in segments for word in segment["text"].split()}

    def base(word: str) -> str:
        stem = word.removesuffix("ing")
        forms = (stem, stem[:-1], stem + "e")  # walking, running, dancing
        return next((form for form in forms if word != stem and form in words), word)

    for segment in segments:
        first = re.split(r", (?:\w+ style|then )", segment["text"])[0]
        segment["text"] = " ".join(base(word) for word in first.split())
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(corpus / "joints.npy", folder / "joints.npy")
    lines = "".join(json.dumps(segment) + "\n" for segment in segments)
    (folder / "segments.jsonl").write_text(lines)
    header = json.loads((corpus / "corpus.json").read_text())
    header["sha256"]["segments.jsonl"] = hashlib.sha256(lines.encode()).hexdigest()
    (folder / "corpus.json").write_text(json.dumps(header))
    return folder


VARIANTS: dict[str, tuple[str, Callable[[Pair, Path], Pair]]] = {
    "weight_low": ("alignment_weight 0.05", weight(0.05)),
    "weight_high": ("alignment_weight 1", weight(1.0)),
    "l1_first": ("l1 = 1 of 4", middle_layer(1)),
    "l1_last": ("l1 = 4 of 4", middle_layer(4)),
    "soft": ("soft targets", alignment(target="soft")),
    "symmetric": ("symmetric", alignment(direction="symmetric")),
    "cross_entropy": ("focal_gamma 0", alignment(focal_gamma=0.0)),
    "text_cls": ("text pooled at <CLS>", text(pooling="cls")),
    "clean": ("cleaned labels", clean_labels),
    "same": ("stage one on stage two's corpora", same_corpora),
    "plain": (
        "no augmentation in stage one",
        clips(bone_length_jitter=0.0, coco_joint_convention=0.0),
    ),
}


def difference(found: list[bench.Scores], others: list[bench.Scores], row: str) -> str:
    """Mean difference to a row over windows and the seeds that both have, with its interval."""
    to = {s["seed"]: s["windows"] for s in others if s["row"] == row}
    pairs = [
        [errors["mpjpe_mm"] - to[s["seed"]][name]["mpjpe_mm"] for name, errors in
         s["windows"].items()]
        for s in found
        if s["seed"] in to
    ]  # fmt: skip
    if not pairs:
        return ""
    values = np.array(pairs)
    low, high = bench.interval(values)
    return f"{values.mean():+.1f} [{low:+.1f}, {high:+.1f}]"


def table(out: Path, against: Path, names: tuple[str, ...]) -> str:
    """What is done, as Markdown."""
    others = bench.read_all(against)
    lines = ["| row `map` with | seeds | MPJPE | minus map | minus baseline | minus alone_long | "]
    lines[0] += "top-1 after stage one |"
    lines.append("|---" * 7 + "|")
    for name in names:
        found = bench.read_all(out / name)
        if not found:
            continue
        mean = np.mean([[e["mpjpe_mm"] for e in s["windows"].values()] for s in found])
        top = np.mean([s["actions"]["top1"] for s in found])
        cells = [VARIANTS[name][0], str(len(found)), f"{mean:.1f}"]
        cells += [difference(found, others, row) for row in (ROW, "baseline", "alone_long")]
        lines.append(f"| {' | '.join(cells)} | {top:.1f} |")
    return "\n".join(lines)


def main(
    out: Path = Path("runs/alignment_variants"),
    against: Path = Path("runs/benchmark_open"),
    stage_one: Path = Path("recipes/open_pretrain_mmm_map.yaml"),
    stage_two: Path = Path("recipes/benchmark_open_2.yaml"),
    variants: tuple[str, ...] = tuple(VARIANTS),
    seeds: tuple[int, ...] = (0, 1),
    steps: tuple[int, int] = (500, 250),
    table_only: bool = False,
) -> None:
    """Train and score the variants, print the table.

    Args:
        against: Folder of `actionpose benchmark open`, whose rows the table compares with.
        table_only: Only of what is done.
    """
    corpora = [open_corpus(folder) for folder in ("data/open/cmu", "data/open/hdm05")]
    recipes = (load_recipe(PretrainConfig, stage_one), load_recipe(FinetuneConfig, stage_two))
    for seed in () if table_only else seeds:
        for name in variants:
            one, two = VARIANTS[name][1](recipes, out / name)
            jobs = bench.plan(out / name, one, two, rows=[ROW], seeds=[seed], steps=steps)
            bench.run_all(jobs, corpora, "val", report=lambda line, at=name: print(f"{at}: {line}"))
    print(table(out, against, variants))


if __name__ == "__main__":
    with exit_codes("alignment_variants.py"):
        tyro.cli(main)
