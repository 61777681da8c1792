"""Every reader of files that others write, with small valid files for it."""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
import yaml
from helpers import bodies, mocap_files, synthetic_fixtures
from helpers.pretrained import WIDTH, write_checkpoint
from helpers.results import people
from helpers.untrusted_case import Reader
from helpers.untrusted_keypoints import RNG, check_finite, keypoint_readers, small_model

from actionpose import checkpoint
from actionpose.config import FinetuneConfig
from actionpose.datasets.corpus import Motion, verify_corpus, write_corpus
from actionpose.datasets.paired import open_paired, verify_paired
from actionpose.datasets.statistics import corpus_statistics
from actionpose.datasets.synthetic.generate import dataset
from actionpose.inference import search
from actionpose.inference.predictor import ActionPose
from actionpose.keypoints import Keypoints
from actionpose.models.text_encoder import TextEncoder
from actionpose.prepare.amass import motion_text
from actionpose.prepare.amass.babel import read_babel
from actionpose.prepare.amass.body_models import load_body, load_regressor
from actionpose.prepare.amass.sequences import read_sequence
from actionpose.prepare.mocap.asfamc import read_amc, read_asf
from actionpose.prepare.mocap.bvh import read_bvh
from actionpose.prepare.mocap.cmu import read_index
from actionpose.prepare.mocap.folder import read_labels
from actionpose.prepare.mocap.joint_map import load_joint_map, shipped_text
from actionpose.prepare.paired.h36m import prepare_h36m
from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp
from actionpose.result import Result
from actionpose.skeletons import H36M17
from actionpose.training.run_folder import last_checkpoint
from actionpose.utils.yaml_config import load_recipe, to_dict

# ---- results, checkpoints, indices


def _write_result(folder: Path) -> None:
    header = {"fps": 25.0, "image_size": [1000, 800], "notes": ["a"], "processing": []}
    header |= {"actions": [{"start_s": 0.0, "stop_s": 0.4, "label": "walk", "score": 0.5}]}
    header |= {"embedding_windows_s": [[0.0, 1.0], [0.5, 1.5]], "checkpoint": {"sha256": "a"}}
    result = people(2)
    unit = np.eye(WIDTH, dtype=np.float32)[:2]
    changes = {"header": {**result.header, **header}, "embeddings": np.stack([unit, unit])}
    replace(result, **changes).save(folder / "result.npz")


def _read_result(folder: Path) -> None:
    from actionpose.postprocessing.joint_angles import joint_angles
    from actionpose.postprocessing.root_trajectory import set_up_axis
    from actionpose.postprocessing.smoothing import smooth

    result = Result.load(folder / "result.npz")
    _ = result.facts
    for suffix in ("json", "csv", "trc"):
        result.save(folder / f"out.{suffix}")
    joint_angles(result)
    smooth(result)
    set_up_axis(result, "y")
    small_model(folder).actions(result, ["walk", "sit"])


def _use_checkpoint(folder: Path) -> None:
    model = ActionPose.from_pretrained(folder / "model", "cpu")
    rng = np.random.default_rng(0)  # the same points each time: a failure can be made again
    points = np.concatenate([rng.uniform(50, 900, (40, 17, 2)), np.ones((40, 17, 1))], -1)
    track = Keypoints.from_array(points, skeleton=H36M17, fps=25, image_size=(1000, 900))
    check_finite(model.lift(track))
    if model.labels.names:
        model.actions(track, list(model.labels.names))


def _write_index(folder: Path) -> None:
    _write_result(folder)
    search.open_index(folder / "result.npz", small_model(folder), folder=folder / "index")


def _search(folder: Path) -> None:
    model = small_model(folder)
    index = search.open_index(folder / "result.npz", model, folder=folder / "index")
    search.best_hits([index], np.eye(WIDTH)[0], 3)


def _train(folder: Path) -> None:
    config = to_dict(FinetuneConfig())
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    step = write_checkpoint(folder / "checkpoints" / "0000001")
    state = {"optimizer": {"state": {0: {"step": torch.ones(1)}}, "param_groups": [{"lr": 1.0}]}}
    torch.save(state, step / "training.pt")


def _resume(folder: Path) -> None:
    last = last_checkpoint(folder, to_dict(FinetuneConfig()))
    assert last is not None
    checkpoint.load(last)
    checkpoint.load_training(last)


def _encode_text(folder: Path) -> None:
    TextEncoder.from_checkpoint(folder / "model" / "text").encode(["walk on a chair", "sit"])


def _motionbert(folder: Path) -> None:
    from actionpose.config import ModelConfig
    from actionpose.models import build_encoder

    config = ModelConfig(dim=16, depth=2, num_heads=2, dim_rep=16, max_frames=9, class_token=False)
    weights = build_encoder(**asdict(config)).state_dict()
    torch.save({"model_pos": {f"module.{k}": v for k, v in weights.items()}}, folder / "m.bin")


