"""From a stack's configuration to typed settings, or to every problem at once, whatever the platform.

Pure: configuration comes in as the engine hands it to a program (full keys, every value a string, maps and
lists as JSON), and nothing here knows Pulumi.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from cohost import tokens
from cohost.errors import Problem
from cohost.setting_rules import Fault

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_LONGEST_SHOWN: Final = 100

Location = tuple[int | str, ...]
S = TypeVar("S", bound=BaseModel)


@dataclass(frozen=True)
class Platform(Generic[S]):
    """How the settings of one platform are read.

    Attributes:
        model: The settings' type.
        provider_keys: By the setting's name, the full key of the cloud's own provider that it comes from.
        stand_in: What stands in for values that are wrong, so that everything else is still looked at.
        missing: What is said of a setting that is missing.
        defaults: Settings that follow from the stack's name.
        faults: What is wrong with settings whose types are right.
        regional: Keys whose rules look at the region: nothing is said of them while that itself is wrong.
        namespace: The project whose keys are read.
    """

    model: type[S]
    provider_keys: Mapping[str, str]
    stand_in: Mapping[str, Any]
    missing: Mapping[str, str]
    defaults: Callable[[str], Mapping[str, Any]]
    faults: Callable[[S], list[Fault]]
    regional: frozenset[str] = frozenset()
    namespace: str = tokens.PROJECT

    def read(self, config: Mapping[str, str], stack: str) -> tuple[S, list[Problem]]:
        """Returns settings (with stand-ins for what is wrong) and the problems.

        Args:
            config: Every value by its full key ("shared-endpoint:variant"), as the engine hands it to programs.
            stack: The stack's name.
        """
        values, faults = self._decode(config, stack)
        settings, type_faults = self._validate(values)
        faults += type_faults
        broken = {_path(location) for location, _ in faults}
        if "region" in broken:
            broken |= self.regional
        rules = [fault for fault in self.faults(settings) if not _stands_in(fault[0], broken)]
        found = [(_path(location), message) for location, message in faults]
        return settings, sorted(self._problem(stack, key, message) for key, message in [*found, *rules])

    def _decode(self, config: Mapping[str, str], stack: str) -> tuple[dict[str, Any], list[tuple[Location, str]]]:
        """Returns the project's own values as the types want them: maps and lists read from their JSON."""
        values: dict[str, Any] = dict(self.defaults(stack))
        faults: list[tuple[Location, str]] = []
        values |= {name: config[key] for name, key in self.provider_keys.items() if key in config}
        structured = {field.alias for field in self.model.model_fields.values() if _is_structured(field.annotation)}
        for full_key, text in config.items():
            namespace, _, key = full_key.partition(":")
            if namespace != self.namespace:
                continue
            # What is a setting of the cloud's own provider is not one of ours.
            name = f"{key}?" if key in self.provider_keys else key
            try:
                values[name] = json.loads(text) if key in structured else text
            except (ValueError, RecursionError):
                faults.append(((key,), f"must be a map of settings, not {_shown(text)}"))
        return values, faults

    def _validate(self, values: dict[str, Any]) -> tuple[S, list[tuple[Location, str]]]:
        try:
            return self._model(values), []
        except ValidationError as error:
            details = error.errors(include_url=False)
        remaining: dict[str, Any] = json.loads(json.dumps(values))
        for detail in details:
            _drop(remaining, detail["loc"])
        return self._settled(remaining), [(detail["loc"], self._explain(detail)) for detail in details]

    def _settled(self, values: dict[str, Any]) -> S:
        """Returns settings of those values that are right; a part that lacks what it must have is left out."""
        while True:
            try:
                return self._model({**self.stand_in, **values})
            except ValidationError as error:
                for detail in error.errors(include_url=False):
                    _drop(values, detail["loc"][:-1])

    def _model(self, values: dict[str, Any]) -> S:
        # By the names of the configuration alone: Python's own would be a second, undocumented spelling.
        return self.model.model_validate(values, by_alias=True, by_name=False)

    def _explain(self, detail: ErrorDetails) -> str:
        """Says in a line what is wrong with a value and what would be right."""
        kind, message = detail["type"], detail["msg"]
        if kind == "missing":
            return self.missing.get(_path(detail["loc"]), "is missing")
        if kind == "extra_forbidden":
            return self._unknown(detail["loc"])
        if kind == "value_error":
            return str(detail.get("ctx", {}).get("error", message))
        if kind in ("bool_parsing", "bool_type"):
            message = "Input should be true or false"
        elif kind in ("model_type", "model_attributes_type", "dict_type"):
            message = "Input should be a map of settings"
        elif kind in ("tuple_type", "list_type"):
            message = "Input should be a list"
        wanted = message.replace("Input should be", "must be").split(", unable to")[0]
        return f"{wanted}, not {_shown(detail['input'])}"

    def _unknown(self, location: Location) -> str:
        *parents, last = location
        names = self._known_names(parents)
        near = get_close_matches(str(last), names, n=1)
        own = self.provider_keys.get(str(last).removesuffix("?")) if not parents else None
        if own:
            return f"is not a setting of the project; the {own.partition(':')[2]} is {own}"
        return "is not a setting" + (f"; did you mean {near[0]}?" if near else f"; these are: {', '.join(names)}")

    def _known_names(self, parents: Sequence[int | str]) -> list[str]:
        model: type[BaseModel] = self.model
        for part in parents:
            field = next(field for field in model.model_fields.values() if field.alias == part)
            model = _model_of(field.annotation)
        return sorted(
            field.alias or "" for field in model.model_fields.values() if field.alias not in self.provider_keys
        )

    def _problem(self, stack: str, path: str, message: str) -> Problem:
        return problem(stack, self.provider_keys.get(path), path, message, namespace=self.namespace)


def problem(
    stack: str, provider_key: str | None, path: str, message: str, *, namespace: str = tokens.PROJECT
) -> Problem:
    """Returns a problem with a key of a stack's configuration.

    Args:
        stack: The stack's name.
        provider_key: The full key, where it is not one of the project's own.
        path: The key in the project's namespace.
        message: What is wrong.
        namespace: The project whose key it is.
    """
    key = provider_key or f"{namespace}:{path.removesuffix('?')}"
    return Problem(f"Pulumi.{stack}.yaml", key, message)


def _is_structured(annotation: Any) -> bool:
    if get_origin(annotation) is types.UnionType:
        return any(_is_structured(part) for part in get_args(annotation))
    origin = get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, (BaseModel, dict, list, tuple))


def _model_of(annotation: Any) -> type[BaseModel]:
    """Returns the part of the settings that a field holds, alone or as the alternative to None."""
    return next(
        kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, BaseModel)
    )


def _drop(values: dict[str, Any], location: Location) -> None:
    """Removes what is at a location; of a list the whole, since an element would move the others."""
    *parents, last = [str(part) for part in location if part != "[key]"]
    for part in parents:
        inner = values.get(part)
        if not isinstance(inner, dict):
            values.pop(part, None)
            return
        values = inner
    values.pop(last, None)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def _path(location: Location) -> str:
    return "".join(_steps(location)).removeprefix(".")


def _steps(location: Location) -> Iterator[str]:
    for part in location:
        if part != "[key]":
            yield f"[{part}]" if isinstance(part, int) else f".{part}"


def _stands_in(key: str, broken: set[str]) -> bool:
    """Whether a rule's fault comes of a stand-in: something wrong is at, in or around its key."""
    return any(key == path or key.startswith((f"{path}.", f"{path}[")) or path.startswith(f"{key}[") for path in broken)
