"""Imports point down: a module imports only from the layers below its own."""

import ast
from pathlib import Path

import actionpose

PACKAGE = Path(actionpose.__file__).parent
LAYERS = [
    {"errors", "offline", "stopwatch"},
    {"files", "skeletons", "config", "losses", "metrics", "retrieval", "axes", "actions"}
    | {"synthetic_actions", "synthetic_poses", "tracking", "video", "unpickle", "pictures"},
    {"keypoint_landmarks", "keypoint_checks", "keypoint_layout", "detectors", "fused"},
    {"keypoint_files"},
    {"keypoint_tables"},
    {"geometry", "corruption", "model", "text", "corpus", "keypoints", "result", "pairs"}
    | {"synthetic_body", "resampling", "protocols"},
    {"synthetic_play", "motion"},
    {"augmentation"},
    {"clips", "pair_clips", "checkpoint", "optimizer", "synthetic", "footage", "view"}
    | {"prepare", "datasheet", "ground", "rig"},
    {"text_clips", "labels", "timelines"},
    {"embedding", "run_folder"},
    {"training", "lift", "doctor", "contact_sheet", "export", "gltf", "overlay", "angles"},
    {"saving"},
    {"bulk", "search"},
    {"pretrain", "finetune", "evaluate", "evaluate_datasets", "pose_drawing"},
    {"recognition", "figures", "predictions", "failures", "figure7", "tables"},
    {"segmentation"},
    {"benchmark_open", "reproduce"},
    {"commands"},
    {"cli"},
    {"__main__", "__init__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# A result can be asked for every format: `result` imports its writers inside functions.
UPWARDS = {("result", name) for name in ("view", "export", "gltf", "overlay", "lift")}


def part_of(path: Path) -> str:
    """The module, or the folder of modules, that a file of the package belongs to."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, part: str) -> set[str]:
    """The parts of the package that a file imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write actionpose.{node.module}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "actionpose" and rest:
                found.add(rest.split(".")[0])
    return {name for name in found if name in LEVEL} - {part}


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_module_has_a_layer():
    assert {part_of(path) for path in FILES} <= LEVEL.keys()


def test_imports_point_down():
    wrong = []
    for path in FILES:
        part = part_of(path)
        for other in sorted(imports(path, part)):
            if LEVEL[other] >= LEVEL[part] and (part, other) not in UPWARDS:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {other}, which is not below it")
    assert not wrong, "\n".join(wrong)


def test_the_exceptions_are_lazy_and_still_needed():
    """Only inside functions, so that reading a result needs none of their packages."""
    for part, other in UPWARDS:
        path = PACKAGE / f"{part}.py"
        assert other in imports(path, part)
        top = ast.parse(path.read_text(encoding="utf-8")).body
        for node in top:
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {alias.name for alias in node.names}
                assert other not in names and node.module != f"actionpose.{other}"
