"""DeepLabCut's csv: names of body parts, gaps, several animals."""

from collections.abc import Callable

import numpy as np
import pytest
from helpers.keypoint_tables import FRAMES, deeplabcut, points
from helpers.keypoint_writers import KeypointsWriter

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17, COCO23, H36M17


@pytest.mark.parametrize(
    "spell",
    [
        lambda joint: joint,
        lambda joint: "".join(word.title() for word in joint.split("_")),
        lambda joint: joint.replace("left_", "L").replace("right_", "R").title(),
        lambda joint: " ".join(reversed(joint.split("_"))) if "_" in joint else joint,
    ],
)
def test_deeplabcut_names(write_keypoints: KeypointsWriter, spell: Callable[[str], str]) -> None:
    body = points(17)
    path = write_keypoints(deeplabcut([spell(j) for j in COCO17.joints], {"one": body}), "a.csv")
    found = Keypoints.read(path)
    assert found.skeleton is COCO17 and found.detector == "DeepLabCut"
    np.testing.assert_allclose(found.keypoints_px[0], body, atol=1e-4)


def test_deeplabcut_order_gaps_and_images(write_keypoints: KeypointsWriter) -> None:
    """Columns in any order, parts that nobody knows, missing cells, rows called by image."""
    joints = list(reversed(COCO17.joints))
    body = points(18)
    body[2, 3] = np.nan
    names = [*joints[:5], "tail", *joints[5:]]
    index = [f"labeled-data/clip/img{frame + 40:04d}.png" for frame in range(FRAMES)]
    found = Keypoints.read(write_keypoints(deeplabcut(names, {"one": body}, index), "a.csv"))
    assert found.first_frame == 40
    for joint in COCO17.joints:
        expected = np.nan_to_num(body[:, names.index(joint)])
        np.testing.assert_allclose(
            found.keypoints_px[0, :, COCO17.joints.index(joint)], expected, atol=1e-4
        )


def test_deeplabcut_of_several_animals(write_keypoints: KeypointsWriter) -> None:
    people = {"ann": points(17), "ben": points(17)}
    people["ben"][:3] = np.nan
    found = Keypoints.read(write_keypoints(deeplabcut(list(COCO17.joints), people), "a.csv"))
    assert found.num_persons == 2
    assert found.valid.tolist() == [[True] * 6, [False] * 3 + [True] * 3]


def test_deeplabcut_toes_alone_do_not_make_a_halpe_skeleton(
    write_keypoints: KeypointsWriter,
) -> None:
    """Without its neck COCO's joints give the model more; those with feet keep the toes."""
    names = [*COCO17.joints, "left_big_toe", "right_big_toe"]
    path = write_keypoints(deeplabcut(names, {"one": points(19)}), "a.csv")
    found = Keypoints.read(path)
    assert found.skeleton is COCO23
    assert (found.to_skeleton(H36M17).keypoints_px[..., 2] > 0).all()


def test_deeplabcut_with_three_columns_of_names(write_keypoints: KeypointsWriter) -> None:
    """As newer versions save labels: folder, video and image in columns of their own."""
    body = points(17)
    index = [f"labeled-data,clip,img{frame + 40:04d}.png" for frame in range(FRAMES)]
    text = deeplabcut(list(COCO17.joints), {"one": body}, index)
    for word in ("scorer", "bodyparts", "coords"):
        text = text.replace(f"{word},", f"{word},,,")
    found = Keypoints.read(write_keypoints(text, "a.csv"))
    assert found.first_frame == 40
    np.testing.assert_allclose(found.keypoints_px[0], body, atol=1e-4)


def test_deeplabcut_saved_by_a_german_excel(write_keypoints: KeypointsWriter) -> None:
    body = points(17)
    text = deeplabcut(list(COCO17.joints), {"one": body}).replace(",", ";").replace(".", ",")
    found = Keypoints.read(write_keypoints(text, "a.csv"))
    np.testing.assert_allclose(found.keypoints_px[0], body, atol=1e-4)
