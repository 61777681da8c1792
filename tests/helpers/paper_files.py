"""Every file that `recipes/reproduce.sh` starts from, synthetic and small, with small recipes.

PYTHONPATH=tests python -m helpers.paper_files smoke/raw && SMOKE=smoke recipes/reproduce.sh
"""

import sys
from pathlib import Path
from typing import Any

import torch
import yaml
from helpers.amass import write_amass
from helpers.bodies import write_bodies
from helpers.pretrained import write_bert
from helpers.synthetic_fixtures import write_all

from actionpose.models import PoseEncoder

RECIPES = Path(__file__).parents[2] / "recipes"
SIZES = {"dim": 16, "depth": 2, "num_heads": 8, "dim_rep": 16, "max_frames": 27}
SMALL: dict[str, Any] = {
    "model": {**SIZES, "middle_layer": 1, "embedding_dim": 8},
    "data": {"frames": 27},
    "training": {"epochs": 1, "batch_size": 4, "precision": "float32", "device": "cpu"},
}


def small_recipe(name: str, bert: Path) -> dict[str, Any]:
    """A recipe of the paper, with all that makes it large replaced."""
    recipe = yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))
    for group, changes in SMALL.items():
        recipe[group] = recipe.get(group, {}) | changes
    if "pretrain" in name:
        recipe["text"] = {"source": str(bert), "pooling": "mean"}
        recipe["alignment"] = {"negatives": 3}
        recipe["data"]["window_mask"] = [3, 9]
        recipe["training"] |= {"workers": 0, "epochs": 0.5}
    else:
        recipe["data"]["stride"] = 27
    return recipe


def write_paper_files(raw: Path, num_recordings: int = 24) -> Path:
    """AMASS, BABEL, bodies, Human3.6M, MPI-INF-3DHP, a BERT, MotionBERT's weights, and recipes."""
    # twelve recordings of val: enough of two actions for Figure 5
    write_amass(raw, num_recordings, seconds=(1.0, 1.6), defects=())
    write_bodies(raw)
    actions = {2: "Directions", 14: "Walking"}
    h36m = {"frames": 40, "actions": actions, "cameras": 1}
    write_all(raw, h36m_sh=h36m, mpi_inf_3dhp={"frames": 60, "test_frames": 30, "cameras": 1})
    torch.manual_seed(0)
    weights = PoseEncoder(**SIZES, class_token=False).state_dict()
    (raw / "MB_release").mkdir()
    renamed = {f"module.{key}": value for key, value in weights.items()}
    torch.save({"model_pos": renamed}, raw / "MB_release" / "latest_epoch.bin")
    write_bert(raw / "bert")
    (raw / "recipes").mkdir()
    for path in (
        *RECIPES.glob("paper_pretrain*.yaml"),
        *RECIPES.glob("*h36m*"),
        *RECIPES.glob("3dhp*"),
    ):
        text = yaml.safe_dump(small_recipe(path.stem, raw.absolute() / "bert"))
        (raw / "recipes" / path.name).write_text(text, encoding="utf-8")
    return raw


if __name__ == "__main__":
    print(f"wrote   {write_paper_files(Path(sys.argv[1] if len(sys.argv) > 1 else 'smoke/raw'))}")
