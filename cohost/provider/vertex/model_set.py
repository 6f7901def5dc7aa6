"""`cohost:vertex:ModelSet`: each model of the catalog as a Vertex AI Model of its own, not deployed.

They tell where a release comes from: a version per artifact digest, whose labels name it and its owner. What serves is
the one `cohost:vertex:Model` that holds all of them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any, Final

from cohost.errors import CohostError, DeploymentError, Problem
from cohost.provider import properties
from cohost.provider.context import Context
from cohost.provider.google import GoogleError
from cohost.provider.properties import entry
from cohost.provider.resource import Change, PartialFailure, State, Values
from cohost.provider.values import UNKNOWN, known
from cohost.provider.vertex import checks, models
from cohost.provider.vertex.models import Version, Wanted

_THREADS: Final = 8
_NAMED: Final = 5
_DIGEST_LABEL: Final = "digest"
_DIGEST_DIGITS: Final = 32
_LABELS: Final = ("owner", "framework")
_PREFIX_LENGTH: Final = 40
_HASH_LENGTH: Final = 8
_VERSION: Final = re.compile(r"([a-z_][a-z0-9_-]*)@(\w+)")
_ID: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/models/([^/@]+)")


def _labels(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("", path, f"is {value!r}; {{model: {{owner, framework}}}} is expected")
        return
    for name, item in value.items():
        texts = isinstance(item, Mapping) and all(each is UNKNOWN or isinstance(each, str) for each in item.values())
        if item is not UNKNOWN and (not isinstance(item, Mapping) or not texts or set(item) - set(_LABELS)):
            yield Problem("", entry(path, name), f"is {item!r}; {{owner, framework}} is expected")


_FIELDS: Final = {
    "project": checks.project,
    "region": checks.region,
    "store": checks.store_url,
    "prefix": checks.matching(
        rf"[a-z][a-z0-9-]{{0,{_PREFIX_LENGTH - 1}}}",
        f"a letter, then lowercase letters, digits and -, {_PREFIX_LENGTH}",
    ),
    "image": properties.text,
    "models": properties.digests,
    "labels": _labels,
}
_REPLACING: Final = ("project", "region", "prefix")


def model_id(prefix: str, name: str) -> str:
    """The id of a catalog model's Vertex AI Model; a name that has to be changed for it gets a hash of itself."""
    plain = f"{prefix}-{name}"
    if re.fullmatch(r"[a-z0-9-]+", name) and len(plain) <= checks.MODEL_ID_LENGTH:
        return plain
    digits = hashlib.sha256(name.encode()).hexdigest()[:_HASH_LENGTH]
    short = re.sub(r"[^a-z0-9]+", "-", plain.lower())[: checks.MODEL_ID_LENGTH - _HASH_LENGTH - 1]
    return f"{short.rstrip('-')}-{digits}"


def label(value: str) -> str:
    """A text as a label's value can hold it: "Vision Team" becomes "vision-team"."""
    return re.sub(r"[^a-z0-9_-]+", "-", value.lower())[: checks.LABEL_LENGTH].strip("-")


