"""What `cohost plan` is told of models: a YAML file, sizes of a catalog, and what is assumed for the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ByteSize, ConfigDict, Field, ValidationError

from cohost import catalog_yaml
from cohost.catalog import name_fault
from cohost.errors import InputError, Problem
from cohost.folder import shown
from cohost.plan.traffic import Traffic
from cohost.words import did_you_mean

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_MIB: Final = 2**20


class Assumptions(BaseModel):
    """What is assumed where nothing is measured; every one can be set in the file.

    Attributes:
        base_memory: GPU memory that Triton takes before the first model. The four published runs of
            docs/planner.md took 453 to 944 MiB.
        model_overhead: GPU memory that a model takes beside its files, where its `memory` is not given: as the
            emulator of SageMaker reckons. The published runs took 64 to 510 MiB: measure.
        usable: The share of the GPU's memory that models may fill.
        service_ms: Time on the GPU for a call.
        overhead_ms: Time of a call beside it.
        load_s: Time of a load beside reading the files.
        load_mb_s: Reading of files from disk into memory, 10^6 bytes a second.
        download_mb_s: Fetching and unpacking of archives, 10^6 bytes a second.
        loads_at_once: Models that a machine stores and loads at once; the default of Triton's
            `--model-load-thread-count`.
        slots: How many models the GPU works for at full speed.
        most_busy: The largest share of its time that a GPU is planned to work.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_memory: ByteSize = ByteSize(512 * _MIB)
    model_overhead: ByteSize = ByteSize(64 * _MIB)
    usable: Annotated[float, Field(gt=0, le=1)] = 0.9
    service_ms: _Positive = 10.0
    overhead_ms: _NotNegative = 10.0
    load_s: _NotNegative = 2.0
    load_mb_s: _Positive = 500.0
    download_mb_s: _Positive = 100.0
    loads_at_once: Annotated[int, Field(ge=1)] = 4
    slots: Annotated[int, Field(ge=1)] = 1
    most_busy: Annotated[float, Field(gt=0, lt=1)] = 0.7


class Given(BaseModel):
    """What the file says of one model.

    Attributes:
        rate: Calls a second.
        size: Bytes of its files; by default those of the catalog's folder.
        memory: Bytes of GPU memory once it is loaded.
        service_ms: Time on the GPU for a call.
        load_s: Time from the disk into memory.
        copies: So many models like this one, "-1" and so on behind the name; only without a stack.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rate: _NotNegative | None = None
    size: Annotated[ByteSize, Field(gt=0)] | None = None
    memory: Annotated[ByteSize, Field(gt=0)] | None = None
    service_ms: _Positive | None = None
    load_s: _NotNegative | None = None
    copies: Annotated[int, Field(ge=1, le=10_000)] = 1


class Told(BaseModel):
    """The whole file.

    Attributes:
        assumptions: What is assumed.
        models: By name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    assumptions: Assumptions = Assumptions()
    models: dict[str, Given] = {}


@dataclass(frozen=True)
class PlannedModel:
    """One model, everything known or assumed.

    Attributes:
        name: Its name.
        rate: Calls a second.
        size: Bytes of its files.
        memory: Bytes of GPU memory once it is loaded.
        measured: Whether that was given, and not assumed from the size.
        service: Seconds on the GPU for a call.
        store: Seconds until its files are on the disk.
        load: Seconds from the disk into memory.
    """

    name: str
    rate: float
    size: int
    memory: int
    measured: bool
    service: float
    store: float
    load: float


def read(path: Path) -> Told:
    """Reads the file.

    Raises:
        InputError: With every problem found.
    """
    where = shown(path)
    if not path.is_file():
        raise InputError([Problem(where, "", "is no file; docs/planner.md tells what stands in one")])
    document = catalog_yaml.parse(catalog_yaml.read(path), where)
    try:
        return Told.model_validate({} if document in (None, "") else document)
    except ValidationError as error:
        raise InputError(
            Problem(where, ".".join(map(str, each["loc"])), each["msg"][:1].lower() + each["msg"][1:])
            for each in error.errors()
        ) from None


