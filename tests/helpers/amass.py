"""A synthetic AMASS with its BABEL and bodies: files with every defect that is known."""

import io
import json
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from helpers.bodies import mesh, regressor, write_bodies
from scipy.spatial.transform import Rotation, Slerp

from actionpose.prepare.amass.build import Report, prepare

Arrays = dict[str, Any]

# archive and folder as BABEL names them, folder on the disk, subject, rates, name with spaces
DATA_SETS = [
    ("CMU", "CMU", "CMU", "01", 120.0, "01_{:02d}"),
    ("CMU", "CMU", "CMU", "141", 60.0, "141_{:02d}"),
    ("KIT", "KIT", "KIT", "3", 100.0, "walking_slow{:02d}"),
    ("BMLrub", "BioMotionLab_NTroje", "BMLrub", "rub001", 120.0, "00{:02d}_lifting"),
    ("DFaust67", "DFaust_67", "DFaust_67", "50002", 60.0, "50002_jump_{:02d}"),
    ("EyesJapanDataset", "Eyes_Japan_Dataset", "Eyes_Japan_Dataset", "hamada", 250.0,
     "pose-{:02d}-hang on-hamada"),
    ("MPIHDM05", "MPI_HDM05", "HDM05", "bk", 120.0, "HDM_bk_{:02d}_120"),
    ("TCDhandMocap", "TCD_handMocap", "TCD_handMocap", "ExperimentDatabase", 150.0, "sit{:02d}"),
    ("SSMsynced", "SSM_synced", "SSM_synced", "20161014_50033", 59.99999, "squat_{:02d}_sync"),
    ("ACCAD", "ACCAD", "ACCAD", "Male2Walking_c3d", 120.00005, "B{:02d} -  Walk  turn"),
]  # fmt: skip
GENDERS = [np.array("male"), np.array(b"female"), "male", np.array(["female"]), b"male"]
ACTIONS = ["walk", "sit", "hop left", "T-Pose", "place object_", "wave  right hand"]


@dataclass
class Made:
    """A sequence as it was made."""

    number: int
    defect: str | None
    babel: str  # id in the corpus
    file: Path
    fps: float  # the true one
    seconds: float
    split: str


class Code:
    """What must not run when a file is read."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (print, ("this must not be printed",))


def motion(
    rng: np.random.Generator, frames: int, fps: float, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth: a few waves a value, and a path at the height of a pelvis."""
    time = np.arange(frames)[:, None] / fps
    waves = rng.uniform(0.2, 1.5, width), rng.uniform(0, 6, width), rng.normal(0, 0.3, width)
    poses = waves[2] * np.sin(2 * np.pi * waves[0] * time + waves[1])
    poses[:, :3] += (np.pi / 2, 0, 0)  # the model is y up, the world z up
    path = np.array([0.5, 0.1, 0.02]) * np.sin(time) + (0, 0, 1.1)
    return poses, path


# Each makes something of the arrays that are about to be saved
FILE_DEFECTS: dict[str, Callable[[Arrays], object]] = {
    "nan": lambda a: a["poses"].__setitem__((3, 5), np.nan),
    "no poses": lambda a: a.pop("poses"),
    "no rate": lambda a: a.pop("mocap_framerate"),
    "rate 0": lambda a: a.__setitem__("mocap_framerate", np.array(0.0)),
    "double rate": lambda a: a.__setitem__("mocap_framerate", a["mocap_framerate"] * 2),
    "half rate": lambda a: a.__setitem__("mocap_framerate", a["mocap_framerate"] / 2),
    "other length": lambda a: a.update(poses=a["poses"][:30], trans=a["trans"][:30]),
    "unknown gender": lambda a: a.__setitem__("gender", np.array("other")),
    "neutral": lambda a: a.__setitem__("gender", np.array("neutral")),
    "pickled": lambda a: a.__setitem__("poses", np.array([Code()], dtype=object)),
    "short trans": lambda a: a.__setitem__("trans", a["trans"][:-1]),
    "many betas": lambda a: a.__setitem__("betas", np.pad(a["betas"], (0, 4))),
    "few betas": lambda a: a.__setitem__("betas", a["betas"][:10]),
}
BYTE_DEFECTS = ("cut", "not a zip", "empty", "bomb", "flipped")
OTHER_DEFECTS = ("missing", "smplx")
DEFECTS = (*FILE_DEFECTS, *BYTE_DEFECTS, *OTHER_DEFECTS)
UNUSABLE = {
    *("nan", "no poses", "other length", "unknown gender", "neutral", "pickled", "short trans"),
    *BYTE_DEFECTS,
    *OTHER_DEFECTS,
}
"""Those whose recording cannot be used; the others are put right."""


