"""What tables of body parts have in common: their mistakes."""

import pytest
from helpers.keypoint_tables import FRAMES, deeplabcut, points, trc
from helpers.keypoint_writers import KeypointsWriter

from actionpose.keypoints import Keypoints
from actionpose.skeletons import COCO17
from actionpose.utils.errors import UserError

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
def test_table_mistakes(write_keypoints: KeypointsWriter, mistake: str) -> None:
    text, word = MISTAKES[mistake]
    with pytest.raises(UserError, match=word) as caught:
        Keypoints.read(write_keypoints(text, "file.any"))
    assert "file.any" in str(caught.value)


def test_the_format_may_be_said(write_keypoints: KeypointsWriter) -> None:
    path = write_keypoints(deeplabcut(list(COCO17.joints), {"one": BODY}), "a.csv")
    assert Keypoints.read(path, format="deeplabcut").num_frames == FRAMES
    for other in ("trc", "alphapose"):
        with pytest.raises(UserError):
            Keypoints.read(path, format=other)