def models(
    told: Told, where: str, *, sizes: Mapping[str, int | None] | None, rate: float | None, traffic: Traffic
) -> tuple[PlannedModel, ...]:
    """Puts together what is known of each model, those that are called most first.

    Args:
        told: What the file says.
        where: The file's name for errors.
        sizes: The catalog's models and their bytes, None for a size that is not here; None = no catalog.
        rate: Calls a second of all models that have no rate of their own.
        traffic: How those spread, in the order of the names.

    Raises:
        InputError: With every problem found.
    """
    given = _copied(told.models) if sizes is None else {name: told.models.get(name, Given()) for name in sizes}
    problems = [*_faults(told, where, sizes), *_missing(given, where, sizes, rate)]
    problems += _twice(told, where) if sizes is None else ()
    if problems:
        raise InputError(problems)
    without = [name for name, each in given.items() if each.rate is None]
    shares = dict(zip(without, traffic.shares(len(without)), strict=True))
    found = [
        _planned(name, each, told.assumptions, _size(name, each, sizes), _rate(each, shares.get(name), rate))
        for name, each in given.items()
    ]
    return tuple(sorted(found, key=lambda model: (-model.rate, model.name)))


def _copied(given: Mapping[str, Given]) -> dict[str, Given]:
    copied: dict[str, Given] = {}
    for name, each in given.items():
        width = len(str(each.copies))
        numbered = [f"{name}-{number:0{width}}" for number in range(1, each.copies + 1)]
        copied |= dict.fromkeys(numbered if each.copies > 1 else [name], each)
    return copied


def _twice(told: Told, where: str) -> Iterator[Problem]:
    """Copies whose names other models have."""
    for name, each in told.models.items():
        others = _copied({other: given for other, given in told.models.items() if other != name})
        for same in sorted(_copied({name: each}).keys() & others.keys()) if each.copies > 1 else ():
            yield Problem(where, f"models.{name}.copies", f'one of them would be "{same}", which is a model already')


def _faults(told: Told, where: str, sizes: Mapping[str, int | None] | None) -> Iterator[Problem]:
    """What is wrong with the entries themselves."""
    for name, each in told.models.items():
        if sizes is not None and name not in sizes:
            yield Problem(where, f"models.{name}", f"is not in the catalog{did_you_mean(name, sizes)}")
        if sizes is not None and each.copies > 1:
            yield Problem(where, f"models.{name}.copies", "is for plans without a stack: a catalog lists each model")
        fault = name_fault(name)
        if sizes is None and fault:
            yield Problem(where, f"models.{name}", fault)


def _missing(
    given: Mapping[str, Given], where: str, sizes: Mapping[str, int | None] | None, rate: float | None
) -> Iterator[Problem]:
    if not given:
        yield Problem(where, "models", "lists no model; name a stack, or give models with size and rate")
    rateless = [name for name, each in given.items() if each.rate is None]
    if rateless and rate is None:
        yield Problem(where, f"models.{rateless[0]}.rate", "is missing: give --rate N, or a rate for each model")
    if given and not rateless and rate is not None:
        yield Problem("", "--rate", "has no model to be shared by: every model has a rate in the file")
    if given and not rateless and not sum(each.rate or 0 for each in given.values()):
        yield Problem(where, "models", "no model has a rate above 0")
    for name, each in given.items():
        if each.size is None and not (sizes and sizes.get(name)):
            yield Problem(where, f"models.{name}.size", "is missing, and no folder is here: give one such as 98MiB")


def _size(name: str, given: Given, sizes: Mapping[str, int | None] | None) -> int:
    return int(given.size or (sizes or {}).get(name) or 0)


def _rate(given: Given, share: float | None, rate: float | None) -> float:
    return given.rate if given.rate is not None else (share or 0.0) * (rate or 0.0)


def _planned(name: str, given: Given, assumed: Assumptions, size: int, rate: float) -> PlannedModel:
    megabytes = size / 1e6
    return PlannedModel(
        name=name,
        rate=rate,
        size=size,
        memory=int(given.memory or size + assumed.model_overhead),
        measured=given.memory is not None,
        service=(given.service_ms or assumed.service_ms) / 1000,
        store=megabytes / assumed.download_mb_s,
        load=given.load_s if given.load_s is not None else assumed.load_s + megabytes / assumed.load_mb_s,
    )
