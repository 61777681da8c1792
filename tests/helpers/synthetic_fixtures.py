"""Files with the keys, shapes and units of the licensed data sets, made from procedural motion.

They let the whole chain run without the data; scores on them mean nothing, and every table made
from them says so, because the files carry the key `synthetic`.

    python tests/helpers/synthetic_fixtures.py raw          # writes all of them into raw/
"""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

from actionpose.datasets.projection import place_camera
from actionpose.datasets.synthetic.generate import motion
from actionpose.geometry.camera import Camera, scale_bones
from actionpose.skeletons import H36M17, MPI_INF_3DHP17, convert

# the id, size and place of Human3.6M's cameras
CAMERAS = {
    "54138969": (1000, 1002),
    "55011271": (1000, 1000),
    "58860488": (1000, 1000),
    "60457274": (1000, 1002),
}
ACTIONS = {2: "Directions", 5: "Greeting", 14: "Walking"}
OF_32 = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
SIZE_OF = {"S1": 1.0, "S5": 0.94, "S6": 1.05, "S7": 1.1, "S8": 0.97, "S9": 1.02, "S11": 0.9}


def bone_lengths(joints: np.ndarray) -> np.ndarray:
    lengths = np.ones(len(H36M17))
    for child, parent in H36M17.bones:
        lengths[child] = np.median(np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1))
    return lengths


def walk_m(seed: int, frames: int) -> np.ndarray:
    """(frames, 17, 3) meters, world: walks of one body, joined and played to and fro."""
    parts: list[np.ndarray] = []
    lengths = None
    for number in range(1000):
        made = motion(
            ("walk", "squat", "kick")[number % 3],
            np.random.default_rng([seed, number]),
            fps=50.0,
        )
        joints = made.joints_m.astype(np.float64)
        if lengths is None:
            lengths = bone_lengths(joints)
        joints = scale_bones(joints, lengths / bone_lengths(joints))
        if parts:
            joints[..., :2] += parts[-1][-1, 0, :2] - joints[0, 0, :2]
        parts.append(joints)
        if sum(map(len, parts)) >= frames:
            break
    return np.concatenate(parts)[:frames]


def cameras_around(joints_m: np.ndarray, number: int) -> list[Camera]:
    return [place_camera(joints_m, 0.4 + np.pi / 2 * i, 4.5, 1.6) for i in range(number)]


def h36m_sh(
    frames: int = 300, cameras: int = 2, actions: dict[int, str] = ACTIONS, seed: int = 0
) -> dict[str, Any]:
    """The content of MotionBERT's pkl. S9 has one of the blocked sequences."""
    content: dict[str, Any] = {"synthetic": True}
    rng = np.random.default_rng(seed)
    for split, subjects in (("train", (1, 5, 6, 7, 8)), ("test", (9, 11))):
        table: dict[str, list[Any]] = {
            key: []
            for key in ("joint_2d", "confidence", "joint3d_image", "camera_name", "action")
            + ("source", "joints_2.5d_image", "2.5d_factor")
        }
        for subject in subjects:
            for act, action in actions.items():
                joints_m = walk_m(100 * subject + act, frames + 7 * act)
                for number, camera in enumerate(cameras_around(joints_m, cameras)):
                    name = list(CAMERAS)[number]
                    subact = 2 if (subject, act) == (9, 5) else 1
                    source = (
                        f"s_{subject:02d}_act_{act:02d}_subact_{subact:02d}_ca_{number + 1:02d}"
                    )
                    view = sh_view(camera, joints_m, rng)
                    length = len(joints_m)
                    for key, value in view.items():
                        table[key].append(value)
                    table["camera_name"] += [name] * length
                    table["action"] += [action] * length
                    table["source"] += [source] * length
        arrays = ("joint_2d", "confidence", "joint3d_image", "joints_2.5d_image", "2.5d_factor")
        half = {
            key: np.concatenate(value) if key in arrays else value for key, value in table.items()
        }
        if split == "train":
            del half["joints_2.5d_image"], half["2.5d_factor"]
        content[split] = half
    return content


