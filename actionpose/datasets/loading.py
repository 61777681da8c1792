"""What pretraining and fine-tuning share: opening corpora, batches of processes, collating.

A clip is a function of (seed, step, place in the batch) and of nothing else. So training resumes
exactly, a failure can be made again, and any number of processes makes the same global batch.
"""

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
import torch
from numpy.random import Generator
from torch.utils.data import IterableDataset, get_worker_info

from actionpose.datasets.corpus import Corpus, Segment, open_corpus
from actionpose.datasets.projection import Clip
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

WeightedCorpora = list[tuple[Corpus, float]]  # with the relative frequencies of their clips


@dataclass(kw_only=True)
class Batches(IterableDataset[dict[str, Any]], ABC):
    """Training batches from `first_step` on, without end.

    Args:
        batch_size: of the global batch, over all processes.
        rank, world_size: which part of each global batch this process makes.

    Raises:
        UserError: processes that cannot share a batch evenly.
    """

    batch_size: int
    seed: int
    first_step: int = 0
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise UserError(
                f"batch_size ({self.batch_size}) must be a multiple of the {self.world_size} "
                "processes"
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """What it is made from: workers that start anew open the files and index them again."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return _made_again, (type(self), settings)

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def starting_at(self, step: int) -> Self:
        """The same batches from another step on."""
        other = copy.copy(self)
        other.first_step = step
        return other

    @abstractmethod
    def clip(self, step: int, index: int) -> Clip:
        """The clip at one place of one global batch."""

    def batch(self, step: int) -> dict[str, Any]:
        """This process's part of the global batch of a step, as tensors (B, ...)."""
        size = self.batch_size // self.world_size
        return collate([self.clip(step, self.rank * size + row) for row in range(size)])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return map(self.batch, itertools.count(self.first_step + first, step))


def _made_again(cls: type[Batches], settings: dict[str, Any]) -> Batches:
    return cls(**settings)


def open_corpora(weights: Mapping[str, float]) -> WeightedCorpora:
    """Open the corpora of a configuration, each with its weight.

    Raises:
        UserError: not a corpus, corpora of different rates, or no weight above 0.
    """
    corpora = [(open_corpus(folder), weight) for folder, weight in weights.items()]
    if len(rates := {corpus.fps for corpus, _ in corpora}) > 1:
        raise UserError(f"the corpora have different rates ({rates} Hz): prepare them at one rate")
    if sum(weights.values()) <= 0:
        raise UserError("data.corpora must name at least one corpus with a weight above 0")
    return corpora


def motions_of(corpus: Corpus, split: str) -> list[Segment]:
    """The motions of a split.

    Raises:
        UserError: there is none.
    """
    motions = list(corpus.motions(split).values())
    if not motions:
        raise UserError(f"{corpus.folder} has no motion in the split {split!r}")
    return motions


def cumulative(weights: Sequence[float] | Array) -> Array:
    """Cumulative probabilities of relative frequencies, for `draw`."""
    values = np.asarray(weights, dtype=np.float64)
    return np.cumsum(values) / values.sum()


def draw(cumulative: Array, rng: Generator) -> int:
    """The index of one of several, by their cumulative probabilities."""
    return int(np.searchsorted(cumulative, rng.random(), side="right"))


def collate(clips: list[Clip]) -> dict[str, Any]:
    """Clips of one length as tensors (B, ...); names stay a list."""
    batch: dict[str, Any] = {
        key: torch.from_numpy(np.stack([clip[key] for clip in clips]))
        for key in clips[0]
        if key != "name"
    }
    batch["name"] = [clip["name"] for clip in clips]
    return batch