def write_amass(
    folder: Path,
    num_files: int = 200,
    seed: int = 0,
    seconds: tuple[float, float] = (0.6, 1.4),
    defects: tuple[str, ...] = DEFECTS,
) -> list[Made]:
    """AMASS below `folder/AMASS`, BABEL below `folder/BABEL`.

    The first recordings have a defect each. Among the others, labels have those of BABEL.
    """
    made: list[Made] = []
    entries: dict[str, dict[str, Any]] = {split: {} for split in ("train", "val", "test")}
    for number in range(num_files):
        rng = np.random.default_rng([seed, number])
        defect = defects[number] if number < len(defects) else None
        archive, extracted, local, subject, fps, pattern = DATA_SETS[number % len(DATA_SETS)]
        name = pattern.format(number // len(DATA_SETS))
        frames = int(rng.uniform(*seconds) * fps)
        # newer downloads have underscores for spaces
        on_disk = name.replace(" ", "_") if number % 20 < 10 else name
        file = folder / "AMASS" / local / subject / f"{on_disk}_poses.npz"
        split = ("train", "train", "train", "val")[number % 4]
        feat_p = f"{archive}/{extracted}/{subject}/{name}_poses.npz"
        one = Made(
            number, defect, f"{extracted}/{subject}/{name}_poses", file, fps,
            round(frames / fps, 2), split,
        )  # fmt: skip
        made.append(one)
        entries[split][str(number)] = babel_entry(one, feat_p, rng)
        write_motion(one, frames, rng)
    for path in ("CMU/01/shape.npz", "KIT/3/neutral_stagei.npz", "CMU/LICENSE.txt"):
        (folder / "AMASS" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "AMASS" / path).write_bytes(b"")
    write_babel(folder / "BABEL", entries)
    return made


def write_motion(one: Made, frames: int, rng: np.random.Generator) -> None:
    file = one.file
    file.parent.mkdir(parents=True, exist_ok=True)
    poses, trans = motion(rng, frames, one.fps, 156)
    arrays = {
        "poses": poses,
        "gender": GENDERS[one.number % len(GENDERS)],
        "mocap_framerate": np.array(one.fps),
        "betas": rng.normal(0, 1, 16),
        "trans": trans,
        "dmpls": rng.normal(0, 0.1, (frames, 8)),
    }
    if one.defect == "missing":
        return
    if one.defect == "smplx":
        file = file.with_name(file.name.replace("_poses", "_stageii"))
        arrays = newer(arrays, rng)
    if one.defect in FILE_DEFECTS:
        FILE_DEFECTS[one.defect](arrays)
    np.savez(file, **arrays)
    if one.defect in BYTE_DEFECTS:
        file.write_bytes(damaged(one.defect, file.read_bytes()))


def newer(arrays: Arrays, rng: np.random.Generator) -> Arrays:
    """The same in the keys of the SMPL-X release, one of which is a pickle that nobody needs."""
    poses, trans = motion(rng, len(arrays["poses"]), float(arrays["mocap_framerate"]), 165)
    vids = {"head": 7}
    return {
        "gender": arrays["gender"],
        "surface_model_type": np.array("smplx"),
        "mocap_frame_rate": arrays["mocap_framerate"],
        "mocap_time_length": np.array(len(poses) / float(arrays["mocap_framerate"])),
        "markers_latent": np.zeros((3, 3)),
        "latent_labels": np.array(["ARIEL", "C7", "CLAV"]),
        "markers_latent_vids": np.array(vids, dtype=object),
        "trans": trans,
        "poses": poses,
        "betas": arrays["betas"],
        "num_betas": np.array(16),
        "root_orient": poses[:, :3],
        "pose_body": poses[:, 3:66],
        "pose_hand": poses[:, 75:],
        "pose_jaw": poses[:, 66:69],
        "pose_eye": poses[:, 69:75],
    }


def damaged(defect: str, content: bytes) -> bytes:
    if defect == "cut":
        return content[: len(content) // 2]
    if defect == "flipped":
        middle = len(content) // 3  # inside poses: the archive's checksum tells
        return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]
    if defect == "bomb":
        return bomb()
    return b"" if defect == "empty" else b"<html>please log in</html>"


def bomb(gigabytes: int = 64) -> bytes:
    """A small archive whose poses would fill the memory."""
    small, header = io.BytesIO(), io.BytesIO()
    shape = (gigabytes * (1 << 30) // (156 * 8), 156)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": shape}
    )
    with zipfile.ZipFile(small, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("poses.npy", header.getvalue() + bytes(1 << 20))
        for name in ("trans", "betas", "gender"):
            buffer = io.BytesIO()
            np.save(buffer, np.zeros(3))
            archive.writestr(f"{name}.npy", buffer.getvalue())
    return small.getvalue()


def label(
    text: str | None, start: float | None = None, end: float | None = None, **changes: Any
) -> dict[str, Any]:
    made = {"raw_label": f"{text} (as typed)", "proc_label": text, "act_cat": [text], "seg_id": "s"}
    times = {} if start is None else {"start_t": start, "end_t": end}
    return {**made, **times, **changes}


def annotation(*labels: dict[str, Any]) -> dict[str, Any]:
    made = {"babel_lid": "l", "anntr_id": "a", "mul_act": len(labels) > 1, "labels": list(labels)}
    return made


def babel_entry(one: Made, feat_p: str, rng: np.random.Generator) -> dict[str, Any]:
    """Labels with BABEL's own defects, by the number of the recording."""
    end, half, third = one.seconds, round(one.seconds / 2, 3), round(one.seconds / 3, 3)
    first, second = rng.choice(ACTIONS, 2, replace=False).tolist()
    parts = [
        # one action: no parts at all
        None,
        # not in the order of time, and ending after the recording
        annotation(
            label(second, 2 * third, end + 0.004),
            label("transition", third, 2 * third, act_cat=["transition"]),
            label(first, 0, third),
        ),
        # overlapping, without a category
        annotation(label(first, 0, half, act_cat=None), label(second, third, end)),
        # a transition with nothing after it, a label without text, one that takes no time
        annotation(
            label(first, 0, half),
            label("transition", half, end),
            label(None, 0, 1, raw_label=None),
            label(second, half, half),
        ),
        # two transitions side by side; a label after the end; the same twice
        annotation(
            label(first, 0, third),
            label(first, 0, third),
            label("transition", third, half),
            label("transition", half, 2 * third),
            label(second, 2 * third, end),
            label("late", end + 1, end + 2),
        ),
        # overlapping its neighbors, a nested label, and two that start together
        annotation(
            label(first, 0, third + 0.05),
            label("look around", third / 3, third / 2),
            label("transition", third, 2 * third),
            label(second, 2 * third - 0.05, end),
            label("breathe", 2 * third - 0.05, end - 0.05),
        ),
    ][one.number % 6]
    return {
        "babel_sid": one.number,
        "url": f"renders/{one.number:06d}.mp4",
        "feat_p": feat_p,
        "dur": one.seconds,
        "seq_ann": annotation(label(f"{first} around")),
        "frame_ann": parts,
    }


def write_babel(folder: Path, entries: dict[str, dict[str, Any]]) -> None:
    """The five files. In the extra ones a few recordings have more annotators, one a second split;
    in the test file everything is hidden."""
    folder.mkdir(parents=True)
    extra: dict[str, dict[str, Any]] = {"train": {}, "val": {}}
    for split, several in extra.items():
        for sid, entry in list(entries[split].items())[-6:-3]:
            more = {name: entry[name] for name in ("babel_sid", "url", "feat_p", "dur")}
            said = [annotation(label("dance", 0, entry["dur"])), annotation(label("spin", 0, 0.5))]
            several[sid] = more | {"seq_anns": [annotation(label("dance"))], "frame_anns": said}
    leaked = dict(list(entries["val"].items())[-1:])
    hidden = {}
    for number in range(3):
        nothing = {"raw_label": None, "proc_label": None, "act_cat": None, "seg_id": "s"}
        hidden[str(90000 + number)] = {
            "babel_sid": 90000 + number,
            "url": "",
            "feat_p": f"CMU/CMU/02/02_{number:02d}_poses.npz",
            "dur": 2.0,
            "seq_ann": annotation(nothing),
            "frame_ann": None,
        }
    files = {
        "train": entries["train"] | leaked,
        "val": entries["val"],
        "test": hidden,
        "extra_train": extra["train"],
        "extra_val": extra["val"],
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


def touch_all(folder: Path, seconds: int = 1_600_000_000) -> None:
    """Times of change that are the same on every run."""
    for parent, _, names in os.walk(folder):
        for name in names:
            os.utime(Path(parent) / name, (seconds, seconds))


class AmassFixture:
    """Where the synthetic files lie, and how to prepare them."""

    def __init__(self, folder: Path, num_files: int = 200, **settings: Any) -> None:
        self.folder = folder
        self.made = write_amass(folder, num_files, **settings)
        self.bodies, self.regressor = write_bodies(folder / "bodies")
        touch_all(folder)

    def prepare(self, out_dir: Path, **settings: Any) -> Report:
        given = {
            "amass": self.folder / "AMASS",
            "annotations": self.folder / "BABEL",
            "body_model": self.bodies / "smplh",
            "regressor": self.regressor,
        }
        return prepare(out_dir=out_dir, **given | settings)

    def command(self, *more: object) -> list[str]:
        places = [str(self.folder / "AMASS"), str(self.folder / "BABEL")]
        options = ["--body-model", str(self.bodies), "--regressor", str(self.regressor)]
        return ["prepare", "amass-babel", *places, *options, *map(str, more)]

    def expected_joints(self, one: Made, at: np.ndarray) -> np.ndarray:
        """By the oracle: frames of the file, given as whole numbers or times between them."""
        with np.load(one.file) as file:
            poses, trans_m, betas = file["poses"], file["trans"], file["betas"][:16]
            gender = str(file["gender"].ravel()[0].astype(str))
        frames = np.arange(len(poses))
        turns = Rotation.from_rotvec(poses.reshape(-1, 3)).as_quat().reshape(len(poses), -1, 4)
        posed = np.stack(
            [Slerp(frames, Rotation.from_quat(turns[:, j]))(at).as_rotvec() for j in range(52)],
            axis=1,
        )
        path = np.stack([np.interp(at, frames, trans_m[:, axis]) for axis in range(3)], axis=1)
        arrays = dict(np.load(self.bodies / "smplh" / gender / "model.npz"))
        female = np.load(self.bodies / "smplh" / "female" / "model.npz")["v_template"]
        vertices, _ = mesh(arrays, posed.reshape(len(at), -1), betas, path)
        return np.einsum("jv,tvc->tjc", regressor(female), vertices)


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
