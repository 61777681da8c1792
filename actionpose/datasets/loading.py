"""What the datasets of both stages share: opening corpora, collating clips, steps of workers."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from actionpose.datasets.corpus import Corpus, open_corpus
from actionpose.datasets.projection import Clip
from actionpose.utils.errors import UserError


def open_corpora(shares: Mapping[str, float]) -> list[tuple[Corpus, float]]:
    """Open the corpora of a configuration, each with its share of the clips.

    Raises:
        UserError: not a corpus, or corpora of different rates.
    """
    corpora = [(open_corpus(folder), share) for folder, share in shares.items()]
    if len(rates := {corpus.fps for corpus, _ in corpora}) > 1:
        raise UserError(f"the corpora have different rates ({rates} Hz): prepare them at one rate")
    return corpora


def collate(clips: list[Clip]) -> dict[str, Any]:
    """Clips of one length as tensors (B, ...); names stay a list."""
    batch: dict[str, Any] = {
        key: torch.from_numpy(np.stack([clip[key] for clip in clips]))
        for key in clips[0]
        if key != "name"
    }
    batch["name"] = [clip["name"] for clip in clips]
    return batch


def worker_steps(first: int) -> Iterator[int]:
    """The steps whose batches this data worker makes, from `first` on, without end."""
    worker = torch.utils.data.get_worker_info()
    return itertools.count(
        first + (worker.id if worker else 0), worker.num_workers if worker else 1
    )
