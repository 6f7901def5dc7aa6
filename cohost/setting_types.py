"""What the settings of every platform are made of."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


def like(pattern: str, expected: str) -> AfterValidator:
    """A text of a certain form; `expected` ends the sentence "... is not"."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"{value!r} is not {expected}")
        return value

    return AfterValidator(check)


FilePath = Annotated[str, like(r"[^\x00-\x1f]+", "a file's path")]


class Settings(BaseModel):
    """A part of a stack's settings: frozen, camelCase in the configuration, no unknown key."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, alias_generator=to_camel, populate_by_name=True
    )
