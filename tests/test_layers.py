"""Imports run down one ordered list of folders; the modules of the top level count as folders."""

import ast
from pathlib import Path

import actionpose

PACKAGE = Path(actionpose.__file__).parent
LAYERS = """
    __main__ cli __init__ experiments training evaluation live inference export visualization
    postprocessing actions video prepare datasets keypoints model_hub checkpoint models result
    config metrics geometry skeletons utils
""".split()


def test_imports_run_down_the_list() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        own = LAYERS.index(path.relative_to(PACKAGE).with_suffix("").parts[0])
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for parts in (name.split(".") for name in names if name.startswith("actionpose.")):
                layer = parts[1] if parts[1] in LAYERS else "__init__"
                if LAYERS.index(layer) < own or (layer == "__init__" and own > 1):
                    wrong.append(f"{path.relative_to(PACKAGE)} imports {'.'.join(parts)}")
    assert not wrong, "\n".join(wrong)
