"""Texts as words, and where terms stand in them: whole words in lower case, whatever else a text holds.

A term is a word or a phrase; its forms are separated by `/`. Links are no words. Apostrophes belong to their word.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

_LINK = re.compile(r"https?://\S+|www\.\S+")
#: A word, or the end of a sentence: a mark with nothing right behind it, or a new line.
_TOKEN = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[.!?;:…]+(?=\s|$)|\n")
#: Bytes of ASCII that are no part of a key.
_NO_KEY = bytes(byte for byte in range(128) if not chr(byte).isalnum())
_APOSTROPHES = "’‘ʼ`"

_Positions = npt.NDArray[np.int64]


class Words:
    """The words of texts, one after the other, by their positions."""

    def __init__(self, texts: Sequence[str | None] | pd.Series) -> None:
        """None, or another NULL, is a text without words."""
        found = [
            _TOKEN.findall(_without_links(_with_one_apostrophe(text).lower())) if isinstance(text, str) else []
            for text in texts
        ]
        lengths = np.array([len(words) for words in found], np.int64)
        words = np.array([*itertools.chain.from_iterable(found)], dtype=object)
        self._codes, vocabulary = pd.factorize(words)
        self._code_of = {word: code for code, word in enumerate(vocabulary)}
        self._order = np.argsort(self._codes, kind="stable")
        self._bounds = np.searchsorted(self._codes[self._order], np.arange(len(vocabulary) + 1))
        self.text_of: _Positions = np.repeat(np.arange(len(lengths)), lengths)
        self._sentence = np.cumsum(self._ends_sentence(vocabulary)[self._codes]) if len(words) else self._codes
        self.texts = len(lengths)

    @staticmethod
    def _ends_sentence(vocabulary: np.ndarray) -> npt.NDArray[np.bool_]:
        return np.array([not word[0].isalnum() for word in vocabulary], bool)

    def positions(self, term: str) -> _Positions:
        """Where any form of a term begins, ascending."""
        every = [self._of_form(form.split()) for form in term.split("/")]
        return np.unique(np.concatenate(every))

    def _of_form(self, words: Sequence[str]) -> _Positions:
        codes = [self._code_of.get(word, -1) for word in words]
        if min(codes) < 0:
            return np.empty(0, np.int64)
        at = self._order[self._bounds[codes[0]] : self._bounds[codes[0] + 1]]
        for distance, code in enumerate(codes[1:], start=1):
            at = at[at + distance < len(self._codes)]
            at = at[(self._codes[at + distance] == code) & (self.text_of[at + distance] == self.text_of[at])]
        return at

    def within(self, positions: _Positions, others: _Positions, words: int) -> npt.NDArray[np.bool_]:
        """Whether one of the `others` (ascending) stands up to so many words before each position, in its sentence."""
        if not len(others):
            return np.zeros(len(positions), bool)
        nearest = np.searchsorted(others, positions) - 1
        before = others[np.maximum(nearest, 0)]
        near = (nearest >= 0) & (positions - before <= words)
        same = (self._sentence[before] == self._sentence[positions]) & (self.text_of[before] == self.text_of[positions])
        found: npt.NDArray[np.bool_] = near & same
        return found


def term_counts(words: Words, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """How often each text names terms of each group: a column (int64) per group, a row per text."""
    return pd.DataFrame(
        {
            name: sum((_per_text(words, words.positions(term)) for term in terms), np.zeros(words.texts, np.int64))
            for name, terms in groups.items()
        },
        index=range(words.texts),
    )


def distinct_terms(words: Words, groups: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """How many different terms of each group each text names: a column (int64) per group, a row per text."""
    return pd.DataFrame(
        {
            name: sum((_per_text(words, words.positions(term)) > 0 for term in terms), np.zeros(words.texts, np.int64))
            for name, terms in groups.items()
        },
        index=range(words.texts),
    )


def _per_text(words: Words, positions: _Positions) -> npt.NDArray[np.int64]:
    return np.bincount(words.text_of[positions], minlength=words.texts)


def text_key(text: str) -> str:
    """What a text says whatever its spelling: its letters and digits of ASCII in lower case, without links.

    Two copies of a post differ in quotes, dashes and marks that one of them has lost, not in this.
    """
    return _without_links(text).lower().encode("ascii", "ignore").translate(None, _NO_KEY).decode("ascii")


def _without_links(text: str) -> str:
    # Most texts have none, which is seen several times faster than a pattern is searched for.
    return _LINK.sub(" ", text) if "http" in text or "www." in text else text


def _with_one_apostrophe(text: str) -> str:
    for other in _APOSTROPHES:
        text = text.replace(other, "'")
    return text
