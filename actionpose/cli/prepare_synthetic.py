"""Commands that make corpora: `actionpose prepare SOURCE`."""

from pathlib import Path

from tqdm import tqdm
from tyro.conf import Positional

from actionpose.cli.options import Quiet
from actionpose.utils.errors import UserError


def synthetic(
    out: Positional[Path], num_motions: int = 4000, seed: int = 0, quiet: Quiet = False
) -> None:
    """Make a corpus of procedural motion, which needs no license.

    Args:
        out: Folder of the new corpus.
        num_motions: How many; a motion has about 110 frames.
        seed: Other seeds give other motions.
    """
    from actionpose.datasets.corpus import Motion, write_corpus
    from actionpose.datasets.synthetic.generate import dataset

    if num_motions < 1:
        raise UserError(f"--num-motions must be 1 or more, not {num_motions}")
    made = tqdm(dataset(num_motions, seed), total=num_motions, disable=True if quiet else None)
    motions = (
        Motion(
            id=f"synthetic_{number:06d}",
            subject=motion.subject,
            split="train",
            joints_m=motion.joints_m,
            text=motion.text,
            labels=list(motion.labels),
        )
        for number, motion in enumerate(made)
    )
    source = f"actionpose prepare synthetic --num-motions {num_motions} --seed {seed}"
    folder = write_corpus(out, motions, source=source, license="none needed: procedural")
    print(f"wrote   {folder}")
