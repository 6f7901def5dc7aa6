"""`cohost:sagemaker:ActiveRelease`: the release that callers get, verified on the live endpoint before it is active."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from cohost.errors import DeploymentError, Problem
from cohost.provider import current as active
from cohost.provider import endpoints, gpu, properties, verification
from cohost.provider.artifact_set import DEFAULT_CATALOG
from cohost.provider.aws import own_words
from cohost.provider.context import Context
from cohost.provider.endpoints import Endpoint
from cohost.provider.resource import Change, PartialFailure, State, Values
from cohost.provider.sources import ModelSources
from cohost.provider.values import UNKNOWN, known
from cohost.release import CURRENT_KEY, Release, for_sagemaker

_FIELDS: Final = {
    "region": properties.text,
    "store": properties.store_url,
    "catalog": properties.text,
    "endpoint": properties.text,
    "endpointConfig": properties.text,
    "variant": properties.text,
    "models": properties.digests,
    "release": properties.digest,
    "gpu": properties.flag,
}
# In the outputs after an update that SageMaker took back: the configuration it did not keep.
_ROLLED_BACK: Final = "rolledBack"


class SageMakerActiveRelease:
    """Writes `releases/current.json` once the endpoint runs the declared configuration and each changed model answers.

    A fleet that changed is asked every model. What failed changes nothing: the release before stays active.
    """

    def identify(self, inputs: Values) -> str:
        """The store's URL: a store has one active release."""
        return inputs["store"]

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs, and that the release is the one that the models make."""
        found = list(properties.problems(news, _FIELDS))
        yield from found
        models, release = news.get("models"), news.get("release")
        if not found and known(models) and release not in (UNKNOWN, Release(news["models"]).digest):
            yield Problem("", "release", "is not the digest of `models`; give both from one ArtifactSet")

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """One entry for each changed model."""
        return properties.compare(outputs, news, fields=_FIELDS, replacing=("store",))

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The inputs are the outputs."""
        return dict(news)

    def create(self, context: Context, inputs: Values) -> Values:
        """Verifies every model and that the GPU is used, then activates."""
        return self._release(context, None, inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Verifies what changed, then activates; an endpoint update that SageMaker took back before is tried again."""
        return self._release(context, outputs, inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """What `current.json` says now and the endpoint runs; an import takes the rest from there too."""
        region = outputs["region"] if outputs else active.bucket_region(context, id)
        current = active.read_current(context.aws.store(id, region))
        if current is None:
            return None
        endpoint = endpoints.describe(context.aws.client("sagemaker", region), current.release.endpoint)
        found = {
            **(outputs or _imported(id, region, endpoint)),
            "endpoint": current.release.endpoint,
            "endpointConfig": endpoint.config if endpoint else "",
            "models": {name: model.digest for name, model in current.release.models.items()},
            "release": current.release.release,
        }
        # An update that was taken back is the aws provider's to try again, once it has looked at the endpoint too.
        found.pop(_ROLLED_BACK, None)
        return State(id, found, found)

    def delete(self, context: Context, outputs: Values) -> None:
        """Takes this endpoint's release away, so that no caller is sent to an endpoint that is going."""
        store = context.aws.store(outputs["store"], outputs["region"])
        current = active.read_current(store)
        if current is not None and current.release.endpoint == outputs["endpoint"]:
            store.delete(CURRENT_KEY)

    def _release(self, context: Context, before: Values | None, inputs: Values) -> Values:
        region, endpoint = inputs["region"], inputs["endpoint"]
        store = context.aws.store(inputs["store"], region)
        sources = ModelSources(context.root / inputs["catalog"], store)
        current = active.read_current(store)
        _ensure_fleet(context, before, inputs)
        _verify(context, before, inputs, sources)
        if inputs["gpu"] and not _models(before):
            gpu.ensure_used(context, region=region, endpoint=endpoint, variant=inputs["variant"])
        signatures = sources.signatures(active.known_inputs(store, current, inputs["models"]), inputs["models"])
        context.ensure_running("activating the release")
        active.activate(store, for_sagemaker(inputs["models"], endpoint), current, signatures)
        context.status(f"release {inputs['release'][:12]} is active", last=True)
        return {name: inputs[name] for name in _FIELDS}


def _verify(context: Context, before: Values | None, inputs: Values, sources: ModelSources) -> None:
    models = _to_verify(before, inputs)
    tests = sources.smoke_tests(models)
    transport = context.aws.runtime(inputs["endpoint"], inputs["region"])
    try:
        verification.verify(context, transport, models, tests)
    finally:
        transport.close()


def _models(outputs: Values | None) -> Mapping[str, str]:
    """Digest by name of the models that were verified; a failed first release has none."""
    return (outputs or {}).get("models") or {}


def _to_verify(before: Values | None, inputs: Values) -> dict[str, str]:
    """Digest by name of the models that this endpoint, as it is, has not yet answered for."""
    same_fleet = before is not None and all(before.get(name) == inputs[name] for name in ("endpoint", "endpointConfig"))
    verified = _models(before) if same_fleet else {}
    return {name: digest for name, digest in inputs["models"].items() if verified.get(name) != digest}


def _ensure_fleet(context: Context, before: Values | None, inputs: Values) -> None:
    """Makes sure that the endpoint runs the declared configuration.

    The aws provider reports an update that SageMaker took back as done (hashicorp/terraform-provider-aws#48997), and
    never tries it again. So it fails here, and is tried again here by the next `up`.

    Raises:
        PartialFailure: SageMaker took the update back.
        DeploymentError: There is no such endpoint, or it is not in service.
    """
    name, wanted = inputs["endpoint"], inputs["endpointConfig"]
    client = context.aws.client("sagemaker", inputs["region"])
    endpoint = endpoints.settled(context, client, name)
    again = before is not None and before.get(_ROLLED_BACK) == wanted
    if again and endpoint is not None and endpoint.status == endpoints.IN_SERVICE and endpoint.config != wanted:
        endpoint = _try_again(context, client, endpoint, wanted)
    if endpoint is None:
        raise DeploymentError(f"there is no endpoint {name} in {inputs['region']}: refresh, then `up`")
    if endpoint.status == endpoints.IN_SERVICE and endpoint.config != wanted:
        outputs = before or {**inputs, "models": {}, "release": "", "endpointConfig": endpoint.config}
        raise PartialFailure(
            f"SageMaker took the endpoint update back: {endpoint.failure or 'no reason given'}; {name} serves on with "
            f"{endpoint.config} and the release before; the next `up` tries {wanted} again",
            {**outputs, _ROLLED_BACK: wanted},
        )
    if endpoint.status != endpoints.IN_SERVICE:
        raise DeploymentError(f"the endpoint {name} is {endpoint.status}: {endpoint.failure or 'no reason given'}")


def _try_again(context: Context, client: Any, endpoint: Endpoint, wanted: str) -> Endpoint | None:
    context.info(f"trying the update of {endpoint.name} to {wanted} again")
    with own_words(f"updating the endpoint {endpoint.name}"):
        client.update_endpoint(EndpointName=endpoint.name, EndpointConfigName=wanted, RetainDeploymentConfig=True)
    return endpoints.settled(context, client, endpoint.name)


def _imported(store: str, region: str, endpoint: Endpoint | None) -> dict[str, Any]:
    """What neither `current.json` nor the endpoint tells is what a program says that says nothing else."""
    variant = endpoint.variant if endpoint else ""
    return {"region": region, "store": store, "catalog": DEFAULT_CATALOG, "variant": variant, "gpu": True}
