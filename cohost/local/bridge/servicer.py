"""The provider protocol: requests of the engine turned into calls on the resource types."""

from __future__ import annotations

import abc
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

from google.protobuf.empty_pb2 import Empty

from cohost.errors import CohostError
from cohost.local.bridge import checks, differences, properties, states
from cohost.local.bridge.reporting import Unfinished, reported
from cohost.local.bridge.resource import Change, Gone, Resource
from cohost.local.bridge.wire import to_dict, to_struct
from cohost.provider.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc

S = TypeVar("S")
_MODES: Final = {
    provider_pb2.CheckRequest.AutonamingOptions.PROPOSE: checks.Mode.PROPOSED,
    provider_pb2.CheckRequest.AutonamingOptions.ENFORCE: checks.Mode.ENFORCED,
    provider_pb2.CheckRequest.AutonamingOptions.DISABLE: checks.Mode.DISABLED,
}
_KINDS: Final = {
    differences.Kind.ADD: (provider_pb2.PropertyDiff.ADD, provider_pb2.PropertyDiff.ADD_REPLACE),
    differences.Kind.DELETE: (provider_pb2.PropertyDiff.DELETE, provider_pb2.PropertyDiff.DELETE_REPLACE),
    differences.Kind.UPDATE: (provider_pb2.PropertyDiff.UPDATE, provider_pb2.PropertyDiff.UPDATE_REPLACE),
}


