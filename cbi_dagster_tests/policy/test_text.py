"""Terms match whole words and phrases, whatever else a text holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi_dagster.policy.text import Words, distinct_terms, term_counts, text_key


def count(text: str | None, *terms: str) -> int:
    return int(term_counts(Words([text]), {"them": terms})["them"].iloc[0])


@pytest.mark.parametrize(
    ("text", "term", "times"),
    [
        ("The warehouse has software towards the seawar", "war", 0),
        ("War! A war, the WAR.", "war", 3),
        ("Banks and a taxi", "ban", 0),
        ("The RFS volumes", "rfs", 1),
        ("#Tariffs on 'tariffs'", "tariffs", 2),
        ("a trade deal, no free-trade deal, trade. Deal", "trade deal", 2),
        ("https://example.org/war/tariff and www.war.example", "war", 0),
        ("DON’T and don't", "don't", 2),
        ("tariff tariffs", "tariff/tariffs", 2),
        ("关税战争 war שלום", "war", 1),
        (None, "war", 0),
        ("", "war", 0),
    ],
)
def test_a_term_is_found_as_whole_words_in_any_case(text: str | None, term: str, times: int) -> None:
    assert count(text, term) == times


def test_a_phrase_does_not_reach_into_the_next_text_or_sentence() -> None:
    words = Words(["a free trade", "deal of the century", "Trade. Deal"])
    assert term_counts(words, {"them": ["trade deal"]})["them"].tolist() == [0, 0, 0]


def test_distinct_terms_count_each_once_whatever_its_form() -> None:
    words = Words(["tariff, tariffs and war", "tariff"])
    assert distinct_terms(words, {"them": ["tariff/tariffs", "war/wars"]})["them"].tolist() == [2, 1]


def test_a_word_stands_behind_another_only_in_its_sentence_and_near() -> None:
    words = Words(["no new big tariff", "no tariff", "no. tariff", "no", "tariff", "no a b c tariff"])
    tariffs, negators = words.positions("tariff"), words.positions("no")
    near = dict(zip(words.text_of[tariffs].tolist(), words.within(tariffs, negators, 3).tolist(), strict=True))
    assert near == {0: True, 1: True, 2: False, 4: False, 5: False}


@given(st.lists(st.text(max_size=60), max_size=6))
def test_texts_beside_it_change_nothing_of_what_a_text_names(found: list[str]) -> None:
    groups = {"a": ["war", "the", "a b"], "b": ["0", "é"]}
    together = distinct_terms(Words(found), groups)
    alone = [distinct_terms(Words([text]), groups).iloc[0].tolist() for text in found]
    assert together.to_numpy().tolist() == alone


def test_copies_of_a_text_have_the_same_key_although_marks_were_lost() -> None:
    assert text_key("Don’t worry – it’s “GREAT”! https://t.co/x") == text_key("Don?t worry ? it?s ?GREAT?!")
    assert text_key("one") != text_key("two")


def test_no_text_is_a_text() -> None:
    words = Words([])
    assert (words.texts, len(words.positions("war"))) == (0, 0)
    assert term_counts(words, {"a": ["war"]}).shape == (0, 1)
    assert not np.any(words.within(np.array([], int), np.array([], int), 3))
