"""The whole chain on synthetic fixtures: prepare, fine-tune, evaluate, tables, figure; its errors.

Numbers mean nothing here, and everything that prints one must say so.
"""

import csv
import json
import os
import pickle
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.command_line import call
from helpers.synthetic_fixtures import write_all

from actionpose.config import FinetuneConfig
from actionpose.evaluation.protocols import SYNTHETIC
from actionpose.experiments import plan
from actionpose.experiments.plan import run_process
from actionpose.models import PoseEncoder
from actionpose.prepare.paired.h36m import prepare_h36m
from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp
from actionpose.utils.yaml_config import load_recipe

FRAMES = 27
MODEL = "{dim: 16, depth: 1, num_heads: 2, dim_rep: 16, max_frames: 27, middle_layer: 1}"
RECIPE = f"""
init: unused
model: {MODEL}
data: {{frames: {FRAMES}, stride: 27}}
training: {{epochs: 1, batch_size: 4, learning_rate: 1e-3, device: cpu}}
"""
RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw files, prepared data, recipes, and an official-looking file to start from."""
    folder = tmp_path_factory.mktemp("chain")
    small = {"frames": 40, "actions": {2: "Directions", 5: "Greeting"}}
    write_all(
        folder / "raw",
        h36m_sh=small,
        mpi_inf_3dhp={"frames": 40, "test_frames": 30},
    )
    (folder / "recipes").mkdir()
    for name in ("h36m", "3dhp"):
        (folder / "recipes" / f"{name}.yaml").write_text(RECIPE)
        baseline = RECIPE.replace(MODEL, MODEL[:-1] + ", class_token: false}")
        (folder / "recipes" / f"{name}_baseline.yaml").write_text(baseline)
    torch.manual_seed(0)
    encoder = PoseEncoder(
        dim=16, depth=1, num_heads=8, dim_rep=16, max_frames=FRAMES, class_token=False
    )
    weights = {f"module.{key}": value for key, value in encoder.state_dict().items()}
    torch.save({"model_pos": weights, "min_loss": np.float64(1)}, folder / "official.bin")
    return folder


def test_reproduce_goes_from_raw_files_to_tables_and_figure(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    raw, work = chain / "raw", chain / "work"
    h36m, dhp = chain / "h36m", chain / "3dhp"
    pkl = raw / "h36m_sh_conf_cam_source_final.pkl"
    assert call(monkeypatch, "prepare", "h36m", pkl, h36m) == 0
    assert call(monkeypatch, "prepare", "3dhp", raw, dhp) == 0
    assert SYNTHETIC in capsys.readouterr().out
    start = [word for v in ("baseline", "mmm", "map", "full") for word in ("--pretrained", v)]
    start = [f"{w}={chain / 'official.bin'}" if w[0] != "-" else w for w in start]
    common = ["--out-dir", work, "--recipes", chain / "recipes"]
    data = ["--h36m", h36m, "--3dhp", dhp]
    assert call(monkeypatch, "reproduce", "table3", *data, *start, *common, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert shown.count("actionpose finetune") == shown.count("actionpose evaluate") == 8
    assert "missing" not in shown and not work.exists()
    # one row is enough for the chain: a second variant would only repeat it
    arguments = ["table1", "--h36m", h36m, "--pretrained", f"full={chain / 'official.bin'}"]
    assert call(monkeypatch, "reproduce", *arguments, *common) == 0
    shown = capsys.readouterr().out
    scores = json.loads((work / "h36m_actionpose.json").read_text())
    assert f"{scores['mpjpe_mm']:.1f}" in shown
    for path in (work / "table1.txt", work / "table1.csv", work / "table1.tex"):
        assert SYNTHETIC in path.read_text()
    rows = list(csv.DictReader((work / "table1.csv").read_text().split("\n#")[0].splitlines()))
    ours = [row for row in rows if row["group"] == "ours"]
    assert len(ours) == 1 and float(ours[0]["h36m.mpjpe_mm"]) == scores["mpjpe_mm"]
    # a second call runs nothing, and scores a checkpoint beside it
    before = (work / "h36m_full" / "report.json").stat().st_mtime_ns
    beside = ["--checkpoint", f"again={work / 'h36m_full'}"]
    assert call(monkeypatch, "reproduce", *arguments, *beside, *common) == 0
    assert (work / "h36m_full" / "report.json").stat().st_mtime_ns == before
    again = json.loads((work / "h36m_again.json").read_text())
    assert again["mpjpe_mm"] == scores["mpjpe_mm"]
    picture = chain / "figure7.png"
    models = ["--checkpoint", work / "h36m_full", "--baseline", chain / "official.bin"]
    assert call(monkeypatch, "reproduce", "figure7", "--h36m", h36m, *models, "-o", picture) == 0
    assert picture.stat().st_size > 20_000


def test_reproduce_does_not_take_scores_of_something_else(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither of another start, checkpoint, data or settings, nor of another row."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    # steps are processes; here they run in this one
    ran: list[str] = []

    def run(command: list[str]) -> tuple[int, bool]:
        ran.append(command[3])
        return call(monkeypatch, *command[3:]), False

    monkeypatch.setattr(plan, "run_process", run)
    pkl = chain / "raw" / "h36m_sh_conf_cam_source_final.pkl"
    data = prepare_h36m(pkl, chain / "stale_h36m")
    work = chain / "stale"
    common = ["table1", "--h36m", data, "--out-dir", work, "--recipes", chain / "recipes"]
    for name in "ab":
        torch.manual_seed(ord(name))
        sizes = {"dim": 16, "depth": 1, "num_heads": 8, "dim_rep": 16, "max_frames": FRAMES}
        weights = PoseEncoder(**sizes, class_token=False).state_dict()
        torch.save({"model_pos": weights}, chain / f"{name}.bin")

    def reproduce(*arguments: object, status: int = 0) -> str:
        """Run it; return what it prints of an error."""
        ran.clear()
        assert call(monkeypatch, "reproduce", *common, *arguments) == status
        return capsys.readouterr().err

    def score(row: str) -> float:
        return float(json.loads((work / f"h36m_{row}.json").read_text())["mpjpe_mm"])

    def ours(name: str) -> tuple[object, ...]:
        return "--checkpoint", f"ours={chain / name}.bin"

    reproduce(*ours("a"))
    first = score("ours")
    reproduce(*ours("a"))
    assert ran == []
    reproduce(*ours("b"))
    assert ran == ["evaluate"] and score("ours") != first
    full_a, full_b = (("--pretrained", f"full={chain / name}.bin") for name in "ab")
    reproduce(*full_a)
    assert ran == ["finetune", "evaluate"]
    first = score("actionpose")
    error = reproduce(*full_b, status=2)
    assert "another configuration (init)" in error and "another --out-dir" in error and ran == []
    quicker = ("--options=--training.learning-rate 1e-2 --training.max-minutes 9",)
    error = reproduce(*full_a, *quicker, status=2)
    assert "another configuration (training.learning_rate)" in error
    reproduce(*full_a, "--options=--training.max-minutes 9")  # which changes no weight
    assert ran == []
    shutil.rmtree(work / "h36m_full")
    reproduce(*full_b)
    assert ran == ["finetune", "evaluate"] and score("actionpose") != first
    # data that were prepared anew, from other files
    about = json.loads((data / "data.json").read_text())
    for split in ("train", "test"):
        hashes = about["sha256"] | {f"{split}/pose.npy": "0" * 64}
        (data / "data.json").write_text(json.dumps(about | {"sha256": hashes}))
        if split == "train":
            assert "was trained on other data than" in reproduce(*full_b, status=2)
        else:
            reproduce(*ours("b"))
            assert ran == ["evaluate"]
    # names that would be one file
    for names in (("w 0.1", "w_0_1"), ("ActionPose",), ("mmm",)):
        given = [word for name in names for word in ("--checkpoint", f"{name}={chain / 'a.bin'}")]
        assert "would share its scores with the row" in reproduce(*given, status=2)
    assert "names 'ours' twice" in reproduce(*ours("a"), *ours("b"), status=2)


def test_evaluate_reads_the_originals_and_official_files(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = chain / "raw"
    pkl = raw / "h36m_sh_conf_cam_source_final.pkl"
    official = ["--checkpoint", chain / "official.bin", "--frames", FRAMES, "-q"]
    out = chain / "scores.json"
    assert call(monkeypatch, "evaluate", "h36m", "--data", pkl, *official, "--json", out) == 0
    report = json.loads(out.read_text())
    for key in (
        *("mpjpe_mm", "p_mpjpe_mm", "n_mpjpe_mm", "mpjve_mm", "per_action", "per_joint"),
        *("protocol", "frames", "clips", "versions"),
    ):
        assert key in report
    assert len(report["checkpoint"]["sha256"]) == 64
    assert SYNTHETIC in report["protocol"] and report["synthetic"]
    arguments = ["evaluate", "3dhp", "--data", raw, *official, "--json", out]
    assert call(monkeypatch, *arguments, "--joints", "all17", "--average", "sequences") == 0
    report = json.loads(out.read_text())
    assert {"pck", "auc", "mpjpe_mm", "per_sequence"} <= report.keys()
    assert "unit of 1024 mm assumed" in report["protocol"]
    shown = capsys.readouterr().out
    assert "17 joints" in shown and "mean over sequences" in shown
    all_frames = ["evaluate", "h36m", "--data", pkl, *official, "--all-frames", "--json", out]
    assert call(monkeypatch, *all_frames) == 0
    report = json.loads(out.read_text())
    assert report["frames_not_scored"] == 0 and "NOT the peers' protocol" in report["protocol"]
    truth = [*all_frames[:-3], "--keypoints", "truth", "--overwrite-xy", "--json", out]
    assert call(monkeypatch, *truth) == 0
    assert "GROUND-TRUTH 2D" in json.loads(out.read_text())["protocol"]


@pytest.fixture(scope="module")
def prepared(chain: Path) -> Path:
    return prepare_3dhp(chain / "raw", chain / "prepared_3dhp")


def error_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    """The one sentence of a call that must fail."""
    assert call(monkeypatch, *arguments) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    return error


def test_evaluate_refuses_checkpoints_that_do_not_fit(
    chain: Path,
    prepared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pkl = chain / "raw" / "h36m_sh_conf_cam_source_final.pkl"
    h36m, dhp = ["evaluate", "h36m", "--data", pkl], ["evaluate", "3dhp", "--data", prepared]

    def refused(*arguments: object) -> str:
        return error_of(monkeypatch, capsys, *arguments)

    assert "--frames 81" in refused(*h36m, "--checkpoint", "tiny")
    assert "--frames 27" in refused(*h36m, "--checkpoint", chain / "official.bin")
    assert "trained with 81" in refused(*h36m, "--checkpoint", "tiny", "--frames", 9)
    assert "fine-tune it" in refused(*dhp, "--checkpoint", "tiny", "--frames", 81)
    assert "no checkpoint" in refused(*h36m, "--checkpoint", "nothing")
    assert "--checkpoint, or --predictions" in refused(*h36m)
    assert "3dhp, not" in refused("evaluate", "h36m", "--data", prepared, "--checkpoint", "tiny")
    there = ["--json", chain / "no" / "o.json"]
    assert "no folder" in refused(*h36m, "--checkpoint", "tiny", "--frames", 81, *there)
    assert "exists" in refused(*h36m, "--checkpoint", "tiny", "--errors-dir", chain)
    assert "no such file" in refused("evaluate", "3dhp", "--data", "no", "--checkpoint", "tiny")
    sixteen = PoseEncoder(
        dim=16, depth=1, num_heads=8, dim_rep=16, max_frames=27, num_joints=16,
        class_token=False,
    )  # fmt: skip
    torch.save({"model_pos": sixteen.state_dict()}, chain / "sixteen.bin")
    message = refused(*h36m, "--checkpoint", chain / "sixteen.bin", "--frames", 27)
    assert "another skeleton" in message and "16 joints" in message
    with (chain / "code.bin").open("wb") as file:
        pickle.dump({"model_pos": Path}, file, protocol=2)
    assert "could run code" in refused(*h36m, "--checkpoint", chain / "code.bin")


def test_reproduce_that_only_scores_needs_nothing_else(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--checkpoint", "tiny=tiny", "--dry-run", "--recipes", RECIPES]
    assert call(monkeypatch, "reproduce", "table1", "--h36m", chain / "h", *arguments) == 0
    shown = capsys.readouterr().out
    assert "--checkpoint tiny --frames 81" in shown  # as it was trained
    assert "finetune" not in shown and "missing" not in shown


def test_reproduce_passes_options_on(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = "--options=--training.device cuda --training.workers 4"
    work = ["--out-dir", chain / "nowhere"]
    assert call(monkeypatch, "reproduce", "table1", "--dry-run", given, *work) == 0
    assert "--training.device cuda --training.workers 4" in capsys.readouterr().out
    assert call(monkeypatch, "reproduce", "table1", "--help") == 0
    assert '--options="--training.device cuda' in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("figure5", "--data", "no", "--checkpoint", "no", "--baseline", "no"),
        ("figure7", "--h36m", "no", "--checkpoint", "no", "--baseline", "no"),
        ("figure8", "--data", "no", "--checkpoint", "no", "--labels", "walk,run"),
    ],
)
def test_figures_refuse_other_formats_before_the_work(
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("x.bmp", "x"):
        message = error_of(monkeypatch, capsys, "reproduce", *arguments, "-o", name)
        assert "its suffix must be one of .png, .pdf, .svg" in message


def test_reproduce_says_what_is_missing(
    chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work = ["--out-dir", chain / "nowhere"]
    assert call(monkeypatch, "reproduce", "table3", "--dry-run", *work) == 0
    shown = capsys.readouterr().out
    assert "--h36m FOLDER" in shown and "MB_release/latest_epoch.bin" in shown
    assert " h  in all" in shown
    for arguments, message in (
        (["table1"], "--h36m FOLDER"),
        (["table1", "--pretrained", "full"], "NAME=PATH"),
        (["table1", "--pretrained", "best=x"], "no variant best"),
        (["table2", "--recipes", "nowhere"], "cannot read the recipe"),
        (["table1", "--teraflops", "0"], "--teraflops"),
        (["table1", '--options=--training.device "cuda'], "no closing quotation"),
    ):
        assert message in error_of(monkeypatch, capsys, "reproduce", *arguments, *work)
    assert not (chain / "nowhere").exists()


@pytest.mark.parametrize("name", ["h36m", "h36m_baseline", "3dhp", "3dhp_baseline"])
def test_recipes_are_the_papers(name: str) -> None:
    config = load_recipe(FinetuneConfig, RECIPES / f"{name}.yaml")
    h36m = name.startswith("h36m")
    assert (config.data.frames, config.data.stride) == ((243, 81) if h36m else (81, 9))
    assert config.training.learning_rate == (2e-4 if h36m else 5e-4)
    assert config.training.batch_size == (32 if h36m else 16)
    assert config.training.epochs == (60 if h36m else 90)
    assert config.model.class_token == ("baseline" not in name)
    assert config.loss_weights.get("scale", 0) == (0.5 if "baseline" in name else 0)


def test_run_process_forwards_a_signal_and_waits(tmp_path: Path) -> None:
    """Killed at once, as `subprocess.run` does it, a training would lose its last checkpoint."""
    mark = tmp_path / "mark"
    script = """
import pathlib, signal, sys, time
mark = pathlib.Path(sys.argv[1])
def end(*_):
    time.sleep(1)
    mark.write_text("saved")
    sys.exit(130)
signal.signal(signal.SIGINT, end)
mark.write_text("ready")
time.sleep(60)
"""

    def interrupt() -> None:
        while not mark.exists() or mark.read_text() != "ready":
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    assert run_process([sys.executable, "-c", script, str(mark)]) == (130, True)
    thread.join()
    assert mark.read_text() == "saved"
    assert run_process([sys.executable, "-c", "raise SystemExit(2)"]) == (2, False)
