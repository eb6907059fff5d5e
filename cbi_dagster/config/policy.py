"""How policy posts are read: sources, words, topics and their weights, each with where it comes from."""

from __future__ import annotations

import functools
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from cbi_dagster.config.strict import Strict, read_yaml

Fraction = Annotated[float, Field(ge=0, le=1)]


def _plain(term: str) -> str:
    """A term that can match: texts are looked at in lower case."""
    if term != term.lower() or not all(form.strip() == form and form for form in term.split("/")):
        raise ValueError(f"policy.yaml: the term {term!r} must be of lower-case words, its forms separated by /")
    return term


Term = Annotated[str, AfterValidator(_plain)]
"""A word or phrase in lower case, its forms separated by `/`."""


class Source(Strict):
    """A source of posts, and how far it is believed."""

    name: str
    confidence: Fraction
    provenance: str


class Authors(Strict):
    """Accounts, in lower case."""

    names: tuple[Term, ...]
    provenance: str


class Sentiment(Strict):
    """Terms that are bullish or bearish for soybean oil, and what turns them into their opposite."""

    provenance: str
    bullish: tuple[Term, ...]
    bearish: tuple[Term, ...]
    negators: tuple[Term, ...]
    negation_words: int = Field(ge=1)


class Group(Strict):
    """Terms that name one thing; an `entity` is listed as such in events."""

    name: str
    entity: bool
    terms: tuple[Term, ...] = Field(min_length=1)


class Topic(Strict):
    """What a text is about if it names all groups that the topic `needs`."""

    name: str
    multiplier: Fraction
    needs: tuple[str, ...] = Field(min_length=1)
    provenance: str


class WeightedTerm(Strict):
    term: Term
    weight: float = Field(gt=0)


class TariffWeights(Strict):
    """tariff_intensity = 100 tanh(share x sum of the weights of the terms named / scale)."""

    provenance: str
    share: Fraction
    scale: float = Field(gt=0)
    terms: tuple[WeightedTerm, ...]


class Frequency(Strict):
    """An event counts `penalty` after `events` others of its source and topic within `hours` before it."""

    hours: float = Field(gt=0)
    events: int = Field(ge=1)
    penalty: Fraction
    provenance: str


class Policy(Strict):
    """The content of policy.yaml."""

    default_confidence: Fraction
    sources: tuple[Source, ...]
    own_authors: Authors
    sentiment: Sentiment
    groups: tuple[Group, ...]
    default_multiplier: Fraction
    topics: tuple[Topic, ...]
    tariff_weights: TariffWeights
    frequency: Frequency

    @model_validator(mode="after")
    def _consistent(self) -> Policy:
        names = [group.name for group in self.groups]
        for what in (names, [source.name for source in self.sources], [topic.name for topic in self.topics]):
            if len(set(what)) != len(what):
                raise ValueError("policy.yaml: a source, group or topic is named twice")
        if unknown := {need for topic in self.topics for need in topic.needs} - set(names):
            raise ValueError(f"policy.yaml: topics need the groups {sorted(unknown)}, which are not there")
        both = set(forms(self.sentiment.bullish)) & set(forms(self.sentiment.bearish))
        if both:
            raise ValueError(f"policy.yaml: {sorted(both)} are bullish and bearish")
        return self

    @property
    def confidences(self) -> dict[str, float]:
        """How far each named source is believed; others with `default_confidence`."""
        return {source.name: source.confidence for source in self.sources}

    @property
    def terms(self) -> dict[str, tuple[str, ...]]:
        """The terms of each group, by its name."""
        return {group.name: group.terms for group in self.groups}


def forms(terms: tuple[str, ...]) -> list[str]:
    """Every form of terms."""
    return [form for term in terms for form in term.split("/")]


@functools.cache
def load_policy() -> Policy:
    """The validated content of policy.yaml."""
    return Policy.model_validate(read_yaml("policy.yaml"))
