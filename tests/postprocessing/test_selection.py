"""One person, or a span of time, of a result."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from helpers.results import people, random_result

from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.postprocessing.selection import select
from actionpose.result import Result
from actionpose.utils.errors import UserError


def long_result() -> Result:
    """Two people, 5 and 9, in 30 frames of a tenth of a second from 2.0 s on; 9 leaves at 3.5 s."""
    header: Any = {
        "actions": [
            {"start_s": 2.0, "stop_s": 3.0, "label": "walk", "score": 0.5, "person": 0},
            {"start_s": 2.0, "stop_s": 3.4, "label": "sit", "score": 0.5, "person": 1},
            {"start_s": 2.5, "stop_s": 3.2, "label": "all", "score": 0.5},
        ],
        "embedding_windows_s": [[2.0, 3.0], [2.5, 3.5], [3.0, 4.0]],
    }
    valid = np.ones((2, 30), bool)
    valid[1, 15:] = False
    return random_result(
        2,
        30,
        track_id=[5, 9],
        time_s=2 + np.arange(30) / 10,
        valid=valid,
        root_m=np.arange(180.0).reshape(2, 30, 3),
        embeddings=np.arange(12.0).reshape(2, 3, 2),
        uncertainty_mm=np.arange(1020.0).reshape(2, 30, 17),
        header=header,
    )


def test_select_cuts_everything_at_the_same_times() -> None:
    result = long_result()
    part = select(result, person=9, start_s=2.45, stop_s=3.5)
    assert part.track_id.tolist() == [9]
    np.testing.assert_allclose(part.time_s, 2.5 + np.arange(10) / 10)
    for name in ("pose_m", "keypoints_px", "valid", "root_m", "uncertainty_mm"):
        np.testing.assert_array_equal(getattr(part, name), getattr(result, name)[1:, 5:15])
    assert part.embeddings is not None
    np.testing.assert_array_equal(part.embeddings, [[[8, 9]]])
    assert part.header["embedding_windows_s"] == [[2.5, 3.5]]
    sit, everybody = part.header["actions"]
    assert (sit["label"], sit["person"], sit["start_s"], sit["stop_s"]) == ("sit", 0, 2.45, 3.4)
    assert everybody == result.header["actions"][2]


def test_select_keeps_frames_before_the_zero_of_the_clock() -> None:
    """As of recordings whose zero is an event in them."""
    result = long_result()
    times, spans = result.time_s - 3, np.array(result.header["embedding_windows_s"]) - 3
    header: Any = {**result.header, "embedding_windows_s": spans.tolist()}
    early = replace(result, time_s=times, header=header)
    np.testing.assert_array_equal(select(early, person=5).time_s, times)
    part = select(early, stop_s=0.0)
    assert part.time_s[0] == -1 and part.header["embedding_windows_s"] == [[-1, 0]]


def test_select_keeps_the_bone_lengths_of_those_who_are_left() -> None:
    fixed = fix_bone_lengths(people(2))
    part = select(fixed, person=int(fixed.track_id[1]))
    (before,), (after,) = fixed.header["processing"], part.header["processing"]
    assert before["bone_lengths_m"][0] != before["bone_lengths_m"][1]
    assert after == {**before, "bone_lengths_m": before["bone_lengths_m"][1:]}


def test_select_leaves_out_people_who_are_not_in_the_span() -> None:
    part = select(long_result(), start_s=4.0)
    assert part.track_id.tolist() == [5] and part.header["actions"] == []
    assert select(long_result(), stop_s=4.0).track_id.tolist() == [5, 9]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"person": 3}, "no person has the track id 3: the ids are 5, 9"),
        ({"start_s": 5.5}, "no frame from 5.5 to inf s: the first is at 2, the last at 4.9 s"),
        ({"start_s": 3.0, "stop_s": 3.0}, "start_s must be less than stop_s, not 3 and 3"),
        ({"person": 9, "start_s": 4.0}, "nobody is visible"),
    ],
)
def test_select_refuses_what_is_not_there(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        select(long_result(), **chosen)


def test_select_nothing_is_the_result_itself() -> None:
    result = replace(long_result())
    assert select(result) is result
