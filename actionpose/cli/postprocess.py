"""Post-processing options, shared by all commands that output a result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import arg

from actionpose.utils.errors import UserError

if TYPE_CHECKING:
    from actionpose.result import Result

_NO_PATH = "--lock-feet needs the path of the root: give --fov or --focal-px"


@dataclass(frozen=True)
class MotionOptions:
    """Post-processing, in this order: trajectory, smoothing, bones, floor, feet, axes."""

    fov: float | None = None
    """Horizontal field of view in degrees. Estimates the trajectory of the root in camera space."""
    focal_px: float | None = None
    """Focal length in pixels, instead of --fov."""
    smooth: Literal["none", "butterworth", "one-euro"] = "none"
    """Filter: butterworth (zero phase, no lag) or one-euro (causal, with lag)."""
    cutoff: Annotated[float | None, arg(metavar="HZ")] = None
    """Cutoff frequency of the filter; by default 6 (butterworth) or 1.5 (one-euro)."""
    fix_bone_lengths: bool = False
    """Make bone lengths constant over time. BVH and GLB files always have constant lengths."""
    floor: bool = False
    """Align the motion to the floor. Assumes a static camera and a flat floor."""
    lock_feet: bool = False
    """Keep standing feet in place. Needs the trajectory of the root."""
    up: Literal["y", "z"] | None = None
    """Axis that points up. By default the axes are those of the camera, with y down."""

    def __post_init__(self) -> None:
        if self.fov is not None and self.focal_px is not None:
            raise UserError("give --fov or --focal-px, not both: each says the same")
        if self.cutoff is not None and self.smooth == "none":
            raise UserError("--cutoff needs --smooth butterworth or --smooth one-euro")

    @property
    def _gives_path(self) -> bool:
        return self.fov is not None or self.focal_px is not None

    def check_new(
        self, *, fps: float | None = None, image_size: Sequence[int] | None = None
    ) -> None:
        """Check the options for a new result, before the computation.

        Args:
            fps: Frame rate in Hz of the result, if known.
            image_size: Width and height in pixels, if known.

        Raises:
            UserError: If an option requires another one, or its value is invalid.
        """
        from actionpose.postprocessing.root_trajectory import check_camera
        from actionpose.postprocessing.smoothing import checked_cutoff

        if self.lock_feet and not self._gives_path:
            raise UserError(_NO_PATH)
        check_camera(image_size, focal_px=self.focal_px, fov_deg=self.fov)
        if self.smooth != "none":
            checked_cutoff(self.smooth, self.cutoff, fps)

    def apply(self, result: "Result") -> "Result":
        """Apply the requested post-processing steps.

        Raises:
            UserError: If a step does not support the result; see `postprocessing`.
        """
        from actionpose.postprocessing.bone_lengths import fix_bone_lengths
        from actionpose.postprocessing.common import has_path
        from actionpose.postprocessing.floor_alignment import align_to_floor
        from actionpose.postprocessing.foot_locking import lock_feet
        from actionpose.postprocessing.root_trajectory import estimate_trajectory, set_up_axis
        from actionpose.postprocessing.smoothing import smooth

        if self.lock_feet and not (self._gives_path or has_path(result)):
            raise UserError(_NO_PATH)
        if self._gives_path:
            result = estimate_trajectory(result, fov_deg=self.fov, focal_px=self.focal_px)
        if self.smooth != "none":
            result = smooth(result, self.smooth, self.cutoff)
        if self.fix_bone_lengths:
            result = fix_bone_lengths(result)
        if self.floor:
            result = align_to_floor(result)
        if self.lock_feet:
            result = lock_feet(result)
        if self.up is not None:
            result = set_up_axis(result, self.up)
        return result


_FLOOR_METHODS = {
    "foot contacts": "the plane through feet that stand",
    "lowest ankles": "no foot stands: through the lowest ankles",
    "lower ankle of each frame": "the lower ankle stands in every frame; no jumps",
}


def described(processing: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each post-processing step, with its effect on the motion."""
    assumes = "assumes that the camera does not move, and the floor is flat"
    for step in processing:
        match step:
            case {"step": "smooth"}:
                lag = "" if "lag_s" in step else "; causal, it lags"
                yield f"smooth  {step['method']}, {step['cutoff_hz']:g} Hz{lag}"
            case {"step": "fix bone lengths"}:
                yield (
                    f"bones   of constant length: joints moved {step['residual_mm']:.1f} mm "
                    f"on average, 95 % of them less than {step['residual_p95_mm']:.1f} mm"
                )
            case {"step": "trajectory"}:
                error = step["reprojection_px"]
                fit = "nothing to fit" if error is None else f"joints {error:.1f} px off (median)"
                filled = step["filled_frames"]
                more = f"; {filled} frames filled" if filled else ""
                given = "--focal-px" if step["fov_deg"] is None else f"--fov {step['fov_deg']:g}"
                focal = f"focal length {step['focal_px']:.0f} px ({given})"
                yield f"path    {focal}; {fit}{more}"
            case {"step": "floor", "camera_height_m": height}:
                where = f"{abs(height):.2f} m {'above' if height >= 0 else 'below'}"
                tilt = f"tilt {step['tilt_deg']:.1f} degrees, camera {where}"
                yield f"floor   {_FLOOR_METHODS[step['method']]}; {tilt}; {assumes}"
            case {"step": "floor"}:
                yield f"floor   {_FLOOR_METHODS[step['method']]}"
            case {"step": "lock feet"}:
                before, after = step["slide_before_mm_per_s"], step["slide_after_mm_per_s"]
                yield (
                    f"feet    standing feet slide {after:.0f} mm/s, before {before:.0f}; {assumes}"
                )
            case {"step": "up axis"}:
                yield f"axes    {step['up']} up"
