"""Data loading for pretraining and fine-tuning: corpora, distributed batches, collation.

A clip is a function of (seed, step, index in the batch) only. Therefore training resumes exactly,
failures are reproducible, and any number of processes creates the same global batch.
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
    """Infinite training batches, starting at `first_step`.

    Args:
        batch_size: Size of the global batch over all processes.
        seed: Seed of the random generator.
        first_step: Step of the first batch.
        rank: Index of this process, which selects its part of the global batch.
        world_size: Number of processes.

    Raises:
        UserError: If the batch cannot be divided evenly among the processes.
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
        """Pickle only the arguments: spawned workers open and index the files again."""
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        return _made_again, (type(self), settings)

    def __copy__(self) -> Self:
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        return other

    def starting_at(self, step: int) -> Self:
        """The same batches, starting at another step."""
        other = copy.copy(self)
        other.first_step = step
        return other

    @abstractmethod
    def clip(self, step: int, index: int) -> Clip:
        """The clip at an index of the global batch of a step."""

    def batch(self, step: int) -> dict[str, Any]:
        """The part of the global batch of a step for this process, as tensors (B, ...)."""
        size = self.batch_size // self.world_size
        return collate([self.clip(step, self.rank * size + row) for row in range(size)])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        return map(self.batch, itertools.count(self.first_step + first, step))


def _made_again(cls: type[Batches], settings: dict[str, Any]) -> Batches:
    return cls(**settings)


def open_corpora(weights: Mapping[str, float]) -> WeightedCorpora:
    """Open the corpora of a configuration with their weights.

    Raises:
        UserError: If a folder is not a corpus, the frame rates differ, or no weight is above 0.
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
        UserError: If there are none.
    """
    motions = list(corpus.motions(split).values())
    if not motions:
        raise UserError(f"{corpus.folder} has no motion in the split {split!r}")
    return motions


def cumulative(weights: Sequence[float] | Array) -> Array:
    """Cumulative probabilities from relative frequencies, for `draw`."""
    values = np.asarray(weights, dtype=np.float64)
    return np.cumsum(values) / values.sum()


def draw(cumulative: Array, rng: Generator) -> int:
    """Draw a random index from cumulative probabilities."""
    return int(np.searchsorted(cumulative, rng.random(), side="right"))


def collate(clips: list[Clip]) -> dict[str, Any]:
    """Stack clips of equal length as tensors (B, ...); names remain a list."""
    batch: dict[str, Any] = {
        key: torch.from_numpy(np.stack([clip[key] for clip in clips]))
        for key in clips[0]
        if key != "name"
    }
    batch["name"] = [clip["name"] for clip in clips]
    return batch
