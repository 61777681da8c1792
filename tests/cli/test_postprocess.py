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
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MotionOptions(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lock_feet": True}, "--lock-feet needs the path"),
        ({"fov": 300}, "5 to 170 degrees, not 300"),
        ({"focal_px": -1}, "above 0, not -1"),
        ({"focal_px": 3}, "3 px does not fit 1280 px"),
        ({"smooth": "butterworth", "cutoff": 20}, "20 Hz does not fit 30 frames a second"),
        ({"smooth": "one-euro", "cutoff": 0}, "above 0, not 0"),
    ],
)
def test_what_a_new_result_cannot_have_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        MotionOptions(**options).check_new(fps=30, image_size=(1280, 720))


def test_feet_are_locked_on_a_result_that_has_its_path() -> None:
    result, _ = lifted_perfectly(made_up_walk())
    lock = MotionOptions(lock_feet=True)
    for floor in (False, True):
        with pytest.raises(UserError, match="--lock-feet needs the path"):
            MotionOptions(floor=floor, lock_feet=True).apply(result)
        placed = MotionOptions(focal_px=FOCAL_PX, floor=floor).apply(result)
        assert lock.apply(placed).header["processing"][-1]["step"] == "lock feet"
    with pytest.raises(UserError, match="--lock-feet needs the path"):  # only heights are known
        lock.apply(MotionOptions(floor=True).apply(result))
