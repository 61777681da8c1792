"""GLB files, read by pygltflib and trimesh."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.results import node_positions, people
from scipy.spatial.transform import Rotation

from actionpose.postprocessing.bone_lengths import fix_bone_lengths
from actionpose.postprocessing.common import positions
from actionpose.postprocessing.skeleton_fit import TREES, fit_skeleton
from actionpose.result import Result


class Glb:
    """A reader of its own: the JSON and arrays of a GLB, by the letter of the format."""

    def __init__(self, path: Path):
        gltf = pytest.importorskip("pygltflib").GLTF2().load(str(path))
        self.json = json.loads(gltf.to_json())
        self.blob = gltf.binary_blob()

    def array(self, number: int) -> np.ndarray:
        accessor = self.json["accessors"][number]
        kinds = {5126: "<f4", 5125: "<u4", 5121: "u1"}
        widths = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind, width = np.dtype(kinds[accessor["componentType"]]), widths[accessor["type"]]
        count = accessor["count"] * width
        start = view.get("byteOffset", 0)
        assert start % 4 == 0 and view["byteLength"] == count * kind.itemsize
        found = np.frombuffer(self.blob, kind, count, start).reshape(-1, width)
        np.testing.assert_allclose(found.min(axis=0), accessor["min"], rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.max(axis=0), accessor["max"], rtol=1e-6, atol=1e-9)
        return found

    def channels(self) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray, str]]:
        (animation,) = self.json["animations"]
        found = {}
        for channel in animation["channels"]:
            sampler = animation["samplers"][channel["sampler"]]
            times, values = self.array(sampler["input"])[:, 0], self.array(sampler["output"])
            key = (channel["target"]["node"], channel["target"]["path"])
            found[key] = (times, values, sampler["interpolation"])
        return found


def world_places(glb: Glb, frame: int) -> dict[int, np.ndarray]:
    """Where the nodes are at a frame, walking down the tree with matrices."""
    channels, nodes = glb.channels(), glb.json["nodes"]
    places = {}

    def walk(number: int, above: np.ndarray) -> None:
        own = np.eye(4)
        own[:3, 3] = nodes[number].get("translation", [0, 0, 0])
        if (number, "translation") in channels:
            own[:3, 3] = channels[number, "translation"][1][frame]
        if (number, "rotation") in channels:
            own[:3, :3] = Rotation.from_quat(channels[number, "rotation"][1][frame]).as_matrix()
        places[number] = (above @ own)[:3, 3]
        for child in nodes[number].get("children") or []:
            walk(child, above @ own)

    for number in glb.json["scenes"][0]["nodes"]:
        walk(number, np.eye(4))
    return places


def test_glb_equals_the_result(tmp_path: Path) -> None:
    result = fix_bone_lengths(people(2))
    time_s = np.sort(result.time_s + np.random.default_rng(0).uniform(0, 0.02, 40)) + 1
    result.valid[1, 30:] = False
    result = replace(result, time_s=time_s)
    result.save(tmp_path / "a.glb", raw=True)
    glb = Glb(tmp_path / "a.glb")
    names = [node["name"] for node in glb.json["nodes"]]
    for person, prefix in ((0, ""), (1, "id8_")):
        hips = names.index(prefix + "Hips")
        times, _, _ = glb.channels()[hips, "translation"]
        np.testing.assert_allclose(times, time_s - time_s[0], atol=1e-6)
        tree = TREES["h36m17"]
        for frame in (0, 11, 29):
            places = world_places(glb, frame)
            for name, joint in zip(tree.names, tree.joints, strict=True):
                found = places[names.index(prefix + name)]
                expected = positions(result)[person, frame, joint]
                np.testing.assert_allclose(found, expected, atol=2e-5)
    _, scale, kind = glb.channels()[names.index("id8_Hips"), "scale"]
    assert kind == "STEP"
    np.testing.assert_array_equal(scale[:, 0] > 0, result.valid[1])
    assert (0, "scale") not in glb.channels()
    about = glb.json["asset"]["extras"]
    assert about["track_id"] == [3, 8] and about["scale_source"] == "made up"


def test_glb_has_an_armature_for_each_person_on_the_ground(tmp_path: Path) -> None:
    people(2).save(tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    nodes = glb.json["nodes"]
    tops = [nodes[number] for number in glb.json["scenes"][0]["nodes"]]
    armatures = [node for node in tops if node.get("children")]
    assert [node["name"] for node in armatures] == ["id3", "id8"]
    for armature, skin, prefix in zip(armatures, glb.json["skins"], ("", "id8_"), strict=True):
        (hips,) = armature["children"]
        assert nodes[hips]["name"] == f"{prefix}Hips" and skin["joints"][0] == hips
        feet = [
            skin["joints"][TREES["h36m17"].names.index(f"{side}Foot")] for side in ("Left", "Right")
        ]
        lower = [min(world_places(glb, frame)[foot][1] for foot in feet) for frame in range(40)]
        assert 0 < np.median(lower) < 0.15  # an ankle's height, or a step


def test_glb_figure_is_a_closed_body_on_the_nodes(fixed: Result, tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    fixed.save(tmp_path / "a.glb")
    scene = trimesh.load(tmp_path / "a.glb")
    (mesh,) = scene.geometry.values()
    assert np.isfinite(mesh.vertices).all() and len(mesh.faces) > 1000
    fitted = fit_skeleton(fixed, 0, even=False)
    rest = node_positions(replace(fitted, rotations=np.tile([0.0, 0, 0, 1], (1, 23, 1))))[0]
    rest -= fitted.root_m[0]
    np.testing.assert_allclose(mesh.bounds[:, 0], [rest[:, 0].min(), rest[:, 0].max()], atol=0.1)
    np.testing.assert_allclose(mesh.bounds[:, 1], [rest[:, 1].min(), rest[:, 1].max()], atol=0.1)
    glb = Glb(tmp_path / "a.glb")
    (primitive,) = glb.json["meshes"][0]["primitives"]
    points, normals = (glb.array(primitive["attributes"][name]) for name in ("POSITION", "NORMAL"))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)
    # outward: normals agree with the turn of the triangles
    faces = glb.array(primitive["indices"]).reshape(-1, 3)
    first, second, third = points[faces].swapaxes(0, 1)
    turn = np.cross(second - first, third - first)
    is_real = np.linalg.norm(turn, axis=1) > 1e-9  # the poles of balls are points
    assert ((turn * normals[faces].mean(axis=1)).sum(axis=1)[is_real] > 0).all()
    (skin,) = glb.json["skins"]
    inverse = glb.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4)
    np.testing.assert_allclose(-inverse[:, 3, :3], rest, atol=1e-6)
