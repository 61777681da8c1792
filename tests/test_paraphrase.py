"""Other words for labels: true where the label is, and of the same side."""

import re

import pytest

from actionpose.paraphrase import _TABLE, paraphrases
from actionpose.synthetic_actions import MOVEMENTS
from actionpose.text import mirror_text, normalize_text


def procedural_labels() -> set[str]:
    texts = {move.text for moves in MOVEMENTS.values() for move in moves}
    sides = (("left", "right"), ("right", "left"))
    return {text.format(side=side, other=other) for text in texts for side, other in sides}


@pytest.mark.parametrize("label", sorted(procedural_labels() | set(_TABLE)))
def test_texts_are_normalised_and_keep_the_side(label):
    others = paraphrases(label)
    assert label not in others and len(set(others)) == len(others)
    assert paraphrases(mirror_text(label)) == tuple(map(mirror_text, others))
    for text in others:
        assert text and text == normalize_text(text)
        for side in re.findall(r"\b(left|right)\b", text):
            assert side in label


def test_most_procedural_labels_have_other_words():
    labels = procedural_labels()
    told = [label for label in labels if paraphrases(label)]
    assert len(told) > 0.9 * len(labels)


def test_synonyms_and_more_general_names():
    assert paraphrases("jump forward") == ("jump", "leap forward", "long jump")
    assert {"wave", "greet with the left hand"} <= set(paraphrases("wave with the left hand"))
    assert "kick" in paraphrases("kick to the front with the right leg")
    assert paraphrases("a label that nobody knows") == ()
