"""`cohost:vertex:EndpointDrain`: an endpoint that is deleted has nothing deployed on it.

Google refuses to delete an endpoint with a deployed model, and the gcp provider undeploys nothing. This resource
depends on the endpoint and is deleted before it: then it undeploys what no state knows, such as what somebody
deployed by hand or what an interrupted run began.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cohost.errors import DeploymentError, Problem
from cohost.provider import properties
from cohost.provider.context import Context
from cohost.provider.resource import Change, State, Values
from cohost.provider.vertex import checks, traffic
from cohost.provider.vertex.traffic import Endpoint, EndpointName

_FIELDS: Final = {"project": checks.project, "region": checks.region, "endpoint": traffic.endpoint_name}


class EndpointDrain:
    """Does nothing until it is deleted."""

    def identify(self, inputs: Values) -> str:
        """The endpoint's full name."""
        return inputs["endpoint"]

    def check(self, context: Context, olds: Values | None, news: Values) -> Iterator[Problem]:
        """Checks the inputs."""
        return properties.problems(news, _FIELDS)

    def diff(self, context: Context, outputs: Values, news: Values) -> Mapping[str, Change]:
        """Another endpoint is another drain: the one of before is drained before it goes."""
        return properties.compare(outputs, news, fields=_FIELDS, replacing=_FIELDS)

    def preview(self, context: Context, outputs: Values | None, news: Values) -> Values:
        """The inputs are the outputs."""
        return dict(news)

    def create(self, context: Context, inputs: Values) -> Values:
        """Nothing."""
        return dict(inputs)

    def update(self, context: Context, outputs: Values, inputs: Values) -> Values:
        """Nothing."""
        return dict(inputs)

    def read(self, context: Context, id: str, outputs: Values | None) -> State | None:
        """A drain is always there; an import is of the endpoint's full name."""
        if outputs is not None:
            return State(id, {name: outputs[name] for name in _FIELDS if name in outputs}, outputs)
        name = EndpointName.parse(id)
        if name is None:
            raise DeploymentError(
                f"the id to import is projects/<project>/locations/<region>/endpoints/<id>, not {id!r}"
            )
        if traffic.look(context, name.region, id) is None:
            return None
        found = {"project": name.project, "region": name.region, "endpoint": id}
        return State(id, found, found)

    def delete(self, context: Context, outputs: Values) -> None:
        """Undeploys whatever is on the endpoint and waits; an endpoint that is gone has nothing."""
        region, name = outputs["region"], outputs["endpoint"]
        while endpoint := _occupied(context, region, name):
            shares = endpoint.split
            id = min(endpoint.deployed, key=lambda id: (shares.get(id, 0), id))
            what = endpoint.deployed[id].get("displayName") or endpoint.deployed[id].get("model", "")
            if traffic.undeploy(context, region, name, id):
                context.info(f"undeployed {id} ({what}), which was still on the endpoint")


def _occupied(context: Context, region: str, name: str) -> Endpoint | None:
    """The endpoint once nothing runs on it any more, if something is deployed on it."""
    traffic.settle(context, region, name)
    endpoint = traffic.look(context, region, name)
    return endpoint if endpoint and endpoint.deployed else None
