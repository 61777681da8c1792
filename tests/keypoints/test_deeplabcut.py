"""DeepLabCut's csv, TRC in pixels, and the family of MediaPipe's json."""

import json
from pathlib import Path

import numpy as np
import pytest

from actionpose import Keypoints
from actionpose.skeletons import COCO17, H36M17, HALPE26, MEDIAPIPE33
from actionpose.utils.errors import UserError

RNG = np.random.default_rng(3)
FRAMES = 6


def points(joints: int) -> np.ndarray:
    """(FRAMES, joints, 3) pixels and confidence."""
    return np.concatenate(
        [RNG.uniform(50, 900, (FRAMES, joints, 2)), RNG.uniform(0.2, 1, (FRAMES, joints, 1))], -1
    ).round(3)


def deeplabcut(
    names: list[str], people: dict[str, np.ndarray], index: list[str] | None = None
) -> str:
    """The table as DeepLabCut writes it; individuals only if there are several."""
    columns = [(p, n, c) for p in people for n in names for c in ("x", "y", "likelihood")]
    rows = [["scorer", *["net"] * len(columns)]]
    if len(people) > 1:
        rows.append(["individuals", *(p for p, _, _ in columns)])
    rows += [
        ["bodyparts", *(n for _, n, _ in columns)],
        ["coords", *(c for _, _, c in columns)],
    ]
    for frame in range(FRAMES):
        values = np.concatenate([body[frame].ravel() for body in people.values()])
        cells = ["" if np.isnan(v) else repr(float(v)) for v in values]
        rows.append([index[frame] if index else str(frame), *cells])
    return "\n".join(",".join(row) for row in rows) + "\n"


def trc(names: list[str], body: np.ndarray, units: str = "m", rate: str = "60") -> str:
    """The table as Sports2D writes it: pixels, though the units may say m."""
    lines = [
        "PathFileType\t4\t(X/Y/Z)\tx.trc",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame",
        f"{rate}\t{rate}\t{len(body)}\t{len(names)}\t{units}\t{rate}\t1",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\t",
        "\t\t" + "\t".join(f"X{i}\tY{i}\tZ{i}" for i in range(1, len(names) + 1)),
    ]
    for frame, marks in enumerate(body):
        cells = "\t".join(f"{x}\t{y}\t0" if x else "\t\t" for x, y, _ in marks)
        lines.append(f"{frame + 1}\t{frame / float(rate):.6f}\t{cells}")
    return "\n".join(lines) + "\n"


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "spell",
    [
        lambda joint: joint,
        lambda joint: "".join(word.title() for word in joint.split("_")),
        lambda joint: joint.replace("left_", "L").replace("right_", "R").title(),
        lambda joint: " ".join(reversed(joint.split("_"))) if "_" in joint else joint,
    ],
)
def test_deeplabcut_names(tmp_path: Path, spell) -> None:
    body = points(17)
    path = write(tmp_path, "a.csv", deeplabcut([spell(j) for j in COCO17.joints], {"one": body}))
    found = Keypoints.read(path)
    assert found.skeleton is COCO17 and found.detector == "DeepLabCut"
    np.testing.assert_allclose(found.keypoints_px[0], body, atol=1e-4)


def test_deeplabcut_order_gaps_and_images(tmp_path: Path) -> None:
    """Columns in any order, parts that nobody knows, missing cells, rows called by image."""
    joints = list(reversed(COCO17.joints))
    body = points(18)
    body[2, 3] = np.nan
    names = [*joints[:5], "tail", *joints[5:]]
    index = [f"labeled-data/clip/img{frame + 40:04d}.png" for frame in range(FRAMES)]
    found = Keypoints.read(write(tmp_path, "a.csv", deeplabcut(names, {"one": body}, index)))
    assert found.first_frame == 40
    for joint in COCO17.joints:
        expected = np.nan_to_num(body[:, names.index(joint)])
        np.testing.assert_allclose(
            found.keypoints_px[0, :, COCO17.joints.index(joint)], expected, atol=1e-4
        )


def test_deeplabcut_of_several_animals(tmp_path: Path) -> None:
    people = {"ann": points(17), "ben": points(17)}
    people["ben"][:3] = np.nan
    found = Keypoints.read(write(tmp_path, "a.csv", deeplabcut(list(COCO17.joints), people)))
    assert found.num_persons == 2
    assert found.valid.tolist() == [[True] * 6, [False] * 3 + [True] * 3]


