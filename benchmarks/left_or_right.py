"""Accuracy of a checkpoint in distinguishing labels that differ in side or direction.

    python benchmarks/left_or_right.py tiny

Procedural motions with another seed than in training, each in the four views of the open benchmark,
are classified as one of two labels: their own, and that with left and right exchanged (or forward
and backward, if the label has no side). Chance is 50 %.
"""

from typing import Annotated

import numpy as np
import torch
import tyro
from tyro.conf import Positional, arg

from actionpose.datasets.synthetic.generate import dataset
from actionpose.evaluation.views import NUM_VIEWS, project
from actionpose.inference.predictor import ActionPose
from actionpose.metrics.bootstrap import bootstrap
from actionpose.models.text_encoder import mirror_text
from actionpose.utils.errors import UserError, exit_codes

FPS = 30.0
LONGEST = 150  # frames per motion
LABELS = (
    "wave with the left hand",
    "reach up high with the left hand",
    "throw with the left hand",
    "punch with the left fist",
    "kick to the front with the left leg",
    "lunge forward with the left leg",
    "turn to the left",
    "twist the trunk to the left",
    "step sideways to the left",
    "walk in a circle to the left",
    "jog in a circle to the left",
    "walk forward",
)


def opposite(label: str) -> str:
    """The label with side or direction exchanged."""
    mirrored = mirror_text(label)
    if mirrored != label:
        return mirrored
    words = {"forward": "backward", "backward": "forward"}
    return " ".join(words.get(word, word) for word in label.split())


def main(
    checkpoints: Positional[tuple[str, ...]],
    of_each: Annotated[int, arg(help="motions of a label and of its opposite")] = 8,
    seed: int = 77,
) -> None:
    """Print a Markdown table of accuracies in percent, with a 95 % interval over all labels.

    Args:
        checkpoints: Checkpoints to evaluate.
        seed: Seed of the motions.
    """
    if of_each < 1:
        raise UserError(f"--of-each is a number of motions, 1 or more, not {of_each}")
    torch.set_num_threads(1)
    wanted = {text: [] for label in LABELS for text in (label, opposite(label))}
    for made in dataset(of_each * 1500, seed):
        if made.text in wanted and len(wanted[made.text]) < of_each:
            wanted[made.text].append(made.joints_m[:LONGEST].astype(float))
        if all(len(motions) == of_each for motions in wanted.values()):
            break
    rows: dict[str, list[str]] = {label: [] for label in (*LABELS, "all")}
    for name in checkpoints:
        model = ActionPose.from_pretrained(name)
        everything = []
        for label in LABELS:
            right = []
            for text in (label, opposite(label)):
                texts = model.embed_text([text, opposite(text)])
                for number, joints_m in enumerate(wanted[text]):
                    views = (
                        project(joints_m, f"{text}/{number}", view, FPS)
                        for view in range(NUM_VIEWS)
                    )
                    motions = [model.embed_motion(keypoints)[0] for keypoints in views]
                    own, other = texts @ np.transpose(motions)
                    right.append(100.0 * (own > other).mean())
            rows[label].append(f"{np.mean(right):.0f}")
            everything += right
        rows["all"].append(str(bootstrap(np.array(everything))))
    print(f"| label, or its opposite | {' | '.join(checkpoints)} |")
    print(f"|---{'|---' * len(checkpoints)}|")
    for label, cells in rows.items():
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    with exit_codes("left_or_right.py"):
        tyro.cli(main)
