"""Commands that prepare licensed data sets: `actionpose prepare h36m`, `prepare 3dhp`."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg


def h36m(
    source: Positional[Path],
    out: Positional[Path],
    keypoints: Annotated[Path | None, arg(help="2D file that goes with VideoPose3D's npz")] = None,
    cameras: Annotated[Path | None, arg(help="JSON of extrinsics that goes with it")] = None,
) -> None:
    """Prepare Human3.6M, from MotionBERT's pkl or VideoPose3D's npz files.

    Args:
        source: h36m_sh_conf_cam_source_final.pkl, or data_3d_h36m.npz.
        out: Folder of the prepared data.
    """
    from actionpose.prepare.paired.h36m import prepare_h36m

    _report(prepare_h36m(source, out, keypoints=keypoints, cameras=cameras))


def mpi_inf_3dhp(
    source: Positional[Path],
    out: Positional[Path],
    annotation: Annotated[
        Literal["univ_annot3", "annot3"], arg(help="what the millimeters are made from")
    ] = "univ_annot3",
) -> None:
    """Prepare MPI-INF-3DHP, from P-STMO's data_train_3dhp.npz and data_test_3dhp.npz.

    Args:
        source: Folder of both files.
        out: Folder of the prepared data.
    """
    from actionpose.prepare.paired.mpi_inf_3dhp import prepare_3dhp

    _report(prepare_3dhp(source, out, annotation=annotation))


def _report(folder: Path) -> None:
    """What was found, from the folder itself."""
    from actionpose.datasets.paired import verify_pairs

    info = verify_pairs(folder)
    print(f"wrote   {folder}: {info['kind']}, keypoints {info['keypoints']}")
    for split, count in info["splits"].items():
        print(f"{split:7} {count['videos']} videos, {count['frames']} frames")
    if "factor_residual_mm" in info:
        print(
            f"factors {info['factor_residual_mm']:.4f} mm between factor x pixels and millimeters"
        )
    if "knee_to_neck_mm" in info:
        sizes = [size for of in info["knee_to_neck_mm"].values() for size in of.values()]
        print(f"bodies  knee to neck {min(sizes):.0f} to {max(sizes):.0f} mm: {info['annotation']}")
    if info["imitated"]:
        print("IMITATED DATA: numbers mean nothing")
