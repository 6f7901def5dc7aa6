"""`cohost:vertex:Model`: a Vertex AI Model with a container; another content is a new version in place."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from cohost.errors import CohostError, Problem
from cohost.provider import properties
from cohost.provider.context import Context
from cohost.provider.properties import entry
from cohost.provider.resource import Change, PartialFailure, State, Values
from cohost.provider.values import UNKNOWN, known
from cohost.provider.vertex import checks, container, models, probes, replaced
from cohost.provider.vertex.container import CONTENT
from cohost.provider.vertex.models import DEFAULT_ALIAS, OWN_LABELS, Version, Wanted

_NAME: Final = re.compile(r"projects/([^/]+)/locations/([^/]+)/models/([^/@]+)(?:@([^/@]+))?")
_ALIAS: Final = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_LONGEST_START_S: Final = 7200


def _args(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, list) or not all(item is UNKNOWN or isinstance(item, str) for item in value):
        yield Problem("", path, f"is {value!r}; a list of texts is expected")


def _env(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("", path, f"is {value!r}; variables are expected, as {{name: text}}")
        return
    for name, item in value.items():
        if name.startswith("AIP_"):
            yield Problem("", entry(path, name), "Vertex AI alone sets variables that begin with AIP_")
        elif item is not UNKNOWN and not isinstance(item, str):
            yield Problem("", entry(path, name), f"is {item!r}; a text is expected")


def _ports(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem("", path, f"is {value!r}; a list of ports is expected")
        return
    for index, port in enumerate(value):
        if port is not UNKNOWN:
            yield from checks.port(f"{path}[{index}]", port)


def _start_time(path: str, value: Any) -> Iterator[Problem]:
    """ModelContainerSpec.deployment_timeout: at most 2 hours."""
    if next(properties.count("", value), None) or value > _LONGEST_START_S:
        yield Problem("", path, f"is {value!r}; 1 to {_LONGEST_START_S} seconds are expected")


def _labels(path: str, value: Any) -> Iterator[Problem]:
    yield from checks.labels(path, value)
    for name in sorted(OWN_LABELS & set(value if isinstance(value, Mapping) else ())):
        yield Problem("", entry(path, name), "is a label that cohost sets itself: choose another name")


def _aliases(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield Problem("", path, f"is {value!r}; a list of aliases is expected")
        return
    for index, alias in enumerate(value):
        if alias is UNKNOWN:
            continue
        if alias == DEFAULT_ALIAS:
            yield Problem("", f"{path}[{index}]", "the newest version always has the alias default: leave it out")
        elif not isinstance(alias, str) or not _ALIAS.fullmatch(alias) or value.index(alias) < index:
            message = f"is {alias!r}; a letter, then letters, digits and -, each alias once, is expected"
            yield Problem("", f"{path}[{index}]", message)


_FIELDS: Final = {
    "project": checks.project,
    "region": checks.region,
    "modelId": checks.matching(r"[a-z_][a-z0-9_-]{0,62}", "a-z or _, then at most 62 of a-z, 0-9, _ and -,"),
    "displayName": checks.matching(r"(?s).{1,128}", "a text of at most 128 characters"),
    "image": properties.text,
    "args": _args,
    "env": _env,
    "predictRoute": checks.route,
    "healthRoute": checks.route,
    "ports": _ports,
    "sharedMemoryMb": properties.count,
    "deploymentTimeoutS": _start_time,
    **dict.fromkeys(probes.NAMES, probes.probe),
    "artifactUri": checks.store_url,
    "labels": _labels,
    "aliases": _aliases,
    "serviceAccount": properties.text,
    "kmsKey": checks.matching(r"projects/\S+/locations/\S+/keyRings/\S+/cryptoKeys/[^/\s]+", "a key's full name"),
}
# What Vertex AI has a value of its own for.
_OPTIONAL: Final = (
    *("predictRoute", "healthRoute", "sharedMemoryMb", "deploymentTimeoutS", *probes.NAMES),
    *("serviceAccount", "kmsKey"),
)
_REPLACING: Final = ("project", "region", "modelId", "kmsKey")


class Model:
    """Uploads a version when the content is another, and deletes versions that nothing is deployed from."""

    def identify(self, inputs: Values) -> str:
        """The model's full name."""
        return models.full_name(inputs["project"], inputs["region"], inputs["modelId"])

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, that the image is in the region, and that another key comes with another id."""
        yield from checks.problems(news, _FIELDS, _OPTIONAL)
        yield from checks.image(news)
        key = news.get("kmsKey")
        if olds and _same_model(olds, news) and key is not UNKNOWN and olds.get("kmsKey") != key:
            yield Problem(
                "", "kmsKey", f"is fixed while the model {news['modelId']} is there: give another modelId too, which "
                "brings up a new model before the old one is deleted"
            )  # fmt: skip

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """Also a change when there is no version, because an upload failed or it was deleted by hand."""
        changes = properties.compare(outputs, news, fields=_FIELDS, replacing=_REPLACING)
        if not changes and not outputs.get("versionId"):
            changes["artifactUri"] = Change.UPDATE
        return changes

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The version is unknown when the content is another."""
        unchanged = outputs is not None and outputs.get("versionId")
        if unchanged and outputs and not _content_changes(outputs, news):
            return {**news, **{name: outputs[name] for name in ("name", "versionId", "versionName")}}
        name = self.identify(news) if known([news["project"], news["region"], news["modelId"]]) else UNKNOWN
        return {**news, "name": name, "versionId": UNKNOWN, "versionName": UNKNOWN}

    def create(self, context: Context, inputs: Values) -> Values:
        """Uploads the model, or finds what a killed create has uploaded."""
        return _ensure(context, None, inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Uploads a version where the content is another, else changes labels, aliases and display name."""
        return _ensure(context, outputs, inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """The version as it is; when it was deleted by hand, the default version, so that `up` makes it anew.

        The id of an import is the model's full name, with `@<version>` after it where it is not the default one.
        """
        found = _NAME.fullmatch(id)
        if found is None:
            message = "projects/<project>/locations/<region>/models/<id>, with @<version> or without, is expected"
            raise CohostError(f"the id {id!r} is not the name of a model: {message}")
        project, region, model_id, asked = found.groups()
        name = models.full_name(project, region, model_id)
        wanted = asked or (outputs or {}).get("versionId")
        version = models.read(context, region, f"{name}@{wanted}") if wanted else None
        if version is None and not asked:
            version = models.read(context, region, name)
        if version is None:
            return None
        place = {"project": project, "region": region, "modelId": model_id}
        inputs = {**place, **_live_inputs(version, outputs or {})}
        return State(name, inputs, {**inputs, **_names(name, version)})

    def delete(self, context: Context, outputs: Values) -> None:
        """Deletes the model with all its versions; what is deployed from it is named."""
        models.delete(context, outputs["region"], self.identify(outputs))


def _ensure(context: Context, before: Values | None, inputs: Values) -> Values:
    wanted = _wanted(context, inputs)
    version, there = models.register(context, wanted, known=before is not None)
    if version not in there:
        context.status(f"version {version.id} of {wanted.model_id}", last=True)
    outputs = {**inputs, **_names(wanted.name, version)}
    others = [_claimed(context, wanted, before or {}, each) for each in there if each.id != version.id]
    dropped = (before or {}).get("aliases") or ()
    try:
        models.align(context, wanted, version, dropped=dropped)
    except CohostError as error:
        raise PartialFailure(str(error), {**outputs, **_changeable(version, before or inputs)}) from error
    replaced.sweep(context, wanted, others)
    return outputs


def _claimed(context: Context, wanted: Wanted, before: Values, version: Version) -> Version:
    """A version that is being replaced, labelled as this resource's own where an import has brought it in."""
    if version.id != before.get("versionId") or wanted.is_owner_of([version]):
        return version
    return models.claim(context, wanted, version, before.get("aliases") or ())


def _wanted(context: Context, inputs: Values) -> Wanted:
    return Wanted(
        project=inputs["project"],
        region=inputs["region"],
        model_id=inputs["modelId"],
        display_name=inputs["displayName"],
        content={name: inputs[name] for name in CONTENT if inputs.get(name) is not None},
        labels=inputs["labels"],
        owner=context.urn,
        aliases=inputs["aliases"],
        service_account=inputs.get("serviceAccount"),
        kms_key=inputs.get("kmsKey"),
    )


def _names(name: str, version: Version) -> dict[str, Any]:
    return {"name": name, "versionId": version.id, "versionName": f"{name}@{version.id}"}


def _same_model(olds: Values, news: Values) -> bool:
    return all(olds.get(name) == news.get(name) for name in ("project", "region", "modelId"))


def _content_changes(outputs: Values, news: Values) -> bool:
    place = ("project", "region", "modelId", "kmsKey")
    if not _same_model(outputs, news) or not known({name: news.get(name) for name in (*place, *CONTENT)}):
        return True
    return container.fingerprint(outputs) != container.fingerprint(news)


def _live_inputs(version: Version, outputs: Values) -> dict[str, Any]:
    """The inputs that would make this version; what Vertex AI does not tell is as it was."""
    live = {name: value for name, value in version.content.items() if value not in ("", 0)}
    before = {name: outputs[name] for name in CONTENT if outputs.get(name) is not None}
    if before and models.holds(version, before):
        content = before
    else:
        content = {"args": [], "env": {}, "ports": [], **({} if "image" in live else before), **live}
    found = {**content, **_changeable(version, outputs)}
    if outputs.get("serviceAccount"):
        found["serviceAccount"] = outputs["serviceAccount"]
    if version.kms_key:
        found["kmsKey"] = version.kms_key
    return found


def _changeable(version: Version, outputs: Values) -> dict[str, Any]:
    """What a version has of all that can be changed; Vertex AI orders aliases as it likes."""
    live, before = set(version.aliases) - {DEFAULT_ALIAS}, outputs.get("aliases") or []
    aliases = [*(alias for alias in before if alias in live), *sorted(live - set(before))]
    return {"displayName": version.display_name, "labels": version.users_labels, "aliases": aliases}
