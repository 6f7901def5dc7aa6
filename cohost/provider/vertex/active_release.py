"""`cohost:vertex:ActiveRelease`: the release that callers get, verified on a share of the calls before it is active.

It owns the endpoint's traffic split; nothing else gives a deployed model calls.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from cohost.errors import CohostError, DeploymentError, Problem
from cohost.provider import current as active
from cohost.provider import properties
from cohost.provider.artifact_set import DEFAULT_CATALOG
from cohost.provider.context import Context
from cohost.provider.current import Current
from cohost.provider.resource import Change, State, Values
from cohost.provider.sources import ModelSources
from cohost.provider.values import UNKNOWN, known
from cohost.provider.vertex import checks, private, traffic, verification
from cohost.provider.vertex.traffic import ALL, Endpoint, EndpointName, Split
from cohost.release import CURRENT_KEY, Release, for_vertex, release_key

if TYPE_CHECKING:
    from cohost.client.vertex import VertexTransport
    from cohost.store import ObjectStore

DEFAULT_PROBE: Final = 5
# To put the split back, also for an operation whose own time is over.
_GRACE_S: Final = 60.0


def _percent(least: int, most: int) -> properties.Validator:
    def validate(path: str, value: Any) -> Iterator[Problem]:
        if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer():
            yield Problem("", path, f"is {value!r}; a whole number is expected")
        elif not least <= value <= most:
            yield Problem("", path, f"is {value:g}; {least} to {most} percent are expected")

    return validate


_CANARY: Final = {
    "weight": _percent(0, ALL - 1),
    "stableDeployedModel": properties.text,
    "stableRelease": properties.digest,
}


def _canary(path: str, value: Any) -> Iterator[Problem]:
    if not isinstance(value, Mapping):
        yield Problem("", path, f"is {value!r}; {', '.join(_CANARY)} are expected")
        return
    for problem in properties.problems(value, _CANARY):
        yield Problem("", f"{path}.{problem.key}", problem.message)


_FIELDS: Final = {
    "project": checks.project,
    "region": checks.region,
    "store": checks.store_url,
    "catalog": properties.text,
    "endpoint": traffic.endpoint_name,
    "deployedModel": properties.text,
    "models": properties.digests,
    "release": properties.digest,
    "probePercent": _percent(1, ALL),
    "canary": _canary,
    "gpu": properties.flag,
    "address": private.address,
}
_OPTIONAL: Final = ("canary", "address")


class VertexActiveRelease:
    """Writes `releases/current.json` once the new deployed model has answered for each changed model.

    What failed changes nothing: the split is put back, and the release before stays active. While there is a canary,
    the active release is the stable one, which most calls come to.
    """

    def identify(self, inputs: Values) -> str:
        """The store's URL: a store has one active release."""
        return inputs["store"]

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, and that the release is the one that the models make."""
        found = list(checks.problems(news, _FIELDS, optional=_OPTIONAL))
        yield from found
        if found:
            return
        if known(news["models"]) and news["release"] not in (UNKNOWN, Release(news["models"]).digest):
            yield Problem("", "release", "is not the digest of `models`; give both from one ArtifactSet")
        stable = _member(news, "stableDeployedModel")
        if stable is not None and stable is not UNKNOWN and stable == news["deployedModel"]:
            yield Problem("", "canary.stableDeployedModel", "is `deployedModel` itself; leave `canary` out")

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """One entry for each changed model; a split that was changed by hand stands in the outputs as a canary."""
        return properties.compare(outputs, news, fields=_FIELDS, replacing=("store",))

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The inputs, and what will be active."""
        return _outputs(news)

    def create(self, context: Context, inputs: Values) -> Values:
        """Verifies every model and that the GPU is used, then activates."""
        return _release(context, None, inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Verifies what changed, then activates."""
        return _release(context, outputs, inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """What `current.json` says now and who gets the calls; an import takes the rest from there too."""
        current = active.read_current(context.gcp.store(id))
        if current is None:
            return None
        name = EndpointName.parse(current.release.endpoint)
        if name is None:
            raise DeploymentError(f"{id}/{CURRENT_KEY} is no release of a Vertex AI endpoint")
        endpoint = traffic.look(context, name.region, current.release.endpoint)
        split = endpoint.split if endpoint else {}
        found = dict(outputs) if outputs else _imported(id, name, split)
        found["endpoint"] = current.release.endpoint
        if current.release.release != found.get("activated"):
            found["release"] = current.release.release
            found["models"] = {model: target.digest for model, target in current.release.models.items()}
        found |= _canary_of(found, split)
        inputs = {field: found[field] for field in _FIELDS if found.get(field) is not None}
        return State(id, inputs, {**inputs, "activated": current.release.release})

    def delete(self, context: Context, outputs: Values) -> None:
        """Takes this endpoint's release away, so that no caller is sent to an endpoint that is going."""
        store = context.gcp.store(outputs["store"])
        current = active.read_current(store)
        if current is not None and current.release.endpoint == outputs["endpoint"]:
            store.delete(CURRENT_KEY)


def _outputs(inputs: Values) -> dict[str, Any]:
    given = {name: inputs[name] for name in _FIELDS if inputs.get(name) is not None}
    return {**given, "activated": _activated(inputs)}


def _activated(inputs: Values) -> Any:
    """The release that is active then: with a canary the stable one."""
    if inputs.get("canary") is UNKNOWN:
        return UNKNOWN
    return _member(inputs, "stableRelease") or inputs["release"]


def _member(inputs: Values, name: str) -> Any:
    """A member of the canary, or None when there is no canary, or none known yet."""
    canary = inputs.get("canary")
    return canary.get(name) if isinstance(canary, Mapping) else None


def _weight(inputs: Values) -> int:
    """The share that the deployed model shall have."""
    weight = _member(inputs, "weight")
    return ALL if weight is None else int(weight)


def _wanted(inputs: Values) -> dict[str, int]:
    """The split that the inputs ask for."""
    weight = _weight(inputs)
    shares = {inputs["deployedModel"]: weight}
    if weight < ALL:
        shares[_member(inputs, "stableDeployedModel")] = ALL - weight
    return {id: share for id, share in shares.items() if share}


def _release(context: Context, before: Values | None, inputs: Values) -> dict[str, Any]:
    region, name = inputs["region"], inputs["endpoint"]
    store = context.gcp.store(inputs["store"])
    current = active.read_current(store)
    endpoint = traffic.needed(context, region, name)
    wanted, models = _wanted(inputs), _active_models(store, current, inputs)
    traffic.ensure_deployed(endpoint, wanted)
    sources = ModelSources(context.root / inputs["catalog"], store)
    with _put_back(context, before, inputs, endpoint, current):
        _verify(context, before, inputs, endpoint, current, sources)
        signatures = sources.signatures(active.known_inputs(store, current, models), models)
        context.ensure_running("activating the release")
        traffic.set_split(context, region, name, wanted)
        active.activate(store, for_vertex(models, name), current, signatures)
    shares = ", ".join(f"{share} % to {id}" for id, share in wanted.items())
    context.status(f"release {_activated(inputs)[:12]} is active: {shares}", last=True)
    return _outputs(inputs)


def _active_models(store: ObjectStore, current: Current | None, inputs: Values) -> dict[str, str]:
    """Digest by name of the models that callers shall get.

    Raises:
        DeploymentError: The stable release is not known, or the canary could not answer for all of its models.
    """
    stable = _member(inputs, "stableRelease")
    if stable is None:
        return dict(inputs["models"])
    models = _models_of(store, current, stable)
    absent = sorted(set(models) - set(inputs["models"]))
    if absent and _weight(inputs) > 0:
        raise DeploymentError(
            f"the canary does not have {', '.join(absent)}, which callers of the stable release ask for: "
            "add what is missing, or take `canary` out"
        )
    return models


def _models_of(store: ObjectStore, current: Current | None, release: str) -> dict[str, str]:
    from cohost.store import ObjectNotFound

    if current is not None and current.release.release == release:
        return {name: target.digest for name, target in current.release.models.items()}
    try:
        models = json.loads(store.get(release_key(release))[0])["models"]
        if Release(models).digest == release:
            return models
    except ObjectNotFound:
        pass
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeploymentError(f"{store.url}/{release_key(release)} is no release: {error}") from error
    raise DeploymentError(
        f"the store {store.url} has no release {release}: give `canary.stable` one that was active before"
    )


def _verify(
    context: Context,
    before: Values | None,
    inputs: Values,
    endpoint: Endpoint,
    current: Current | None,
    sources: ModelSources,
) -> None:
    """Gives the deployed model its probe share, and asks it."""
    models = _to_verify(before, inputs, current)
    if not models:
        return
    id, tests = inputs["deployedModel"], sources.smoke_tests(models)
    with closing(_transport(context, inputs, endpoint)) as transport:
        probe = int(inputs["probePercent"])
        split = endpoint.split
        if split.get(id, 0) < probe:
            split = traffic.shared(split, id, probe)
            traffic.set_split(context, inputs["region"], endpoint.name, split)
        probed = verification.Probed(id, split[id])
        verification.verify(context, transport, probed, models, tests)
        if inputs["gpu"] and not _serving(inputs, current):
            verification.ensure_gpu_used(context, transport, id)


def _transport(context: Context, inputs: Values, endpoint: Endpoint) -> VertexTransport:
    """The way to the endpoint, which is looked for first where only some networks have one."""
    from cohost.client.vertex import VertexTransport

    address = inputs.get("address")
    transport = VertexTransport(
        endpoint.name,
        dedicated_dns=endpoint.dns or None,
        private_address=address,
        credentials=context.gcp.credentials(),
    )
    if address:
        private.ensure_reachable(context, endpoint, transport.url)
    return transport


def _to_verify(before: Values | None, inputs: Values, current: Current | None) -> dict[str, str]:
    """Digest by name of the models that the deployed model must answer for.

    Those that differ from what callers get now; all of them when nothing differs but the deployment itself.
    """
    models = inputs["models"]
    if _weight(inputs) == 0:
        return {}
    if _is_verified(before, inputs):
        serving = (before or {}).get("models") or {}
        return {name: digest for name, digest in models.items() if serving.get(name) != digest}
    serving = _serving(inputs, current)
    return {name: digest for name, digest in models.items() if serving.get(name) != digest} or dict(models)


def _is_verified(before: Values | None, inputs: Values) -> bool:
    """Whether the deployed model has got its share before, and so has answered."""
    if before is None or _weight(before) == 0:
        return False
    return all(before.get(name) == inputs[name] for name in ("endpoint", "deployedModel"))


def _serving(inputs: Values, current: Current | None) -> dict[str, str]:
    """Digest by name of the models that callers of this endpoint get now; a first release finds none."""
    if current is None or current.release.endpoint != inputs["endpoint"]:
        return {}
    return {name: target.digest for name, target in current.release.models.items()}


@contextmanager
def _put_back(
    context: Context, before: Values | None, inputs: Values, endpoint: Endpoint, current: Current | None
) -> Iterator[None]:
    """Puts the split back as it was when what is inside fails, also when it was cancelled.

    Raises:
        DeploymentError: What is inside failed; with what else is left, or that this failed too.
    """
    try:
        yield
    except Exception as error:
        brief = replace(context, cancelled=lambda: False, deadline=time.monotonic() + _GRACE_S)
        split = _split_before(before, inputs, endpoint, current)
        try:
            traffic.set_split(brief, inputs["region"], endpoint.name, split)
        except CohostError as another:
            raise DeploymentError(f"{error}; and the traffic split was not put back: {another}") from error
        if isinstance(error, DeploymentError) and inputs["deployedModel"] not in split:
            raise DeploymentError(f"{error}\n{_left(endpoint.name, inputs['deployedModel'], split)}") from error
        raise


def _left(endpoint: str, id: str, split: Split) -> str:
    """What a failed release leaves, which is not undeployed here: it is a resource of its own (decision 011)."""
    serving = ", ".join(sorted(split)) or "nobody"
    return (
        f"{serving} answers all calls; {id} stays deployed without any, and costs: the next `up` asks it again, or "
        f"undeploys it once another release is active; sooner: {traffic.undeploying(endpoint, id)}"
    )


def _split_before(before: Values | None, inputs: Values, endpoint: Endpoint, current: Current | None) -> dict[str, int]:
    """The split without a deployed model that is not verified, which a killed run may have given calls."""
    id = inputs["deployedModel"]
    if _is_verified(before, inputs):
        return dict(endpoint.split)
    rest = traffic.without(endpoint.split, id)
    if rest:
        return rest
    if before is None or not before.get("deployedModel"):
        # An active release of this endpoint that the state does not know: who has all calls is who answers them.
        return dict(endpoint.split) if _serving(inputs, current) else {}
    wanted = _wanted(before)
    return wanted if set(wanted) <= set(endpoint.deployed) - {id} else {}


def _canary_of(found: Values, split: Split) -> dict[str, Any]:
    """The split in the words of the inputs, when it is not the one that was set: nothing then makes them equal."""
    if split == _wanted(found):
        return {}
    id = found["deployedModel"]
    others = sorted((other for other in split if other != id), key=lambda other: (-split[other], other))
    canary = {
        "weight": split.get(id, 0),
        "stableDeployedModel": ", ".join(others),
        "stableRelease": _member(found, "stableRelease") or "",
    }
    return {"canary": canary}


def _imported(store: str, name: EndpointName, split: Split) -> dict[str, Any]:
    """What neither `current.json` nor the endpoint tells is what a program says that says nothing else."""
    return {
        "project": name.project,
        "region": name.region,
        "store": store,
        "catalog": DEFAULT_CATALOG,
        "deployedModel": max(split, key=lambda id: (split[id], id), default=""),
        "probePercent": DEFAULT_PROBE,
        "gpu": True,
    }