class ModelSet:
    """Registers what has changed, eight at a time; what is done stays done when another one fails."""

    def identify(self, inputs: Values) -> str:
        """What the full names of all its models begin with."""
        return models.full_name(inputs["project"], inputs["region"], inputs["prefix"])

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, and that no two models come to the same id."""
        found = list(checks.problems(news, _FIELDS))
        yield from found
        yield from checks.image(news)
        if found or UNKNOWN in (news["prefix"], news["models"]):
            return
        ids: dict[str, str] = {}
        for name in news["models"]:
            other = ids.setdefault(model_id(news["prefix"], name), name)
            if other != name:
                yield Problem("", entry("models", name), f"comes to the same model id as {other}: rename one of them")

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """One entry for each changed model."""
        return properties.compare(outputs, news, fields=_FIELDS, replacing=_REPLACING)

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The versions of changed models are unknown."""
        if not known(news["models"]):
            return {**news, "versions": UNKNOWN}
        changed = _changed(outputs, news) if outputs else set(news["models"])
        before = (outputs or {}).get("versions") or {}
        versions = {name: UNKNOWN if name in changed else before.get(name, UNKNOWN) for name in news["models"]}
        return {**news, "versions": versions}

    def create(self, context: Context, inputs: Values) -> Values:
        """Registers every model; what a killed create has registered is found."""
        return _apply(context, {}, inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Registers changed models and deletes those that are gone from the catalog."""
        return _apply(context, outputs, inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """The models that are really there: one that is missing is missing in `models`, so `up` brings it.

        The id of an import is `projects/<project>/locations/<region>/models/<prefix>`.
        """
        if outputs is None:
            return _import(context, id)
        there, failures = _each(context, "looking at", _versions(outputs), lambda name: _look(context, outputs, name))
        _raise(failures, "could not be looked at", of=len(_versions(outputs)))
        found = {name: version for name, version in there.items() if version is not None}
        if not found:
            return None
        inputs = {**{name: outputs[name] for name in _FIELDS}, **_live(found, outputs)}
        return State(id, inputs, {**inputs, "versions": {name: _versions(outputs)[name] for name in found}})

    def delete(self, context: Context, outputs: Values) -> None:
        """Deletes every model with all its versions."""
        _, failures = _each(
            context, "deleting", _versions(outputs), lambda name: _delete(context, outputs, _versions(outputs)[name])
        )
        _raise(failures, "could not be deleted", of=len(_versions(outputs)))


def _apply(context: Context, before: Values, inputs: Values) -> dict[str, Any]:
    """Makes what shall be of what is.

    Raises:
        PartialFailure: Some models are done.
        DeploymentError: None is.
    """
    changed = _changed(before, inputs) if before else set(inputs["models"])
    done, failures = _each(
        context, "registering", sorted(changed), lambda name: _register(context, before, inputs, name)
    )
    versions = {name: id for name, id in _versions(before).items() if name in inputs["models"]} | done
    gone = {name: id for name, id in _versions(before).items() if name not in inputs["models"]}
    _, left = _each(context, "deleting", sorted(gone), lambda name: _delete(context, before, gone[name]))
    failures |= left
    if not failures:
        return {**inputs, "versions": versions}
    unfinished = len(changed) - len(done) + len(left)
    message = _message(failures, "are not as they shall be", unfinished, of=len(changed) + len(gone))
    if not versions and not before:
        raise DeploymentError(message)
    kept = {**versions, **{name: gone[name] for name in left}}
    raise PartialFailure(message, _partial(before, inputs, set(done), kept))


def _partial(before: Values, inputs: Values, done: Collection[str], versions: Mapping[str, str]) -> dict[str, Any]:
    """What is true after a failure: of each model what it was, or what it is where it is done."""
    outputs: dict[str, Any] = {**inputs, **{name: before[name] for name in ("store", "image") if name in before}}
    for field in ("models", "labels"):
        old, new = before.get(field) or {}, inputs[field]
        sources = {name: new if name in done else old for name in versions}
        outputs[field] = {name: source[name] for name, source in sources.items() if name in source}
    return {**outputs, "versions": dict(versions)}


def _changed(before: Values, inputs: Values) -> set[str]:
    """The models that have to be looked at: another image or store means another version of each."""
    if any(before.get(name) != inputs[name] for name in ("project", "region", "prefix", "store", "image")):
        return set(inputs["models"])
    versions = _versions(before)

    def same(name: str) -> bool:
        olds, news = (((each.get("models") or {}).get(name), _given(each, name)) for each in (before, inputs))
        return name in versions and olds == news

    return {name for name in inputs["models"] if not same(name)}


def _given(values: Values, name: str) -> Mapping[str, Any]:
    return (values.get("labels") or {}).get(name) or {}


def _versions(outputs: Values) -> Mapping[str, str]:
    return outputs.get("versions") or {}


def _register(context: Context, before: Values, inputs: Values, name: str) -> str:
    digest = inputs["models"][name]
    given = {key: label(value) for key, value in _given(inputs, name).items()}
    wanted = Wanted(
        project=inputs["project"],
        region=inputs["region"],
        model_id=model_id(inputs["prefix"], name),
        display_name=name,
        content={"image": inputs["image"], "artifactUri": f"{inputs['store']}/models/{name}/{digest}"},
        labels={**{key: value for key, value in given.items() if value}, _DIGEST_LABEL: digest[:_DIGEST_DIGITS]},
        owner=context.urn,
    )
    version, _ = models.register(context, wanted, known=name in _versions(before))
    models.align(context, wanted, version)
    return f"{wanted.model_id}@{version.id}"


def _delete(context: Context, outputs: Values, version: str) -> None:
    id = version.partition("@")[0]
    models.delete(context, outputs["region"], models.full_name(outputs["project"], outputs["region"], id))


def _look(context: Context, outputs: Values, name: str) -> Version | None:
    full = models.full_name(outputs["project"], outputs["region"], _versions(outputs)[name])
    return models.read(context, outputs["region"], full)


def _live(found: Mapping[str, Version], outputs: Values) -> dict[str, Any]:
    """Digests by what the versions hold; labels as given where they come to what is there."""
    digests: dict[str, str] = {}
    labels: dict[str, dict[str, str]] = {}
    for name, version in found.items():
        digests[name] = version.content["artifactUri"].rpartition("/")[2]
        given = _given(outputs, name)
        live = {key: version.labels[key] for key in _LABELS if key in version.labels}
        labels[name] = dict(given) if {key: label(text) for key, text in given.items() if label(text)} == live else live
    kept = {name: each for name, each in labels.items() if each or name in (outputs.get("labels") or {})}
    return {"models": digests, "labels": kept}


def _import(context: Context, id: str) -> State | None:
    """Finds a set by its prefix; the artifacts' folders tell the models' names, digests and store."""
    parts = _ID.fullmatch(id)
    if parts is None:
        raise CohostError(f"the id {id!r} is none: projects/<project>/locations/<region>/models/<prefix> is expected")
    project, region, prefix = parts.groups()
    found: dict[str, Version] = {}
    versions: dict[str, str] = {}
    stores: set[str] = set()
    for each_id, version in models.listed(context, project, region):
        store, _, artifact = version.content["artifactUri"].rpartition("/models/")
        name, _, digest = artifact.partition("/")
        if digest and each_id == model_id(prefix, name):
            found[name], versions[name] = version, f"{each_id}@{version.id}"
            stores.add(store)
    if len(stores) > 1:
        raise CohostError(f"the models of {id} come from several stores: {', '.join(sorted(stores))}")
    if not found:
        return None
    place = {"project": project, "region": region, "store": stores.pop(), "prefix": prefix}
    image = next(iter(found.values())).content.get("image", "")
    inputs = {**place, "image": image, **_live(found, {})}
    return State(id, inputs, {**inputs, "versions": versions})


def _each(
    context: Context, doing: str, names: Collection[str], act: Callable[[str], Any]
) -> tuple[dict[str, Any], dict[str, CohostError]]:
    """Does something for each name, several at once.

    Returns:
        The results, and why others failed; once a quota is used up no more are begun.
    """
    done: dict[str, Any] = {}
    failures: dict[str, CohostError] = {}
    lock, full = Lock(), Event()

    def one(name: str) -> None:
        if full.is_set():
            return
        try:
            context.ensure_running(f"{doing} {name}")
            result = act(name)
        except CohostError as error:
            with lock:
                failures[name] = error
            if isinstance(error, GoogleError) and error.status == "RESOURCE_EXHAUSTED":
                full.set()
            return
        with lock:
            done[name] = result
            context.status(f"{doing} {len(done)}/{len(names)} models", last=len(done) == len(names))

    if names:
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="models") as pool:
            list(pool.map(one, names))
    return done, failures


def _message(failures: Mapping[str, CohostError], what: str, count: int, *, of: int) -> str:
    lines = [f"{name}: {error}" for name, error in sorted(failures.items())[:_NAMED]]
    if len(failures) > _NAMED:
        lines.append(f"and {len(failures) - _NAMED} more")
    return "\n".join([f"{count} of {of} models {what}; the next `up` goes on with them", *lines])


def _raise(failures: Mapping[str, CohostError], what: str, *, of: int) -> None:
    if failures:
        raise DeploymentError(_message(failures, what, len(failures), of=of))
