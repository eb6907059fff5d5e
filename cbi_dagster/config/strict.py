"""The base of all config models: unknown keys are errors, values never change."""

from __future__ import annotations

import importlib.resources
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A frozen model that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def read_yaml(name: str) -> Any:
    """The parsed content of a YAML file of this package."""
    text = importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return yaml.load(text, yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader)