def sh_view(camera: Camera, joints_m: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """What the pkl has of one video."""
    seen_mm = camera.from_world(joints_m) * 1000
    xy = camera.project(seen_mm)
    root_mm = seen_mm[:, 0]
    width = 2000 * camera.focal_px / root_mm[:, 2]  # of the box around root +- 1 m
    depth = (seen_mm[..., 2] - root_mm[:, None, 2]) * ((width + 1) / 2000)[:, None]
    image = np.concatenate([xy, depth[..., None]], axis=-1)
    px, mm = image - image[:, :1], seen_mm - seen_mm[:, :1]
    factor = (px * mm).sum(axis=(1, 2)) / (px * px).sum(axis=(1, 2))
    noise = rng.normal(0, 4, xy.shape)
    return {
        "joint_2d": (xy + noise).astype(np.float32),
        "confidence": np.clip(1 - np.abs(noise).mean(axis=-1) / 12, 0, 1).astype(np.float32),
        "joint3d_image": image.astype(np.float32),
        "joints_2.5d_image": (image * factor[:, None, None]).astype(np.float32),
        "2.5d_factor": factor.astype(np.float32),
    }


def h36m_videopose3d(frames: int = 90, seed: int = 0) -> tuple[Any, Any, Any]:
    """The content of `data_3d_h36m.npz`, of a 2D file, and of the cameras' JSON."""
    rng = np.random.default_rng(seed)
    positions_m: dict[str, Any] = {}
    positions_px: dict[str, Any] = {}
    extrinsics: dict[str, Any] = {}
    for number, subject in enumerate(SIZE_OF):
        joints_m = walk_m(number, frames)
        views = cameras_around(joints_m, 4)
        extrinsics[subject] = {
            name: {
                "R": view.rotation.tolist(),
                "t": (-1000 * view.rotation @ view.position_m)[:, None].tolist(),
            }
            for name, view in zip(CAMERAS, views, strict=True)
        }
        positions_m[subject], positions_px[subject] = {}, {}
        for action in ("Directions 1", "Directions", "Walking"):
            all_joints = np.zeros((frames, 32, 3), np.float32)
            all_joints[:, OF_32] = joints_m
            positions_m[subject][action] = all_joints
            positions_px[subject][action] = [
                np.pad(  # detections run on for a few frames
                    view.project(view.from_world(joints_m)), ((0, 3), (0, 0), (0, 0)), mode="edge"
                )
                + rng.normal(0, 3, (frames + 3, 17, 2))
                for view in views
            ]
    return positions_m, positions_px, {"extrinsics": extrinsics}


def to_3dhp(points: np.ndarray) -> np.ndarray:
    """H36M17's order to MPI-INF-3DHP's."""
    numbers = np.arange(17.0)[:, None]
    source = convert(numbers, MPI_INF_3DHP17, confidence=False)[:, 0].astype(int)
    result = np.empty_like(points)
    result[:, source] = points
    return result


def mpi_inf_3dhp(
    frames: int = 120, test_frames: int = 60, cameras: int = 2, universal: bool = True
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The content (`data`) of both files."""
    from actionpose.prepare.paired.validation import knee_neck_mm

    def view(seed: int, length: int, size: float, number: int, image: tuple[int, int]) -> Any:
        joints_m = walk_m(seed, length)
        wanted_mm = 920 * (1 if universal else size)
        joints_m = joints_m * wanted_mm / knee_neck_mm(joints_m * 1000)
        camera = place_camera(joints_m, 0.3 + number, 4.0, 1.5, focal_px=0.73 * image[0])
        camera = Camera(camera.rotation, camera.position_m, camera.focal_px, np.array(image) / 2)
        seen_mm = camera.from_world(joints_m) * 1000
        return {"data_2d": to_3dhp(camera.project(seen_mm)), "data_3d": to_3dhp(seen_mm)}

    sizes = [1.0, 0.93, 1.08]
    train = {
        f"S{s + 1} Seq1": [
            {str(c): view(10 + s, frames, sizes[s], c, (2048, 2048)) for c in range(cameras)},
            25 if s % 2 else 50,
        ]
        for s in range(3)
    }
    test = {}
    for number, name in enumerate(("TS1", "TS2", "TS5")):
        image = (1920, 1080) if name == "TS5" else (2048, 2048)
        test[name] = view(20 + number, test_frames, sizes[number], number, image)
        valid = np.zeros(test_frames, dtype=np.uint8)
        valid[5 + number :: 3] = 1
        valid[20:28] = 1
        test[name]["valid"] = valid
    return train, test


def save_npz(path: Path, **arrays: Any) -> Path:
    """As the originals are saved: dicts become arrays of one object."""
    np.savez_compressed(path, **arrays)
    return path


def write_all(folder: Path, **sizes: Any) -> Path:
    """Every file under its usual name."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "h36m_sh_conf_cam_source_final.pkl").open("wb") as file:
        pickle.dump(h36m_sh(**sizes.get("h36m_sh", {})), file)
    positions_m, positions_px, cameras = h36m_videopose3d()
    save_npz(folder / "data_3d_h36m.npz", positions_3d=positions_m, synthetic=True)
    save_npz(folder / "data_2d_h36m_cpn_ft_h36m_dbb.npz", positions_2d=positions_px)
    (folder / "camera-parameters.json").write_text(json.dumps(cameras))
    train, test = mpi_inf_3dhp(**sizes.get("mpi_inf_3dhp", {}))
    save_npz(folder / "data_train_3dhp.npz", data=train, synthetic=True)
    save_npz(folder / "data_test_3dhp.npz", data=test, synthetic=True)
    return folder


if __name__ == "__main__":
    print(f"wrote   {write_all(Path(sys.argv[1] if len(sys.argv) > 1 else 'raw'))}")
