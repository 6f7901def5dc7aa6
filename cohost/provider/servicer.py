"""The provider protocol, once for all resources: decode, dispatch, encode, and report errors."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import grpc
from google.protobuf import any_pb2, empty_pb2

from cohost.errors import CohostError, InputError, Problem
from cohost.provider import properties
from cohost.provider.aws import Aws, AwsSettings
from cohost.provider.context import DEFAULT_TIMEOUT_S, Context
from cohost.provider.engine_log import EngineLog
from cohost.provider.google import Google, GoogleSettings
from cohost.provider.kept import Kept
from cohost.provider.protocol import plugin_pb2, provider_pb2, provider_pb2_grpc, status_pb2
from cohost.provider.resource import Change, PartialFailure, Resource
from cohost.provider.values import UNKNOWN, decode, encode

_SETTINGS: Final = ("profile", "roleArn", "impersonate")
# What the engine itself adds (pulumi/pulumi, pkg/resource/deploy/providers).
_ENGINE_KEYS: Final = frozenset({"version", "pluginDownloadURL", "__internal"})
_KIND: Final = {
    Change.ADD: provider_pb2.PropertyDiff.ADD,
    Change.DELETE: provider_pb2.PropertyDiff.DELETE,
    Change.UPDATE: provider_pb2.PropertyDiff.UPDATE,
    Change.REPLACE: provider_pb2.PropertyDiff.UPDATE_REPLACE,
}

Handler = TypeVar("Handler", bound=Callable[..., Any])


def _reporting(handler: Handler) -> Handler:
    """Turns whatever a handler raises into a status with a message for the user."""

    @wraps(handler)
    def wrapped(self: Servicer, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return handler(self, request, context)
        except CohostError as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            if type(error) is Exception and not error.args:  # what grpc's own abort raises
                raise
            traceback.print_exc(file=sys.stderr)
            context.abort(grpc.StatusCode.UNKNOWN, f"{type(error).__name__}: {error} (a defect of cohost)")

    return wrapped  # type: ignore[return-value]


class Servicer(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the resources of one provider.

    Args:
        resources: By type token.
        root: The project's folder.
        on_engine: Called with the engine's address when an engine that started this process says hello.
    """

    def __init__(
        self, resources: Mapping[str, Resource], root: Path, on_engine: Callable[[str], None] = lambda _: None
    ) -> None:
        self._resources = resources
        self._root = root
        self._on_engine = on_engine
        self._log = EngineLog()
        self._aws, self._gcp = Aws(), Google()
        self._kept = Kept()
        self._cancelled = threading.Event()
        self._attached = False

    # The plugin and its configuration

    @_reporting
    def Attach(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Connects an engine that did not start this process, and so does not end it."""
        self._attached = True
        self._cancelled.clear()
        self._log.connect(request.address)
        return empty_pb2.Empty()

    @_reporting
    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Learns the engine's address."""
        self._log.connect(request.engine_address)
        if not self._attached and request.engine_address:
            self._on_engine(request.engine_address)
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=True)

    @_reporting
    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The plugin's version."""
        return plugin_pb2.PluginInfo(version=version("cohost"))

    @_reporting
    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        """No schema: programs use `cohost.resources`."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    @_reporting
    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuses unknown settings, so that nobody puts keys into the state."""
        news = decode(request.news).values
        unknown = sorted(set(news) - set(_SETTINGS) - _ENGINE_KEYS)
        there_are = ", ".join(f"cohost:{name}" for name in _SETTINGS)
        message = f"there is no such setting; there are: {there_are}; keys and tokens come from the environment alone"
        found = [Problem("", name, message) for name in unknown]
        for name in _SETTINGS:
            if news.get(name) not in (None, UNKNOWN):
                found += properties.text(name, news[name])
        return _checked(request.news, found)

    @_reporting
    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Never a replacement: how the cloud is reached does not change what is there."""
        same = decode(request.olds).values == decode(request.news).values
        return provider_pb2.DiffResponse(changes=_changes(not same))

    @_reporting
    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Takes the settings; a run begins."""
        given = {name: value for name, value in decode(request.args).values.items() if value is not UNKNOWN}
        self._aws = Aws(AwsSettings(profile=given.get("profile"), role_arn=given.get("roleArn")))
        self._gcp = Google(GoogleSettings(impersonate=given.get("impersonate")))
        self._kept = Kept()
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    @_reporting
    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Ends running operations soon; each says what the next `up` does."""
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """Ends running operations soon, and begins no other."""
        self._cancelled.set()

    # The life cycle of a resource

    @_reporting
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Checks inputs; nothing is filled in."""
        olds = decode(request.olds).values or None
        resource, operation = self._begin(request, context, preview=True)
        self._kept.ask(request.urn)
        news = decode(request.news).values
        try:
            found = list(resource.check(operation, olds, news))
        except InputError as error:
            found = list(error.problems)
        return _checked(request.news, found)

    @_reporting
    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Compares what is with what shall be."""
        resource, operation = self._begin(request, context, preview=True)
        changes = resource.diff(operation, decode(request.olds).values, decode(request.news).values)
        ignored = set(request.ignoreChanges)
        changes = {path: change for path, change in changes.items() if not ignored & {path, _top(path)}}
        if Change.REPLACE not in changes.values():
            self._kept.stay(_token(request), request.urn, request.id)
        return provider_pb2.DiffResponse(
            changes=_changes(bool(changes)),
            diffs=sorted({_top(path) for path in changes}),
            replaces=sorted({_top(path) for path, change in changes.items() if change is Change.REPLACE}),
            detailedDiff={
                path: provider_pb2.PropertyDiff(kind=_KIND[change], inputDiff=True) for path, change in changes.items()
            },
            hasDetailedDiff=True,
        )

    @_reporting
    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Makes a resource, or tells what it would be."""
        resource, operation = self._begin(request, context, preview=request.preview)
        inputs = decode(request.properties)
        if request.preview:
            outputs = resource.preview(operation, None, inputs.values)
            return provider_pb2.CreateResponse(properties=encode(outputs, inputs.secrets))
        id = resource.identify(inputs.values)
        try:
            outputs = resource.create(operation, inputs.values)
        except PartialFailure as failure:
            _abort_partial(context, failure, id, inputs.secrets)
        self._kept.make(_token(request), id)
        return provider_pb2.CreateResponse(id=id, properties=encode(outputs, inputs.secrets))

    @_reporting
    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Changes a resource, or tells what it would be."""
        resource, operation = self._begin(request, context, preview=request.preview)
        olds, inputs = decode(request.olds).values, decode(request.news)
        if request.preview:
            outputs = resource.preview(operation, olds, inputs.values)
            return provider_pb2.UpdateResponse(properties=encode(outputs, inputs.secrets))
        try:
            outputs = resource.update(operation, olds, inputs.values)
        except PartialFailure as failure:
            _abort_partial(context, failure, request.id, inputs.secrets)
        return provider_pb2.UpdateResponse(properties=encode(outputs, inputs.secrets))

    @_reporting
    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Looks at what is really there."""
        resource, operation = self._begin(request, context, preview=True)
        before = decode(request.properties)
        state = resource.read(operation, request.id, before.values or None)
        if state is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=state.id,
            properties=encode(state.outputs, before.secrets),
            inputs=encode(state.inputs, before.secrets),
        )

    @_reporting
    def Delete(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Deletes a resource, unless the program asks for it by another record of the state."""
        resource, operation = self._begin(request, context, preview=False)
        if self._kept.holds(_token(request), request.id):
            operation.info(f"{request.id} stays: the program asks for it again, and only its old record goes")
            return empty_pb2.Empty()
        resource.delete(operation, decode(request.properties).values)
        return empty_pb2.Empty()

    def _begin(self, request: Any, context: grpc.ServicerContext, *, preview: bool) -> tuple[Resource, Context]:
        token = _token(request)
        resource = self._resources.get(token)
        if resource is None:
            raise CohostError(f"the plugin cohost has no resource {token}")
        timeout = getattr(request, "timeout", 0) or DEFAULT_TIMEOUT_S
        return resource, Context(
            urn=request.urn,
            root=self._root,
            aws=self._aws,
            log=self._log,
            cancelled=lambda: self._cancelled.is_set() or not context.is_active(),
            deadline=time.monotonic() + timeout,
            preview=preview,
            gcp=self._gcp,
        )


def _token(request: Any) -> str:
    return request.type or request.urn.split("::")[2].rpartition("$")[2]


def _checked(inputs: Any, found: list[Problem]) -> Any:
    failures = [provider_pb2.CheckFailure(property=problem.key, reason=_reason(problem)) for problem in found]
    return provider_pb2.CheckResponse(inputs=inputs, failures=failures)


def _reason(problem: Problem) -> str:
    return f"{problem.file}: {problem.message}" if problem.file else problem.message


def _changes(some: bool) -> Any:
    return provider_pb2.DiffResponse.DIFF_SOME if some else provider_pb2.DiffResponse.DIFF_NONE


def _top(path: str) -> str:
    return path.partition("[")[0]


def _abort_partial(
    context: grpc.ServicerContext, failure: PartialFailure, id: str, secrets: Collection[str]
) -> NoReturn:
    """Ends the call so that the engine keeps the resource, with what is true of it now.

    The inputs are not sent: the engine takes them from the program, and looks at those of an error after Read only.
    """
    detail = any_pb2.Any()
    outputs = encode(failure.outputs, secrets)
    detail.Pack(provider_pb2.ErrorResourceInitFailed(id=id, properties=outputs, reasons=[str(failure)]))
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=str(failure), details=[detail])
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(failure))
    raise AssertionError("abort always raises")
