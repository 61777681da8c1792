"""Label embeddings: stored ones, and those of any text if the checkpoint has a text encoder.

A checkpoint that was pretrained with text contains the embeddings of its training labels in
`labels.safetensors`, which need no further files. Other texts are encoded by the text encoder in
its folder `text`, in several phrasings, and the embedding of a label is their mean.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from actionpose import checkpoint
from actionpose.models.text_encoder import TextEncoder, normalize_text
from actionpose.utils.errors import UserError
from actionpose.utils.typing import Array

PHRASINGS = ("{}", "a person: {}", "someone is doing this: {}")
_BATCH = 64


class LabelBank:
    """Label embeddings and text encoder of a checkpoint.

    Args:
        folder: Folder of the checkpoint, or None for a model without one, which has no labels.
    """

    def __init__(self, folder: Path | None):
        self.folder = folder
        stored = checkpoint.load_labels(folder) if folder else None
        self.names: list[str] = stored[0] if stored else []
        self._rows: dict[str, NDArray[np.float32]] = {}
        if stored:
            units = unit(stored[1].numpy())
            self._rows = {
                normalize_text(name): row for name, row in zip(stored[0], units, strict=True)
            }
        self._encoder: TextEncoder | None = None

    def check_width(self, width: int) -> None:
        """Check that the label embeddings have the dimension of the motion embeddings.

        Raises:
            UserError: If the dimensions differ.
        """
        widths = {len(row) for row in self._rows.values()}
        if widths - {width}:
            raise UserError(
                f"the label table of {self.folder} is damaged: it has embeddings of width "
                f"{widths.pop()}, the motions {width}"
            )

    @property
    def has_text(self) -> bool:
        """Whether any text can be embedded, rather than only the known labels."""
        return self.folder is not None and (self.folder / checkpoint.TEXT).is_dir()

    def knows(self, label: str) -> bool:
        return normalize_text(label) in self._rows

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors (N, E) in the space of motion embeddings.

        Raises:
            UserError: If `texts` is empty, or a text is not a known label and there is no text
                encoder.
        """
        if isinstance(texts, str) or not len(texts):
            raise UserError(
                f'texts are a list of one text or more, such as ["walk", "sit down"], not {texts!r}'
            )
        unknown = [text for text in dict.fromkeys(texts) if not self.knows(text)]
        found = dict(self._rows)
        if unknown:
            for text, row in zip(unknown, self._encode(unknown), strict=True):
                found[normalize_text(text)] = row
        return np.stack([found[normalize_text(text)] for text in texts])

    def _encode(self, texts: list[str]) -> NDArray[np.float32]:
        if not self.has_text:
            raise UserError(self._why_not(texts))
        if self._encoder is None:
            assert self.folder is not None
            self._encoder = TextEncoder.from_checkpoint(self.folder / checkpoint.TEXT)
        rows = []
        for start in range(0, len(texts), _BATCH):
            part = texts[start : start + _BATCH]
            phrased = [phrasing.format(text) for text in part for phrasing in PHRASINGS]
            units = self._encoder.encode(phrased).float().cpu().numpy()
            rows.append(units.reshape(len(part), len(PHRASINGS), -1).mean(axis=1))
        return unit(np.concatenate(rows))

    def _why_not(self, texts: list[str]) -> str:
        if not self.names:
            return (
                f"the checkpoint {self.folder} knows no text: it was trained without; "
                "choose one of `actionpose models list` that was pretrained with text"
            )
        shown = ", ".join(self.names[:8]) + (", ..." if len(self.names) > 8 else "")
        return (
            f"the checkpoint {self.folder} has no text encoder, and {texts[0]!r} is none of its "
            f"{len(self.names)} labels ({shown}): choose among these, or a checkpoint with text"
        )


def unit(vectors: Array) -> NDArray[np.float32]:
    """Normalize vectors (..., E) to length 1. Zero vectors are not changed."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.maximum(length, 1e-12)).astype(np.float32)
