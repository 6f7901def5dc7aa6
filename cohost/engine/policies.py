"""Holds what a program registers to the rules of a policy pack, by Pulumi's Analyzer protocol.

What is sent and when follows the real engine (pulumi/pulumi 3.260, pkg/resource/deploy/{step_generator,
analyze_snapshot}.go and pkg/resource/plugin/analyzer_plugin.go; sdk/python/cmd/pulumi-language-python/main.go for
how a pack in Python is started).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from cohost.engine.goal import Goal
from cohost.engine.model import PolicyPack, PolicyResult, Stack
from cohost.engine.policy_config import reconcile
from cohost.engine.processes import Processes
from cohost.engine.provider import GRPC_OPTIONS, ProviderError, start
from cohost.engine.report import Reporter
from cohost.engine.state import STACK_TYPE, ResourceState
from cohost.engine.values import Properties, Secret, changed_keys, from_struct, to_struct

_START_S: Final = 120.0
_T = TypeVar("_T")


class Policies:
    """A started policy pack."""

    def __init__(
        self, pack: PolicyPack, stack: Stack, processes: Processes, report: Reporter, engine: str, *, preview: bool
    ) -> None:
        """Starts the pack and gives it its settings.

        Args:
            pack: What to start.
            stack: What it is to judge.
            processes: What ends its process.
            report: Takes what it finds, and each line that it writes.
            engine: Address of the engine service it may log to.
            preview: Whether values may be unknown.

        Raises:
            CohostError: It does not start; an `InputError` when its settings are wrong.
        """
        self._name = f"policy pack {pack.folder.name}"
        self._report = report
        # The real engine asks for one resource at a time, and a rule may count on it.
        self._lock = threading.Lock()
        self._options: dict[str, analyzer_pb2.AnalyzerResourceOptions] = {}
        folder = str(pack.folder)
        variables = _variables(stack, preview)
        launch = replace(
            pack.launch, command=(*pack.launch.command, engine, folder), env={**pack.launch.env, **variables}
        )
        port = start(self._name, launch, processes, lambda line: report.log("info", line))
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=GRPC_OPTIONS)
        self._stub = analyzer_pb2_grpc.AnalyzerStub(self._channel)
        self._introduce(stack, engine, folder, preview)
        info = self._call(self._stub.GetAnalyzerInfo, empty_pb2.Empty())
        config = reconcile(info, pack)
        if info.supportsConfig and config:
            self._call(self._stub.Configure, analyzer_pb2.ConfigureAnalyzerRequest(policyConfig=config))

    def _introduce(self, stack: Stack, engine: str, folder: str, preview: bool) -> None:
        """Tells the pack who asks and about what; it need not care for either."""
        greeting = analyzer_pb2.AnalyzerHandshakeRequest(
            engine_address=engine, root_directory=folder, program_directory=folder
        )
        self._optional(self._stub.Handshake, greeting, timeout=_START_S, wait_for_ready=True)
        about = analyzer_pb2.AnalyzerStackConfigureRequest(
            stack=stack.name,
            project=stack.project,
            organization=stack.organization,
            dry_run=preview,
            config=stack.config,
            config_secret_keys=sorted(stack.secret_keys),
        )
        self._optional(self._stub.ConfigureStack, about)

    def admit(
        self, new: ResourceState, provider: ResourceState | None, goal: Goal | None = None
    ) -> tuple[ResourceState, bool]:
        """Lets the pack remediate a resource's inputs and judge them.

        Args:
            new: The resource with the inputs that its provider has checked.
            provider: The provider it is made with; None for what has none.
            goal: What the program asked for; None for a default provider, which it did not.

        Returns:
            The resource as it is to be made, and whether a mandatory policy forbids that.

        Raises:
            ProviderError: A rule failed itself.
        """
        options = self._options[new.urn] = _options(new, goal)
        with self._lock:
            new = self._remediated(new, provider, options)
            request = analyzer_pb2.AnalyzeRequest(**_described(new, _visible(new.inputs), provider, options))
            answer = self._call(self._stub.Analyze, request)
        return new, self._noted(answer, lambda diagnostic: new.urn)

    def judge(self, resources: Iterable[ResourceState]) -> bool:
        """Has the pack judge the stack as it is after the operation; whether it breaks a mandatory policy.

        Raises:
            ProviderError: A rule failed itself.
        """
        resources = tuple(resources)
        providers = {f"{r.urn}::{r.id}": r for r in resources if r.is_provider}
        request = analyzer_pb2.AnalyzeStackRequest(
            resources=[
                analyzer_pb2.AnalyzerResource(
                    **_described(r, _visible(r.outputs), providers.get(r.provider), self._options.get(r.urn)),
                    parent=r.parent,
                    dependencies=r.dependencies,
                    propertyDependencies={
                        key: analyzer_pb2.AnalyzerPropertyDependencies(urns=urns)
                        for key, urns in r.property_dependencies.items()
                        if urns
                    },
                )
                for r in resources
            ]
        )
        with self._lock:
            answer = self._optional(self._stub.AnalyzeStack, request)
        if answer is None:
            return False
        known = {r.urn for r in resources}
        root = next((r.urn for r in resources if r.type == STACK_TYPE), self._report.root)
        return self._noted(answer, lambda diagnostic: diagnostic.urn if diagnostic.urn in known else root)

    def close(self) -> None:
        """Closes the connection; the process is ended by `Processes`."""
        self._channel.close()

    def _remediated(
        self,
        new: ResourceState,
        provider: ResourceState | None,
        options: analyzer_pb2.AnalyzerResourceOptions,
    ) -> ResourceState:
        request = analyzer_pb2.AnalyzeRequest(**_described(new, new.inputs, provider, options))
        answer = self._optional(self._stub.Remediate, request)
        for remedy in answer.remediations if answer is not None else ():
            if remedy.diagnostic:
                self._report.found(PolicyResult(remedy.policyName, "advisory", remedy.diagnostic, new.urn))
                continue
            inputs = from_struct(remedy.properties)
            message = remediation(changed_keys(new.inputs, inputs))
            self._report.found(PolicyResult(remedy.policyName, "remediate", message, new.urn))
            new = replace(new, inputs=inputs)
        return new

    def _noted(
        self, answer: analyzer_pb2.AnalyzeResponse, about: Callable[[analyzer_pb2.AnalyzeDiagnostic], str]
    ) -> bool:
        """Reports what was found; whether anything of it is mandatory."""
        broken = False
        for diagnostic in answer.diagnostics:
            # What a remediation did not help counts as mandatory.
            advisory = diagnostic.enforcementLevel == analyzer_pb2.ADVISORY
            level = "advisory" if advisory else "mandatory"
            broken = broken or not advisory
            self._report.found(PolicyResult(diagnostic.policyName, level, diagnostic.message, about(diagnostic)))
        return broken

    def _call(self, method: Callable[..., _T], request: object, **options: Any) -> _T:
        try:
            return method(request, **options)
        except grpc.RpcError as error:
            raise self._failure(error) from error

    def _optional(self, method: Callable[..., _T], request: object, **options: Any) -> _T | None:
        try:
            return method(request, **options)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.UNIMPLEMENTED:
                return None
            raise self._failure(error) from error

    def _failure(self, error: grpc.RpcError) -> ProviderError:
        reason = "its process ended" if error.code() == grpc.StatusCode.UNAVAILABLE else "a rule failed"
        return ProviderError(f"{self._name}: {reason}: {error.details()}")


def remediation(changed: Iterable[str]) -> str:
    """Says what a remediation has done: nothing but its inputs tells so, on the real engine too."""
    return f"changed {', '.join(changed) or 'nothing'}"


def _variables(stack: Stack, preview: bool) -> dict[str, str]:
    """What a pack in Python reads of the stack before it serves: `pulumi.policy` configures itself by these."""
    return {
        "PULUMI_CONFIG": json.dumps(dict(stack.config)),
        "PULUMI_ORGANIZATION": stack.organization,
        "PULUMI_PROJECT": stack.project,
        "PULUMI_STACK": stack.name,
        "PULUMI_DRY_RUN": str(preview).lower(),
    }


def _described(
    resource: ResourceState,
    properties: Properties,
    provider: ResourceState | None,
    options: analyzer_pb2.AnalyzerResourceOptions | None,
) -> dict[str, Any]:
    """The fields that all messages with a resource share."""
    described: dict[str, Any] = {
        "urn": resource.urn,
        "type": resource.type,
        "name": resource.name,
        "properties": to_struct(properties),
        "options": options,
    }
    if provider is not None:
        described["provider"] = analyzer_pb2.AnalyzerProviderResource(
            urn=provider.urn,
            type=provider.type,
            name=provider.name,
            properties=to_struct(_visible(provider.inputs)),
        )
    return described


def _options(new: ResourceState, goal: Goal | None) -> analyzer_pb2.AnalyzerResourceOptions:
    delete_first = goal.delete_before_replace if goal is not None else None
    return analyzer_pb2.AnalyzerResourceOptions(
        protect=new.protect,
        ignoreChanges=new.ignore_changes,
        deleteBeforeReplace=bool(delete_first),
        deleteBeforeReplaceDefined=delete_first is not None,
        additionalSecretOutputs=new.additional_secret_outputs,
        aliases=goal.aliases if goal is not None else (),
        customTimeouts=analyzer_pb2.AnalyzerResourceOptions.CustomTimeouts(**new.custom_timeouts),
        parent=new.parent,
    )


def _visible(value: Any) -> Any:
    """The value without the properties that only engine and provider use."""
    if isinstance(value, Secret):
        return Secret(_visible(value.value))
    if isinstance(value, Mapping):
        return {key: _visible(item) for key, item in value.items() if not key.startswith("__")}
    return [_visible(item) for item in value] if isinstance(value, list) else value