def test_toes_alone_do_not_make_a_halpe_skeleton(tmp_path: Path) -> None:
    """Halpe-26 has more of these joints, but without its neck COCO-17 gives the model more."""
    names = [*COCO17.joints, "left_big_toe", "right_big_toe"]
    path = write(tmp_path, "a.csv", deeplabcut(names, {"one": points(19)}))
    found = Keypoints.read(path)
    assert found.skeleton is COCO17
    assert (found.to_skeleton(H36M17).keypoints_px[..., 2] > 0).all()


def test_trc(tmp_path: Path) -> None:
    names = ["Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow"]
    names += ["LWrist", "RWrist", "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle", "Head"]
    names += ["Neck", "Hip", "LBigToe", "RBigToe", "LSmallToe", "RSmallToe", "LHeel", "RHeel"]
    body = points(26)
    body[3, 7] = 0
    found = Keypoints.read(write(tmp_path, "a_px_person00.trc", trc(names, body)))
    assert found.skeleton is HALPE26
    assert (found.fps, found.rate_source, found.first_frame) == (60.0, "file", 1)
    np.testing.assert_allclose(found.keypoints_px[0, ..., :2], body[..., :2], atol=1e-4)
    assert found.keypoints_px[0, 3, 7, 2] == 0 and found.keypoints_px[0, 3, 6, 2] == 1


def landmark(point: np.ndarray) -> dict[str, float]:
    x, y, visibility = point.tolist()
    return {"x": x / 1000, "y": y / 500, "z": -0.1, "visibility": visibility}


FORMS = {
    "list of lists": lambda bodies: [[landmark(p) for p in body] for body in bodies],
    "web": lambda bodies: [{"poseLandmarks": [landmark(p) for p in b]} for b in bodies],
    "tasks": lambda bodies: [
        {"frame": n, "landmarks": [[landmark(p) for p in body]]} for n, body in enumerate(bodies)
    ],
    "rows": lambda bodies: [
        {"pose_landmarks": [[p[0] / 1000, p[1] / 500, 0.0, p[2]] for p in body]} for body in bodies
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_mediapipe(tmp_path: Path, form: str) -> None:
    bodies = points(33)
    path = write(tmp_path, "a.json", json.dumps(FORMS[form](bodies)))
    found = Keypoints.read(path, image_size=(1000, 500))
    assert found.skeleton is MEDIAPIPE33 and found.detector == "MediaPipe"
    np.testing.assert_allclose(found.keypoints_px[0], bodies, atol=1e-3)
    with pytest.raises(UserError, match="image_size"):
        Keypoints.read(path)


def test_mediapipe_file_that_knows_its_video(tmp_path: Path) -> None:
    bodies = points(33)
    frames = FORMS["web"](bodies)
    frames[1:1] = [{"poseLandmarks": []}, {"poseLandmarks": None}]
    data = {"width": 1000, "height": 500, "fps": 25, "frames": frames}
    found = Keypoints.read(write(tmp_path, "a.json", json.dumps(data)))
    assert (found.fps, found.image_size) == (25.0, (1000, 500))
    assert found.valid.tolist() == [[True, False, False, *[True] * 5]]


BODY = points(17)
MISTAKES = {
    "no frames": (deeplabcut(list(COCO17.joints), {"a": BODY}).rsplit("\n", 7)[0], "no frames"),
    "unknown parts": (deeplabcut([f"m{i}" for i in range(17)], {"a": BODY}), "left_hip"),
    "no coords": ("scorer,a\nbodyparts,nose\n1,2\n", "coords"),
    "no number": (
        deeplabcut(list(COCO17.joints), {"a": BODY}).replace(repr(float(BODY[1, 0, 0])), "?"),
        "row 1",
    ),
    "wide": (deeplabcut(list(COCO17.joints), {"a": BODY}).rstrip("\n") + ",1.0\n", "row 5"),
    "meters": (trc(list(COCO17.joints), BODY / 1000), "meters"),
    "3D": (trc(list(COCO17.joints), BODY).replace("\t0\t", "\t3.5\t"), "3D"),
    "cut": ("PathFileType\t4\n", "TRC"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(tmp_path: Path, mistake: str) -> None:
    text, word = MISTAKES[mistake]
    with pytest.raises(UserError, match=word) as caught:
        Keypoints.read(write(tmp_path, "file.any", text))
    assert "file.any" in str(caught.value)


def test_the_format_may_be_said(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", deeplabcut(list(COCO17.joints), {"one": BODY}))
    assert Keypoints.read(path, format="deeplabcut").num_frames == FRAMES
    for other in ("trc", "alphapose"):
        with pytest.raises(UserError):
            Keypoints.read(path, format=other)
