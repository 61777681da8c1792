"""The options of postprocessing: their order, their lines, and what they contradict."""

from typing import Any

import pytest
from helpers.results import FOCAL_PX, lifted_perfectly, made_up_walk

from actionpose.cli.postprocess import MotionOptions, described
from actionpose.utils.errors import UserError


def test_options_are_applied_in_order_and_described() -> None:
    result, _ = lifted_perfectly(made_up_walk(), pitch_deg=5)
    options = MotionOptions(
        focal_px=FOCAL_PX,
        smooth="butterworth",
        fix_bone_lengths=True,
        floor=True,
        lock_feet=True,
        up="z",
    )
    done = options.apply(result)
    steps = [step["step"] for step in done.header["processing"]]
    assert steps[:3] == ["trajectory", "smooth", "fix bone lengths"]
    assert steps[3:] == ["floor", "foot contacts", "lock feet", "up axis"]
    assert len(list(described(done.header["processing"]))) == 6  # contacts go with the lock
    assert "processing" not in result.header and result.root_m is None  # a new result
    assert MotionOptions().apply(result) is result


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fov": 60, "focal_px": 900}, "not both"),
        ({"cutoff": 5}, "--cutoff needs --smooth"),
        ({"lock_feet": True}, "--lock-feet needs the path"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MotionOptions(**options)
