"""NumPy files: bare arrays, and what is refused."""

from pathlib import Path

import numpy as np
from helpers.keypoint_writers import body, refused

from actionpose.keypoints import Keypoints
from actionpose.skeletons import H36M17, MPII16


def test_npz_bare_arrays(tmp_path: Path) -> None:
    points = np.stack([body(n, 0, 16) for n in range(3)])
    for name, array in {"t.npy": points, "p.npy": np.stack([points, points + 1])}.items():
        np.save(tmp_path / name, array)
        found = Keypoints.read(tmp_path / name)
        assert found.skeleton is MPII16
        assert found.keypoints_px.shape == (array.ndim - 2 or 1, 3, 16, 3)
        assert found.rate_source == "assumed 30 Hz"
    points[1, 2, :2] = 0
    points[2] = 0
    np.savez(tmp_path / "xy.npz", keypoints=points[..., :2])
    found = Keypoints.read(tmp_path / "xy.npz")
    assert found.valid.tolist() == [[True, True, False]]
    assert found.keypoints_px[0, 1, :4, 2].tolist() == [1, 1, 0, 1]


def test_npz_seventeen_joints_are_ambiguous(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, keypoints=body(0, 0, 17)[None])
    refused(path, "coco17", "h36m17", "mpi_inf_3dhp17", "skeleton=NAME")
    assert Keypoints.read(path, skeleton="h36m17").skeleton is H36M17
    refused(path, "halpe26", "17", skeleton="halpe26")
    refused(path, "'coco18'", "coco17", skeleton="coco18")


def test_npz_files_that_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "videopose3d.npz"
    objects = np.array({"S1": {"walk": [np.zeros((3, 17, 2))]}}, dtype=object)
    np.savez(path, positions_2d=objects, metadata=np.array({"layout": "coco"}, dtype=object))
    refused(path, "VideoPose3D", "pickle", "np.savez")
    np.savez(path, keypoints=objects)
    refused(path, "pickle")
    np.savez(path, poses=np.zeros(3))
    refused(path, "keypoints", "poses")
    np.savez(path, keypoints=np.zeros((3, 17)))
    refused(path, "(3, 17)")
    np.savez(path, keypoints=np.zeros((3, 26, 3)))
    refused(path, "no joint")
    np.savez(path, keypoints=np.array(["a"]))
    refused(path, "numbers")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "damaged")
