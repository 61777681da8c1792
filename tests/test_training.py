"""The loop, through stage two: it learns; however it is stopped, it goes on as if it had not."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from torch.distributed.run import parse_args

import actionpose
from actionpose import checkpoint
from actionpose.config import (
    AugmentationConfig,
    FinetuneConfig,
    ModelConfig,
    TrainingConfig,
    to_dict,
)
from actionpose.errors import UserError
from actionpose.finetune import finetune, initialise
from actionpose.model import PoseEncoder
from actionpose.run_folder import open_run
from actionpose.training import learning_rate, stop_requests

SCRIPT = """
import sys
from pathlib import Path
import torch
import yaml
from torch.distributed.run import parse_args
from actionpose.config import FinetuneConfig, load_recipe
from actionpose.finetune import finetune
torch.set_num_threads(1)
outcome = finetune(load_recipe(FinetuneConfig, sys.argv[1]), Path(sys.argv[2]), quiet=True)
sys.stdout.write(f"{outcome.step} {outcome.status}\\n")
"""
STEPS_OF_AN_EPOCH = 11  # of `tiny_config`


def changed(config, **training):
    return replace(config, training=replace(config.training, **training))


def rows(run, key="total"):
    """The lines of the log that have a value, without what the clock says."""
    lines = (json.loads(line) for line in (run / "log.jsonl").read_text().splitlines())
    clock = ("clips_per_s", "minutes_left")
    return [{k: v for k, v in row.items() if k not in clock} for row in lines if key in row]


def assert_same(a, b):
    """Nested dicts and lists of tensors and numbers are equal to the bit."""
    assert type(a) is type(b)
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for key, value in a.items():
            assert_same(value, b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


def assert_same_end(run, other):
    """Weights, optimiser and log are the same."""
    ends = [checkpoint.saved_steps(folder)[-1] for folder in (run, other)]
    assert ends[0].name == ends[1].name
    first, second = ((end / "weights.safetensors").read_bytes() for end in ends)
    assert first == second
    assert_same(*(checkpoint.load_training(end) for end in ends))
    assert rows(run) == rows(other)
    metas = [checkpoint.load(end)[1] for end in ends]
    assert metas[0]["val_mpjpe_mm"] == metas[1]["val_mpjpe_mm"]


def test_it_learns(tiny_config, tmp_path):
    config = changed(tiny_config, epochs=5)
    outcome = finetune(config, tmp_path, quiet=True)
    assert (outcome.step, outcome.status) == (5 * STEPS_OF_AN_EPOCH, "finished")
    losses = [row["total"] for row in rows(tmp_path)]
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:3])


def test_what_a_run_leaves(tiny_config, tmp_path, corpus):
    config = changed(tiny_config, save_every=3, keep=2)
    outcome = finetune(config, tmp_path / "run", quiet=True)
    run = tmp_path / "run"
    steps = [path.name for path in checkpoint.saved_steps(run)]
    assert steps == ["0000009", "0000011"]
    assert outcome.checkpoint == run / "checkpoints" / "0000011"
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == steps
    report = json.loads((run / "report.json").read_text())
    assert report["status"] == "finished" and report["step"] == report["of"] == 11
    assert json.loads((run / "environment.json").read_text())["torch"] == torch.__version__
    assert [row["step"] for row in rows(run)] == list(range(1, 12))
    assert [row["step"] for row in rows(run, "val_mpjpe_mm")] == [3, 6, 9, 11]
    row = rows(run)[0]
    weighted = row["position"] + 20 * row["velocity"]
    assert row["total"] == pytest.approx(weighted, rel=1e-5)
    assert list(run.glob("events.out.tfevents.*"))
    encoder, meta = checkpoint.load_encoder(outcome.checkpoint)
    assert meta["config"] == to_dict(config) and meta["normalization"] == "image"
    assert meta["data"][0]["sha256"] == corpus.info["sha256"]["joints.npy"]
    assert meta["data"][0]["licence"] == "ours" and meta["rate_hz"] == 30.0
    assert 0 < meta["val_p_mpjpe_mm"] < meta["val_mpjpe_mm"] < 2000
    with torch.no_grad():
        assert torch.isfinite(encoder(torch.rand(1, 9, 17, 3)).pose).all()


@pytest.mark.parametrize("class_token", [False, True])
def test_interrupted_and_resumed_is_uninterrupted(tiny_config, tmp_path, class_token):
    """Stopped twice in the middle of an epoch; the second one resumes from a resumed one."""
    model = replace(tiny_config.model, class_token=class_token, middle_layer=1)
    config = changed(replace(tiny_config, model=model), epochs=1.5)
    total = round(1.5 * STEPS_OF_AN_EPOCH)
    assert finetune(config, tmp_path / "whole", quiet=True).step == total
    parts = tmp_path / "parts"
    for step in (1, 2, 3):
        outcome = finetune(changed(config, max_minutes=0.0), parts, quiet=True)
        assert (outcome.step, outcome.status) == (step, "out of time")
    outcome = finetune(config, parts, quiet=True)
    assert (outcome.step, outcome.status) == (total, "finished")
    assert_same_end(tmp_path / "whole", parts)
    # and once more: there is nothing left to do
    again = finetune(config, parts, quiet=True)
    assert (again.step, again.status, again.checkpoint) == (total, "finished", outcome.checkpoint)
    assert_same_end(tmp_path / "whole", parts)


def test_what_was_logged_after_the_checkpoint_is_not_logged_twice(tiny_config, tmp_path):
    finetune(tiny_config, tmp_path / "whole", quiet=True)
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path / "run", quiet=True)
    with (tmp_path / "run" / "log.jsonl").open("a") as log:
        log.write('{"step": 2, "total": 0.5}\n{"step": 3, "tot')  # killed while writing
    finetune(tiny_config, tmp_path / "run", quiet=True)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


def environment():
    """Of a process that finds this package, whether installed or not."""
    path = [str(Path(actionpose.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "OMP_NUM_THREADS": "1"}


@pytest.fixture
def start(tmp_path):
    """Starts processes that train in `tmp_path`; none outlives the test."""
    started = []

    def start(config, *launcher):
        (tmp_path / "script.py").write_text(SCRIPT)
        (tmp_path / "recipe.yaml").write_text(json.dumps(to_dict(config)))
        process = subprocess.Popen(
            [sys.executable, *launcher, "script.py", "recipe.yaml", "run"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # with its children it is one group
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_other_processes_never_see_half_a_configuration(tmp_path):
    """The main process writes it anew when it goes on, while others read it."""
    main = SimpleNamespace(is_main_process=True, device="cpu", num_processes=1)
    config = {"model": {"width": 16}}
    open_run(tmp_path / "run", config, main)
    with (tmp_path / "run" / "config.yaml").open() as opened:
        open_run(tmp_path / "run", config, main)
        after = os.stat(opened.name)
        assert os.fstat(opened.fileno()).st_ino != after.st_ino  # replaced, not written over
        assert yaml.safe_load(opened) == config


TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
PATIENCE_S = 240  # a busy machine imports torch slowly


def wait_for(condition, process):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)


def logged_steps(run):
    log = run / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_it_saves_and_stops(tiny_config, tmp_path, start, number):
    config = changed(tiny_config, epochs=10_000)
    run = tmp_path / "run"
    process = start(config)
    wait_for(lambda: logged_steps(run) >= 5, process)
    process.send_signal(number)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    step, status = output.split()
    assert status == "interrupted" and int(step) >= 5
    assert [path.name for path in (run / "checkpoints").iterdir()] == [f"{int(step):07d}"]
    assert json.loads((run / "report.json").read_text())["status"] == "interrupted"
    outcome = finetune(changed(config, max_minutes=0.0), run, quiet=True)
    assert outcome.step == int(step) + 1


def test_killed_it_goes_on_from_the_last_whole_checkpoint(tiny_config, tmp_path, start):
    config = changed(tiny_config, epochs=10_000, save_every=3)
    run = tmp_path / "run"
    process = start(config)
    wait_for(lambda: len(checkpoint.saved_steps(run)) >= 2, process)
    time.sleep(0.05)  # somewhere between two checkpoints, or in one
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    saved = int(checkpoint.saved_steps(run)[-1].name)
    outcome = finetune(changed(config, max_minutes=0.0), run, quiet=True)
    assert outcome.step == saved + 1
    # the same steps in one go; the exponential schedule does not look at the end
    steps = outcome.step / STEPS_OF_AN_EPOCH
    assert finetune(changed(config, epochs=steps), tmp_path / "whole", quiet=True).step == saved + 1
    assert_same_end(run, tmp_path / "whole")


@pytest.mark.parametrize("path", ["docs/pretraining.md", "recipes/paper_pretrain.slurm"])
def test_torchrun_understands_the_commands_that_are_told(path):
    """It takes `--run` for its own `--run-path` unless `--` stands before the module."""
    text = (Path(__file__).parents[1] / path).read_text().replace("\\\n", " ")
    commands = re.findall(r"^\s*(?:srun )?torchrun (.+)", text, re.MULTILINE)
    assert commands
    for command in commands:
        words = shlex.split(re.sub(r'"\$\w+"', "1", command))
        parsed = parse_args(words)
        assert parsed.module and parsed.training_script == "actionpose"
        assert parsed.training_script_args[:2] == ["pretrain", "--config"]
        assert "--run" in parsed.training_script_args


def test_two_processes_train_as_one(tiny_config, tmp_path, start):
    """The same global batches, so the same losses, whatever each process sees of them.

    With the <POSE> token's pooling, as by default, which no loss of this stage sees.
    """
    model = replace(tiny_config.model, class_token=True, middle_layer=1)
    config = changed(replace(tiny_config, model=model), epochs=10 / STEPS_OF_AN_EPOCH)
    process = start(config, *TORCHRUN)
    assert finetune(config, tmp_path / "one", quiet=True).step == 10
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors[-3000:]
    assert output.count("10 finished") == 2
    one, two = rows(tmp_path / "one"), rows(tmp_path / "run")
    assert [row["step"] for row in two] == list(range(1, 11))
    for a, b in zip(one, two, strict=True):
        assert a == pytest.approx(b, rel=1e-4, abs=1e-5)


def test_a_loss_that_is_not_finite_names_its_clips(tiny_config, tmp_path):
    config = changed(tiny_config, learning_rate=1e20, save_every=1)
    with pytest.raises(
        UserError, match=r"not finite at step \d+ \(.*m0\d\[\d+:\d+\].*rate"
    ) as caught:
        finetune(config, tmp_path, quiet=True)
    assert len([name for name in str(caught.value).split() if name.startswith("m0")]) == 4
    # no weights that are not finite were saved
    for folder in checkpoint.saved_steps(tmp_path):
        assert all(torch.isfinite(value).all() for value in checkpoint.load(folder)[0].values())


def test_another_configuration_is_refused(tiny_config, tmp_path):
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    data = replace(tiny_config.data, mirror=0.25)
    other = changed(replace(tiny_config, data=data), learning_rate=1e-5)
    with pytest.raises(
        UserError, match=r"another configuration \(data\.mirror, training\.learning_rate\)"
    ):
        finetune(other, tmp_path, quiet=True)
    # what does not change the result may change
    free = changed(tiny_config, max_minutes=0.0, save_every=7, log_every=3, keep=5)
    assert finetune(free, tmp_path, quiet=True).step == 2


def test_a_run_of_an_older_version_goes_on(tiny_config, tmp_path):
    """Settings that it did not know are off in it."""
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    saved = tmp_path / "config.yaml"
    before = yaml.safe_load(saved.read_text())
    del before["data"]["augmentation"], before["training"]["fused"]
    saved.write_text(yaml.safe_dump(before))
    assert finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True).step == 2
    more = replace(tiny_config.data, augmentation=AugmentationConfig(cropped=0.5))
    saved.write_text(yaml.safe_dump(before))
    with pytest.raises(UserError, match=r"another configuration \(data\.augmentation\.cropped"):
        finetune(replace(tiny_config, data=more), tmp_path, quiet=True)


def test_other_data_in_the_same_folder_is_another_configuration(tiny_config, tmp_path):
    (corpora,) = tiny_config.data.corpora
    finetune(changed(tiny_config, max_minutes=0.0), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={corpora: 1.0, corpora + "/": 2.0})
    with pytest.raises(UserError, match=r"another configuration \(data\.corpora"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)


def test_accumulated_steps_are_whole_steps(tiny_config, tmp_path):
    short = changed(tiny_config, epochs=5 / STEPS_OF_AN_EPOCH)
    for parts in (1, 2):
        finetune(changed(short, accumulate=parts), tmp_path / str(parts), quiet=True)
    for a, b in zip(rows(tmp_path / "1"), rows(tmp_path / "2"), strict=True):
        assert a == pytest.approx(b, rel=1e-3)
    with pytest.raises(UserError, match=r"training\.accumulate \(3\) must divide the 4 clips"):
        finetune(changed(short, accumulate=3), tmp_path / "3", quiet=True)


def test_two_precisions_in_one_process(tiny_config, tmp_path):
    """As in a notebook."""
    short = changed(tiny_config, epochs=3 / STEPS_OF_AN_EPOCH)
    losses = {}
    for precision in ("float32", "bf16"):
        run = tmp_path / precision
        finetune(changed(short, precision=precision), run, quiet=True)
        losses[precision] = [row["total"] for row in rows(run)]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bf16"] != losses["float32"]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_workers_change_nothing(tiny_config, tmp_path):
    short = changed(tiny_config, epochs=4 / STEPS_OF_AN_EPOCH)
    for workers in (0, 1):
        finetune(changed(short, workers=workers), tmp_path / str(workers), quiet=True)
    assert_same_end_but_config(tmp_path / "0", tmp_path / "1")


def assert_same_end_but_config(run, other):
    ends = [checkpoint.saved_steps(folder)[-1] for folder in (run, other)]
    assert_same(*(checkpoint.load(end)[0] for end in ends))
    assert rows(run) == rows(other)


def test_clips_of_every_length_train(tiny_config, tmp_path):
    """One motion is shorter than 27 frames; its clips are padded."""
    data = replace(tiny_config.data, frames=27, stride=3)
    config = changed(replace(tiny_config, data=data), epochs=0.1)
    assert finetune(config, tmp_path, quiet=True).status == "finished"
    assert all(np.isfinite(row["total"]) for row in rows(tmp_path))


CONFIG = TrainingConfig(learning_rate=1e-3, epoch_decay=0.9)


def rate(step, **changes):
    return learning_rate(step, replace(CONFIG, **changes), total=100, steps_per_epoch=10)


def test_exponential_schedule():
    assert rate(0) == rate(9) == 1e-3
    assert rate(10) == pytest.approx(0.9e-3) and rate(99) == pytest.approx(1e-3 * 0.9**9)


def test_cosine_schedule():
    assert rate(0, schedule="cosine") == 1e-3
    assert rate(25, schedule="cosine") == pytest.approx(1e-3 * (1 + np.sqrt(0.5)) / 2)
    assert rate(50, schedule="cosine") == pytest.approx(0.5e-3)
    assert 0 < rate(99, schedule="cosine") < 1e-6


@pytest.mark.parametrize("schedule", ["exponential", "cosine"])
def test_warm_up(schedule):
    rates = [rate(step, schedule=schedule, warmup_steps=4) for step in range(5)]
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3])
    rates = [rate(step, schedule=schedule, warmup_steps=200) for step in range(100)]
    assert rates == pytest.approx([1e-3 * (step + 1) / 200 for step in range(100)])


def test_the_rates_are_those_of_the_schedule(tiny_config, tmp_path):
    config = changed(tiny_config, epochs=2, epoch_decay=0.5, warmup_steps=2)
    finetune(config, tmp_path, quiet=True)
    found = [row["learning_rate"] for row in rows(tmp_path)]
    expected = [1e-3, *[2e-3] * (STEPS_OF_AN_EPOCH - 1), *[1e-3] * STEPS_OF_AN_EPOCH]
    assert found == pytest.approx(expected)


def test_requests_to_stop_are_heard_only_inside():
    before = signal.getsignal(signal.SIGTERM)
    with stop_requests() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked()
    assert signal.getsignal(signal.SIGTERM) is before
    with stop_requests() as asked:
        assert not asked()


def test_settings_that_do_not_fit_are_refused(tiny_config, tmp_path):
    data = replace(tiny_config.data, frames=81)
    with pytest.raises(UserError, match=r"data\.frames \(81\) is more than model\.max_frames"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={})
    with pytest.raises(UserError, match=r"data\.corpora must name at least one corpus"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)
    data = replace(tiny_config.data, corpora={str(tmp_path / "none"): 1.0})
    with pytest.raises(UserError, match=r"none is not a corpus"):
        finetune(replace(tiny_config, data=data), tmp_path, quiet=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the run"):
        finetune(tiny_config, tmp_path / "file", quiet=True)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there(tiny_config, tmp_path):
    with pytest.raises(UserError, match=r"training\.device is cuda, but torch finds no GPU"):
        finetune(changed(tiny_config, device="cuda"), tmp_path, quiet=True)


def encoder_of(config, **changes):
    model: ModelConfig = replace(config.model, **changes)
    sizes = {key: getattr(model, key) for key in model.__dataclass_fields__}
    return PoseEncoder(**sizes)


def test_starting_from_weights(tiny_config, tmp_path):
    """A run, its checkpoint or a file of MotionBERT's layout, which have no embedding."""
    run = tmp_path / "run"
    finetune(changed(tiny_config, max_minutes=0.0), run, quiet=True)
    weights, _ = checkpoint.load(checkpoint.find(run))
    official = tmp_path / "official.bin"
    torch.save({"model_pos": {f"module.{key}": value for key, value in weights.items()}}, official)
    for source, own in ((run, 0), (checkpoint.find(run), 1), (official, 0), (official, 2)):
        sizes = {"class_token": True, "middle_layer": 1, "embedding_depth": own}
        encoder = encoder_of(tiny_config, **sizes)
        drawn = {name: value.clone() for name, value in encoder.state_dict().items()}
        initialise(encoder, source)
        state = encoder.state_dict()
        assert all(torch.equal(value, state[key]) for key, value in weights.items())
        for name in set(state) - set(weights):
            # pair 2 is the embedding's, above pair 0; lifting has pair 1 there, and none above
            copied = name.replace(".2.", ".1.") if ".2." in name else None
            assert torch.equal(state[name], weights[copied] if copied else drawn[name]), name
    with pytest.raises(UserError, match="does not fit"):
        initialise(encoder_of(tiny_config, width=8), run)
    with pytest.raises(UserError, match="no checkpoint"):
        initialise(encoder_of(tiny_config), tmp_path / "none")
    with pytest.raises(UserError, match="no checkpoint"):
        finetune(replace(tiny_config, init=tmp_path / "none"), tmp_path / "new", quiet=True)
    assert not (tmp_path / "new").exists()


def test_a_run_may_start_from_another(tiny_config, tmp_path):
    """The first loss is then not that of a model as drawn."""
    first = tmp_path / "first"
    finetune(changed(tiny_config, epochs=3), first, quiet=True)
    config: FinetuneConfig = replace(tiny_config, init=first)
    finetune(config, tmp_path / "second", quiet=True)
    fresh, warm = rows(first)[0]["total"], rows(tmp_path / "second")[0]["total"]
    assert warm < 0.95 * fresh  # of the same batch
    assert checkpoint.load(checkpoint.find(tmp_path / "second"))[1]["config"]["init"] == str(first)