# ---- datasets


def _corpus(folder: Path) -> None:
    motions = [
        Motion(f"m{i}", "s", "train", made.joints_m[:40], made.text, [(0, 9, "walk", "action")])
        for i, made in enumerate(dataset(3, seed=5))
    ]
    write_corpus(folder / "corpus", motions, source="made up", license="ours")


def _read_corpus(folder: Path) -> None:
    opened = search.open_corpus(folder / "corpus")
    corpus_statistics(opened)
    _ = [np.asarray(opened.joints_m[s.start : s.stop]) for s in opened.motions("train").values()]
    assert all(map(len, opened.segments)) and opened.fps > 0
    verify_corpus(folder / "corpus")


def _h36m(folder: Path) -> None:
    content = synthetic_fixtures.h36m_sh(frames=12, cameras=1, actions={2: "Directions"})
    (folder / "h36m.pkl").write_bytes(pickle.dumps(content))


def _vp3d(folder: Path) -> None:
    positions_m, positions_px, cameras = synthetic_fixtures.h36m_videopose3d(frames=30)
    synthetic_fixtures.save_npz(folder / "3d.npz", positions_3d=positions_m)
    synthetic_fixtures.save_npz(folder / "2d.npz", positions_2d=positions_px)
    (folder / "cameras.json").write_text(json.dumps(cameras))


def _3dhp(folder: Path) -> None:
    train, test = synthetic_fixtures.mpi_inf_3dhp(frames=12, test_frames=30, cameras=1)
    synthetic_fixtures.save_npz(folder / "data_train_3dhp.npz", data=train, synthetic=True)
    synthetic_fixtures.save_npz(folder / "data_test_3dhp.npz", data=test, synthetic=True)


def _paired(folder: Path) -> None:
    _3dhp(folder)
    prepare_3dhp(folder, folder / "paired")
    for path in folder.glob("*.npz"):
        path.unlink()


def _read_paired(folder: Path) -> None:
    from actionpose.evaluation.paired import protocol_for, windows_of

    for split in ("train", "test"):
        opened = open_paired(folder / "paired", split)
        _ = [opened.unit(video) for video in opened.videos], opened.fps, opened.video_of_rows()
    windows_of(opened, protocol_for(opened), 0)
    verify_paired(folder / "paired")


def _predictions(folder: Path) -> None:
    _paired(folder)
    poses = np.asarray(open_paired(folder / "paired", "test").truth_mm)
    np.savez(folder / "predicted.npz", pose_mm=poses, skeleton=np.array("h36m17"))


def _score(folder: Path) -> None:
    from actionpose.evaluation.paired import protocol_for, windows_of
    from actionpose.evaluation.predictions import load_predictions

    opened = open_paired(folder / "paired", "test")
    load_predictions(folder / "predicted.npz", opened, windows_of(opened, protocol_for(opened), 0))


# ---- sources of corpora


def _amass(folder: Path) -> None:
    poses = RNG.normal(0, 0.1, (30, 156))
    np.savez(
        folder / "a.npz",
        poses=poses,
        trans=RNG.normal(size=(30, 3)),
        betas=np.zeros(16),
        gender=np.array("male"),
        mocap_framerate=np.array(60.0),
    )


def _babel(folder: Path) -> None:
    label = {"raw_label": "walk", "proc_label": "walk", "start_t": 0.0, "end_t": 1.0}
    entry = {
        "feat_p": "CMU/CMU/01/01_01_poses.npz",
        "babel_sid": 1,
        "dur": 2.5,
        "seq_ann": {"labels": [label]},
        "frame_ann": {"labels": [label, label]},
    }
    for split in ("train", "val"):
        (folder / f"{split}.json").write_text(json.dumps({"1": entry, "2": entry}))


def _humanml3d(folder: Path) -> None:
    (folder / "HumanML3D" / "texts").mkdir(parents=True)
    rows = [f"./pose_data/CMU/01/01_0{i}_poses.npy,0,10,00000{i}.npy" for i in range(3)]
    (folder / "index.csv").write_text(
        "\n".join(["source_path,start_frame,end_frame,new_name", *rows, ""])
    )
    for i in range(3):
        text = "a man walks.#a/DET man/NOUN walk/VERB#0.0#0.0\nhe turns#he/PRON#0.1#0.3\n"
        (folder / "HumanML3D" / "texts" / f"00000{i}.txt").write_text(text)
    (folder / "HumanML3D" / "val.txt").write_text("000001\n")


def _unified(folder: Path) -> None:
    annotation = {"text": "walk", "start": 0.0, "end": 2.0}
    entry = {"path": "CMU/01/01_01", "duration": 3.0, "annotations": [annotation, annotation]}
    (folder / "unified.json").write_text(json.dumps({"000": entry, "001": entry}))
    (folder / "train.txt").write_text("000 001\n")


def _body(folder: Path) -> None:
    arrays = bodies.body_arrays("smplh", 60, seed=0)
    np.savez(folder / "model.npz", **arrays)


