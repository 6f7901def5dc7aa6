"""The two gRPC services a Pulumi program (and a provider) speaks to: ResourceMonitor and Engine.

The protocol: pulumi/pulumi, proto/pulumi/{resource,engine}.proto. What is not served here is refused by name.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    provider_pb2,
    resource_pb2,
    resource_pb2_grpc,
)

from cohost.engine.deployment import Deployment, Stopped
from cohost.engine.goal import Refused, parse_goal
from cohost.engine.model import Stack
from cohost.engine.provider import GRPC_OPTIONS, ProviderError
from cohost.engine.report import Reporter, Severity
from cohost.engine.values import from_struct, to_struct

# Each registration holds a thread until its provider call has ended.
_THREADS: Final = 256
_FEATURES: Final = (
    resource_pb2.RESOURCE_MONITOR_FEATURE_SECRETS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_DELETED_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ALIAS_SPECS,
    # Not supported, only claimed: the SDK then sends them and is refused here by name; it would advise another CLI.
    resource_pb2.RESOURCE_MONITOR_FEATURE_REPLACE_WITH,
    resource_pb2.RESOURCE_MONITOR_FEATURE_TRANSFORMS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_INVOKE_TRANSFORMS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_PARAMETERIZATION,
    resource_pb2.RESOURCE_MONITOR_FEATURE_RESOURCE_HOOKS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_ERROR_HOOKS,
    resource_pb2.RESOURCE_MONITOR_FEATURE_STATE_MIGRATIONS,
)
_SEVERITIES: Final[dict[int, Severity]] = {
    engine_pb2.DEBUG: "debug",
    engine_pb2.INFO: "info",
    engine_pb2.WARNING: "warning",
    engine_pb2.ERROR: "error",
}


def _refusing(words: str) -> Any:
    """A method that refuses what a program asks for."""

    def refuse(self: Monitor, request: Any, context: grpc.ServicerContext) -> NoReturn:
        self.refuse(context, f"the embedded engine does not support {words} ({getattr(request, 'name', '')})")

    return refuse


class Monitor(resource_pb2_grpc.ResourceMonitorServicer):
    """Registrations and invokes of one program."""

    def __init__(self, stack: Stack, deployment: Deployment, parallel: int) -> None:
        self._stack = stack
        self._deployment = deployment
        self._parallel = parallel

    def GetDeploymentInfo(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.DeploymentInfo:
        return resource_pb2.DeploymentInfo(
            project=self._stack.project,
            stack=self._stack.name,
            organization=self._stack.organization,
            config=self._stack.config,
            configSecretKeys=sorted(self._stack.secret_keys),
            dryRun=self._deployment.preview,
            parallel=self._parallel,
            supportedFeatures=_FEATURES,
        )

    def RegisterResource(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.RegisterResourceResponse:
        try:
            goal = parse_goal(request, self._stack.name, self._stack.project, self._deployment.former)
            made = self._deployment.register(goal)
        except Refused as error:
            self.refuse(context, str(error))
        except Stopped:
            context.abort(grpc.StatusCode.UNAVAILABLE, "the deployment has ended")
        return resource_pb2.RegisterResourceResponse(
            urn=made.urn, id=made.id, object=to_struct(made.outputs if made.custom else made.inputs)
        )

    def RegisterResourceOutputs(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        self._deployment.outputs(request.urn, from_struct(request.outputs))
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: grpc.ServicerContext) -> resource_pb2.ResourceInvokeResponse:
        registry = self._deployment.registry
        try:
            _, provider = registry.default(request.tok.split(":", 1)[0], request.version)
            call = provider_pb2.InvokeRequest(tok=request.tok, args=request.args, preview=self._deployment.preview)
            answer = provider.invoke(call)
        except ProviderError as error:
            context.abort(grpc.StatusCode.UNKNOWN, f"invoke of {request.tok}: {error}")
        response = resource_pb2.ResourceInvokeResponse(failures=answer.failures)
        getattr(response, "return").CopyFrom(getattr(answer, "return"))
        return response

    ReadResource = _refusing("get()")
    Call = _refusing("method calls")
    RegisterPackage = _refusing("parameterized packages")
    RegisterStackTransform = RegisterStackInvokeTransform = _refusing("transforms")
    RegisterResourceHook = RegisterErrorHook = _refusing("hooks")

    def SignalAndWaitForShutdown(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    def refuse(self, context: grpc.ServicerContext, message: str) -> NoReturn:
        self._deployment.stop.set()
        self._deployment.report.error(message)
        context.abort(grpc.StatusCode.UNAVAILABLE, message)
        raise AssertionError("abort raises")


class EngineService(engine_pb2_grpc.EngineServicer):
    """Log lines of the program and of providers; the root resource."""

    def __init__(self, report: Reporter, deployment: Deployment) -> None:
        self._report = report
        self._deployment = deployment

    def Log(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        severity = _SEVERITIES.get(request.severity, "info")
        if severity != "error":
            self._report.log(severity, request.message, request.urn, ephemeral=request.ephemeral)
        elif not self._deployment.stop.is_set():
            # What a program says after the deployment has stopped is only that it was cut off.
            self._report.error(request.message.strip(), request.urn or self._report.root)
        return empty_pb2.Empty()

    def GetRootResource(self, request: Any, context: grpc.ServicerContext) -> engine_pb2.GetRootResourceResponse:
        return engine_pb2.GetRootResourceResponse(urn=self._report.root)

    def SetRootResource(self, request: Any, context: grpc.ServicerContext) -> engine_pb2.SetRootResourceResponse:
        self._report.root = request.urn
        return engine_pb2.SetRootResourceResponse()

    def RequirePulumiVersion(
        self, request: Any, context: grpc.ServicerContext
    ) -> engine_pb2.RequirePulumiVersionResponse:
        return engine_pb2.RequirePulumiVersionResponse()


def serve(stack: Stack, deployment: Deployment, parallel: int) -> tuple[grpc.Server, str]:
    """Starts both services on a free loopback port; the server and its address."""
    server = grpc.server(ThreadPoolExecutor(_THREADS), options=GRPC_OPTIONS)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(Monitor(stack, deployment, parallel), server)
    engine_pb2_grpc.add_EngineServicer_to_server(EngineService(deployment.report, deployment), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"
