"""Options that make motion fit for use: the same for every command that gives a result."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from actionpose.utils.errors import UserError

if TYPE_CHECKING:
    from actionpose.result import Result


@dataclass(frozen=True)
class MotionOptions:
    """What to do to the motion, in this order: path, smoothing, bones, floor, feet, axes."""

    fov: float | None = None
    """Angle of view across the image in degrees: gives the root's path in camera space."""
    focal_px: float | None = None
    """Or the focal length in pixels."""
    smooth: Literal["none", "butterworth", "one-euro"] = "none"
    """Butterworth has no lag; one-euro is causal."""
    cutoff: Annotated[float | None, arg(metavar="HZ")] = None
    """Cutoff of the smoothing; else 6 (butterworth) or 1.5 (one-euro)."""
    rigid: bool = False
    """Give bones constant lengths; BVH and GLB always have them."""
    floor: bool = False
    """Put people on the floor: static camera, flat floor."""
    foot_lock: bool = False
    """Keep standing feet where they stand; needs --fov or --focal-px."""
    up: Literal["y", "z"] | None = None
    """Axis that points up; else those of the camera, y down."""

    def __post_init__(self) -> None:
        has_path = self.fov is not None or self.focal_px is not None
        if self.fov is not None and self.focal_px is not None:
            raise UserError("give --fov or --focal-px, not both: each says the same")
        if self.cutoff is not None and self.smooth == "none":
            raise UserError("--cutoff needs --smooth butterworth or --smooth one-euro")
        if self.foot_lock and not has_path:
            raise UserError("--foot-lock needs the path of the root: give --fov or --focal-px")

    def apply(self, result: "Result") -> "Result":
        """The result after the steps that were asked for.

        Raises:
            UserError: a step cannot be done with this result; see `motion` and `ground`.
        """
        from actionpose.postprocessing import ground_contact as ground
        from actionpose.postprocessing.bone_lengths import rigid
        from actionpose.postprocessing.root_trajectory import trajectory, up_axis
        from actionpose.postprocessing.smoothing import smooth

        if self.fov is not None or self.focal_px is not None:
            result = trajectory(result, fov_deg=self.fov, focal_px=self.focal_px)
        if self.smooth != "none":
            result = smooth(result, self.smooth, self.cutoff)
        if self.rigid:
            result = rigid(result)
        if self.floor:
            result = ground.floor(result)
        if self.foot_lock:
            result = ground.lock_feet(result)
        if self.up is not None:
            result = up_axis(result, self.up)
        return result


def described(processing: list[dict[str, Any]]) -> Iterator[str]:
    """A line for each step, with what it cost."""
    for step in processing:
        match step:
            case {"step": "smooth"}:
                lag = "" if "lag_s" in step else "; causal, it lags"
                yield f"smooth  {step['method']}, {step['cutoff_hz']:g} Hz{lag}"
            case {"step": "rigid"}:
                yield (
                    f"rigid   bones of constant length: joints moved {step['residual_mm']:.1f} mm "
                    f"on average, 95 % of them less than {step['residual_p95_mm']:.1f} mm"
                )
            case {"step": "trajectory"}:
                error = step["reprojection_px"]
                fit = "nothing to fit" if error is None else f"joints {error:.1f} px off (median)"
                filled = step["filled_frames"]
                more = f"; {filled} frames filled" if filled else ""
                focal = f"focal length {step['focal_px']:.0f} px ({step['source']})"
                yield f"path    {focal}; {fit}{more}"
            case {"step": "floor", "camera_height_m": height}:
                where = f"{abs(height):.2f} m {'above' if height >= 0 else 'below'}"
                tilt = f"tilt {step['tilt_deg']:.1f} degrees, camera {where}"
                yield f"floor   {step['method']}; {tilt}; assumes that {step['assumes']}"
            case {"step": "floor"}:
                yield f"floor   {step['method']}"
            case {"step": "lock feet"}:
                before, after = step["slide_before_mm_per_s"], step["slide_after_mm_per_s"]
                yield (
                    f"feet    standing ankles slide {after:.0f} mm/s, before {before:.0f}; "
                    f"assumes that {step['assumes']}"
                )
            case {"step": "up axis"}:
                yield f"axes    {step['up']} up"
