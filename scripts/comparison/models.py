"""What the data of the comparison looks like. The JSON schemas in docs/comparison/schemas are made of these classes."""

from __future__ import annotations

import datetime
from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

# The platforms, in the order of the columns, and what they are called.
PLATFORMS: Final = {"sagemaker": "SageMaker", "vertex": "Vertex AI", "self-hosted": "Self-hosted"}

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
FigureName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Text = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True)]
# `theme/criterion`, the row, or `theme/criterion/platform`, one cell of it.
CellName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]+/[a-z0-9-]+(/[a-z0-9-]+)?$")]


class Kind(StrEnum):
    """How a statement is known."""

    MEASURED = "measured"
    DOCUMENTED = "documented"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"


class Data(BaseModel):
    """What nobody changes, and has no key that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Data):
    """Where something was read.

    Attributes:
        id: What cells call it.
        title: The title of the page, file or thread.
        address: A URL, or a path in this repository.
        published: The source's own day, where it states one.
        retrieved: The day on which it was read.
        read: Which part of it was read, or in which copy, where not the whole of the page itself.
    """

    id: Name
    title: Text
    address: Text
    published: datetime.date | None = None
    retrieved: datetime.date
    read: Text | None = None


class Figure(Data):
    """A number that texts name as `{{name}}`; exactly one of value, price, expression and file says where it is from.

    Attributes:
        name: What texts call it.
        about: What it is.
        format: How it is written, as `str.format` takes it: "{:.0f} ms". Of a row of a table: the text as it stands.
        value: The number itself; with kind, date and sources.
        price: `service / item / region` in the prices of `cohost.cost`, for an hour; kind and date are the price's.
        expression: Sums and products of other figures and constants: "gpu_hour * 730". Always an estimate.
        file: A committed file of measurements, from the root of the repository; with `pointer` (RFC 6901) in JSON,
            or `row` and `column` in the first table of a page that has that row.
        kind: How it is known.
        date: The day for which it holds.
        sources: Where it is from.
    """

    name: FigureName
    about: Text
    format: Text = "{:g}"
    value: float | None = None
    price: Text | None = None
    expression: Text | None = None
    file: Text | None = None
    pointer: Text | None = None
    row: Text | None = None
    column: Text | None = None
    kind: Kind | None = None
    date: datetime.date | None = None
    sources: tuple[Name, ...] = ()


class Cell(Data):
    """What one platform has to one criterion.

    Attributes:
        value: The statement. Only a documented one may hold digits of its own; every other names figures.
        kind: How it is known.
        date: The day for which it holds: the source's own, or the day on which it was read.
        sources: Where it is from; with those of the figures it names at least one.
        note: What limits it.
        old: The mark of a cell that is older than 18 months and still the newest there is.
    """

    value: Text
    kind: Kind
    date: datetime.date
    sources: tuple[Name, ...] = ()
    note: Text | None = None
    old: bool = False


class Criterion(Data):
    """One row: a question that a decision needs answered.

    Attributes:
        id: What conclusions call it.
        title: The question.
        cells: An answer for each platform.
    """

    id: Name
    title: Text
    cells: dict[Name, Cell]


class Theme(Data):
    """One table, one file.

    Attributes:
        theme: What conclusions call it; the file's name too.
        title: The heading.
        about: What one has to know to read the table.
        criteria: The rows.
    """

    theme: Name
    title: Text
    about: Text
    criteria: tuple[Criterion, ...] = Field(min_length=1)


class Reason(Data):
    """A sentence and the cells that carry it."""

    text: Text
    cells: tuple[CellName, ...] = Field(min_length=1)


class Balance(Data):
    """The pros and cons of one platform."""

    pros: tuple[Reason, ...] = Field(min_length=1)
    cons: tuple[Reason, ...] = Field(min_length=1)


class Situation(Data):
    """A recommendation.

    Attributes:
        title: The situation.
        choose: The platform; more than one where the cells do not decide between them.
        because: Why.
        unless: What would make it another one.
    """

    title: Text
    choose: tuple[Name, ...] = Field(min_length=1)
    because: tuple[Reason, ...] = Field(min_length=1)
    unless: Text


class Conclusions(Data):
    """What follows from the cells.

    Attributes:
        platforms: Pros and cons of each platform.
        situations: A recommendation for each situation.
        changes: What would change our mind.
    """

    platforms: dict[Name, Balance]
    situations: tuple[Situation, ...] = Field(min_length=1)
    changes: tuple[Reason, ...] = Field(min_length=1)


class Sources(Data):
    """The file sources.yaml."""

    sources: tuple[Source, ...]


class Figures(Data):
    """The file figures.yaml."""

    figures: tuple[Figure, ...]