def _body_pickle(folder: Path) -> None:
    arrays = bodies.body_arrays("smpl", 60, seed=0)
    (folder / "model.pkl").write_bytes(pickle.dumps(dict(arrays)))


def _regressor(folder: Path) -> None:
    arrays = bodies.body_arrays("smplh", 300, seed=0)
    np.savez(folder / "model.npz", **arrays)
    np.save(folder / "regressor.npy", bodies.regressor(arrays["v_template"]))


def _read_motion(path: Path) -> None:
    file = read_bvh(path)
    for block in file.blocks():
        assert np.isfinite(block).all()


def _asf(folder: Path) -> None:
    mocap_files.body_asf(folder / "01.asf")
    mocap_files.body_amc(folder / "01_01.amc", frames=4)


def _read_asf(folder: Path) -> None:
    for block in read_amc(folder / "01_01.amc", read_asf(folder / "01.asf"), 120.0).blocks():
        np.asarray(block)


def _index(suffix: str) -> Reader:
    texts = {
        ".json": json.dumps({"01_01": ["walk", 120], "02_01": ["sit", 60], "13_04": ["a"]}),
        ".csv": "trial,description,fps\n01_01,walk,120\n02_01,sit,60\n",
        ".txt": "Subject #1 (climb)\n01_01\twalk\n01_02\tUnknown\n",
        ".html": '<tr><td>1</td><td>walk</td><td><a href="01_01.amc">amc</a></td><td>120</td></tr>',
    }
    return Reader(
        lambda f: (f / f"index{suffix}").write_text(texts[suffix]),
        lambda f: read_index(f / f"index{suffix}"),
    )


def _labels(folder: Path) -> None:
    (folder / "labels.csv").write_text(
        "file,text,subject,split,start_s,stop_s\na.bvh,walk,s1,train,0,1\nb.bvh,sit,s2,val,,\n"
    )


def _recipe(folder: Path) -> None:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(to_dict(FinetuneConfig())))


READERS: dict[str, Reader] = {
    **keypoint_readers(),
    "result": Reader(_write_result, _read_result, "result.npz"),
    "checkpoint": Reader(
        lambda f: write_checkpoint(
            f / "model", labels={"walk": np.ones(WIDTH), "sit": -np.ones(WIDTH)}
        ),
        _use_checkpoint,
    ),
    "run": Reader(_train, _resume),
    "text_encoder": Reader(
        lambda f: write_checkpoint(f / "model", text=True), _encode_text, "model/text/*"
    ),
    "motionbert": Reader(
        _motionbert, lambda f: checkpoint.load_motionbert(f / "m.bin", num_heads=2)
    ),
    "search_index": Reader(_write_index, _search, "index/*.npz"),
    "corpus": Reader(_corpus, _read_corpus),
    "paired": Reader(_paired, _read_paired),
    "predictions": Reader(_predictions, _score, "predicted.npz"),
    "h36m": Reader(
        _h36m,
        lambda f: prepare_h36m(f / "h36m.pkl", f / "out"),
    ),
    "h36m_videopose3d": Reader(
        _vp3d,
        lambda f: prepare_h36m(
            f / "3d.npz", f / "out", keypoints=f / "2d.npz", cameras=f / "cameras.json"
        ),
    ),
    "3dhp": Reader(_3dhp, lambda f: prepare_3dhp(f, f / "out")),
    "amass": Reader(_amass, lambda f: read_sequence(f / "a.npz")),
    "babel": Reader(_babel, lambda f: read_babel(f, "proc_label")),
    "humanml3d": Reader(_humanml3d, lambda f: motion_text.read_humanml3d(f / "index.csv")),
    "unified": Reader(_unified, lambda f: motion_text.read_unified(f / "unified.json")),
    "body": Reader(_body, lambda f: load_body(f / "model.npz")),
    "body_pickle": Reader(_body_pickle, lambda f: load_body(f / "model.pkl")),
    "regressor": Reader(
        _regressor,
        lambda f: load_regressor(f / "regressor.npy", load_body(f / "model.npz")),
        "regressor.npy",
    ),
    "bvh": Reader(
        lambda f: mocap_files.body_bvh("cmu_bvh", f / "a.bvh", frames=4),
        lambda f: _read_motion(f / "a.bvh"),
    ),
    "asf_amc": Reader(_asf, _read_asf),
    **{f"cmu_index_{suffix[1:]}": _index(suffix) for suffix in (".json", ".csv", ".txt", ".html")},
    "labels": Reader(_labels, lambda f: read_labels(f / "labels.csv")),
    "joint_map": Reader(
        lambda f: (f / "map.yaml").write_text(shipped_text("mixamo")),
        lambda f: load_joint_map(f / "map.yaml"),
    ),
    "recipe": Reader(_recipe, lambda f: load_recipe(FinetuneConfig, f / "recipe.yaml")),
}