class BridgedProvider(provider_pb2_grpc.ResourceProviderServicer, abc.ABC, Generic[S]):
    """Serves one engine; a process that several provider instances share uses the last configuration.

    Attributes:
        package: The Pulumi package ("aws").
        version: The version of the provider emulated.
        resources: The resource types by token.
        failures: What the cloud's client raises, beside the project's own errors.
    """

    package: ClassVar[str]
    version: ClassVar[str]
    resources: ClassVar[Mapping[str, Resource]]
    failures: ClassVar[tuple[type[Exception], ...]]

    def __init__(self) -> None:
        self._session: S | None = None
        self._cancelled = threading.Event()

    @abc.abstractmethod
    def session(self, given: Mapping[str, Any], cancelled: threading.Event) -> S:
        """Returns the configured provider.

        Args:
            given: The provider's configuration.
            cancelled: Set when the deployment is cancelled; ends every wait.

        Raises:
            CohostError: It would talk to something that is not on this machine.
        """

    @abc.abstractmethod
    def call_of(self, session: S, resource: Resource, given: Mapping[str, Any], timeout: float) -> Any:
        """Returns what a resource type is given for one request.

        Args:
            session: The configured provider.
            resource: The type.
            given: The resource's properties as far as they are known.
            timeout: Seconds that it may take; 0 = the type's own limit.
        """

    @abc.abstractmethod
    def invoke(self, session: S, token: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Returns what a function answers."""

    def default_labels(self, session: S) -> Mapping[str, str]:
        """Returns the labels that every resource gets by the provider's configuration."""
        return {}

    @reported
    def Handshake(self, request: Any) -> Any:
        """Tells what this provider can do with what the engine can."""
        return provider_pb2.ProviderHandshakeResponse(supports_autonaming_configuration=True)

    @reported
    def Attach(self, request: Any) -> Any:
        """Takes note of an engine; nothing is sent to it."""
        return Empty()

    @reported
    def GetPluginInfo(self, request: Any) -> Any:
        """Tells the version of the provider emulated."""
        return plugin_pb2.PluginInfo(version=self.version)

    @reported
    def GetSchema(self, request: Any) -> Any:
        """Gives no schema: programs use the Pulumi package."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    @reported
    def CheckConfig(self, request: Any) -> Any:
        """Takes the configuration as it is."""
        return provider_pb2.CheckResponse(inputs=request.news)

    @reported
    def DiffConfig(self, request: Any) -> Any:
        """No change of the configuration replaces anything."""
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    @reported
    def Configure(self, request: Any) -> Any:
        """Takes the configuration and refuses to talk to anything but this machine."""
        given = to_dict(request.args) or dict(request.variables)
        self._cancelled = threading.Event()
        self._session = self.session(given, self._cancelled)
        return provider_pb2.ConfigureResponse(supportsPreview=True, supports_autonaming_configuration=True)

    @reported
    def Check(self, request: Any) -> Any:
        """Completes and checks a resource's inputs."""
        resource = self._resource(request.urn)
        naming = _naming(request)
        known = properties.inputs(resource.token)
        labels = self.default_labels(self._configured())
        olds, news = to_dict(request.olds), to_dict(request.news)
        inputs, failures = checks.check(resource, known, olds, news, naming, labels)
        return provider_pb2.CheckResponse(
            inputs=to_struct(inputs),
            failures=[provider_pb2.CheckFailure(property=f.property, reason=f.reason) for f in failures],
        )

    @reported
    def Diff(self, request: Any) -> Any:
        """Compares a resource with its new inputs."""
        resource = self._resource(request.urn)
        found = _difference(resource, request)
        some = provider_pb2.DiffResponse.DIFF_SOME if found.changes else provider_pb2.DiffResponse.DIFF_NONE
        detailed = {
            path: provider_pb2.PropertyDiff(kind=_KINDS[kind][path in found.replaces], inputDiff=False)
            for path, kind in found.changes.items()
        }
        return provider_pb2.DiffResponse(
            changes=some,
            diffs=sorted(found.names),
            replaces=sorted({differences.top(path) for path in found.replaces}),
            deleteBeforeReplace=found.delete_first,
            detailedDiff=detailed,
            hasDetailedDiff=True,
        )

    @reported
    def Create(self, request: Any) -> Any:
        """Creates a resource; what fails before it has an id is not recorded, as with the real provider."""
        resource, inputs = self._resource(request.urn), to_dict(request.properties)
        if request.preview:
            return provider_pb2.CreateResponse(properties=to_struct(states.planned(resource, inputs)))
        inputs = checks.with_name(resource, inputs)
        known = states.given(inputs)
        call = self._call(resource, inputs, request.timeout)
        resource_id = resource.create(call, known)
        recorded: dict[str, Any] = {}
        try:
            recorded = states.outputs(resource, inputs, self._read(resource, call, resource_id, known))
            resource.complete(call, resource_id, known)
            recorded = states.outputs(resource, inputs, self._read(resource, call, resource_id, known))
        except (*self.failures, Gone) as error:
            raise Unfinished(resource_id, recorded | known, inputs, str(error)) from error
        return provider_pb2.CreateResponse(id=resource_id, properties=to_struct(recorded))

    @reported
    def Read(self, request: Any) -> Any:
        """Reads a resource for a refresh or, without a state, an import; one that is gone has no id."""
        resource, resource_id = self._resource(request.urn), request.id
        state, old_inputs = to_dict(request.properties), to_dict(request.inputs)
        known = state
        if not state:
            resource_id, known = resource.imported(request.id)
        call = self._call(resource, known or old_inputs, request.timeout)
        try:
            actual = self._read(resource, call, resource_id, known)
        except (*self.failures, Gone) as error:
            if resource.is_gone(error):
                return provider_pb2.ReadResponse()
            raise
        recorded = states.outputs(resource, known, actual)
        refreshed = states.refreshed_inputs(old_inputs, recorded)
        inputs = refreshed if state else states.imported_inputs(resource, recorded)
        return provider_pb2.ReadResponse(id=resource_id, properties=to_struct(recorded), inputs=to_struct(inputs))

    @reported
    def Update(self, request: Any) -> Any:
        """Changes a resource in place; a failed change leaves the new inputs recorded with the reason."""
        resource = self._resource(request.urn)
        old, new = to_dict(request.olds), to_dict(request.news)
        for name in request.ignoreChanges:
            if name in old:
                new[name] = old[name]
        planned = states.planned_update(resource, old, new)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=to_struct(planned))
        call = self._call(resource, new, request.timeout)
        change = Change(old, states.given(new), _difference(resource, request).names)
        try:
            resource.update(call, request.id, change)
            recorded = states.outputs(resource, new, self._read(resource, call, request.id, planned))
        except (*self.failures, Gone) as error:
            raise Unfinished(request.id, planned, new, str(error)) from error
        return provider_pb2.UpdateResponse(properties=to_struct(recorded))

    @reported
    def Delete(self, request: Any) -> Any:
        """Deletes a resource; one that is gone already is deleted."""
        resource, state = self._resource(request.urn), to_dict(request.properties)
        try:
            resource.delete(self._call(resource, state, request.timeout), request.id, state)
        except (*self.failures, Gone) as error:
            if not resource.is_gone(error):
                raise
        return Empty()

    @reported
    def Invoke(self, request: Any) -> Any:
        """Answers the functions the stacks use."""
        answer = self.invoke(self._configured(), request.tok, to_dict(request.args))
        response = provider_pb2.InvokeResponse()
        getattr(response, "return").CopyFrom(to_struct(answer))
        return response

    @reported
    def Cancel(self, request: Any) -> Any:
        """Ends every wait."""
        self._cancelled.set()
        return Empty()

    def _configured(self) -> S:
        if self._session is None:
            raise CohostError(f"the {self.package} provider is not configured yet")
        return self._session

    def _call(self, resource: Resource, given: Mapping[str, Any], timeout: float) -> Any:
        return self.call_of(self._configured(), resource, given, timeout)

    def _read(self, resource: Resource, call: Any, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        actual = resource.read(call, resource_id, known)
        actual |= {place: getattr(call, place) for place in resource.places}
        if resource.name and resource.name.prefix:
            actual[resource.name.prefix] = checks.prefix_of(actual[resource.name.property])
        return actual | resource.copied(actual)

    def _resource(self, urn: str) -> Resource:
        token = urn.split("::")[2].rpartition("$")[2]
        if token not in self.resources:
            known = ", ".join(sorted(self.resources))
            raise NotImplementedError(f"{token} is not supported here; supported are {known}")
        return self.resources[token]


def _difference(resource: Resource, request: Any) -> differences.Difference:
    """Compares what a request to diff or to update says there is with what it wants."""
    return differences.compare(
        resource,
        to_dict(request.olds),
        to_dict(request.old_inputs),
        to_dict(request.news),
        frozenset(request.ignoreChanges),
    )


def _naming(request: Any) -> checks.Naming:
    if not request.HasField("autonaming"):
        return checks.Naming(request.urn, request.randomSeed)
    options = request.autonaming
    return checks.Naming(request.urn, request.randomSeed, _MODES[options.mode], options.proposed_name)
