"""Programs run on Pulumi mocks, and everything they register, resource options included."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import runpy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf import empty_pb2
from pulumi.runtime import mocks, rpc, settings
from pulumi.runtime.config import set_all_config
from pulumi.runtime.proto import resource_pb2
from pulumi.runtime.stack import run_in_stack

from cohost import release, tokens

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "123456789012"
REGION = "eu-west-1"
SUFFIX = "1a2b3c4"


@dataclass(frozen=True)
class Registered:
    """One resource as the program registered it.

    Attributes:
        urn: Its URN.
        type: Its type token.
        name: Its logical name.
        custom: Whether a provider manages it; False for components.
        inputs: Its inputs under their wire names, as the engine gets them.
        request: The whole request, options included.
    """

    urn: str
    type: str
    name: str
    custom: bool
    inputs: Mapping[str, Any]
    request: resource_pb2.RegisterResourceRequest

    @property
    def parent(self) -> str:
        """The parent's logical name."""
        return self.request.parent.rpartition("::")[2]

    @property
    def options(self) -> dict[str, Any]:
        """Those resource options that are set."""
        request = self.request
        timeouts = {field.name: text for field, text in request.customTimeouts.ListFields()}
        found: dict[str, Any] = {
            "protect": request.protect or None,
            "deleteBeforeReplace": request.deleteBeforeReplace if request.deleteBeforeReplaceDefined else None,
            "customTimeouts": timeouts or None,
            "ignoreChanges": list(request.ignoreChanges) or None,
            "replaceOnChanges": list(request.replaceOnChanges) or None,
            "retainOnDelete": request.retainOnDelete or None,
            "import": request.importId or None,
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass
class Recording:
    """What a program registered.

    Attributes:
        resources: By URN, in the order of registration.
        outputs: The stack's outputs.
        warnings: What it warned of.
    """

    resources: dict[str, Registered] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def of(self, type_: str) -> list[Registered]:
        """Every resource of a type."""
        return [resource for resource in self.resources.values() if resource.type == type_]

    def one(self, type_: str, name: str | None = None) -> Registered:
        """The only resource of a type (and logical name)."""
        found = [resource for resource in self.of(type_) if name is None or resource.name == name]
        assert len(found) == 1, f"{len(found)} resources are {type_} {name or ''}"
        return found[0]

    @property
    def custom(self) -> list[Registered]:
        """Every resource that a provider manages."""
        return [resource for resource in self.resources.values() if resource.custom]

    def after(self, resource: Registered) -> set[str]:
        """URNs of everything made before a resource, and deleted after it."""
        found: set[str] = set()
        pending = list(resource.request.dependencies)
        while pending:
            urn = pending.pop()
            if urn not in found:
                found.add(urn)
                pending += self.resources[urn].request.dependencies
        return found


class Cloud(mocks.Mocks):
    """Answers as providers would: with generated names and the ARNs made of them."""

    def __init__(self, region: str, partition: str, *, preview: bool) -> None:
        self._region, self._partition, self._preview = region, partition, preview

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]] | None]:
        answers = {
            "aws:index/getCallerIdentity:getCallerIdentity": {"accountId": ACCOUNT},
            "aws:index/getPartition:getPartition": {"partition": self._partition},
        }
        return answers[args.token], []

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if not args.custom:
            return None, args.inputs
        outputs = {**args.inputs, **self._made(args)}
        if self._preview:
            # In a first preview nothing is known but what the program says itself.
            unknown = {name: rpc.UNKNOWN for name in outputs if name not in args.inputs and name != "release"}
            return None, outputs | unknown
        return f"{args.name}-{SUFFIX}", outputs

    def _made(self, args: mocks.MockResourceArgs) -> dict[str, Any]:
        name = args.inputs.get("name", f"{args.name}-{SUFFIX}")
        here = f"{self._region}:{ACCOUNT}"
        arns = {
            "aws:s3/bucket:Bucket": f"s3:::{name}",
            "aws:kms/key:Key": f"kms:{here}:key/{SUFFIX}",
            "aws:iam/role:Role": f"iam::{ACCOUNT}:role/{name}",
            "aws:iam/policy:Policy": f"iam::{ACCOUNT}:policy/{name}",
            "aws:sagemaker/endpoint:Endpoint": f"sagemaker:{here}:endpoint/{name}",
        }
        made: dict[str, Any] = {}
        if args.typ.startswith("aws:"):
            made["name"] = name
        if args.typ in arns:
            made["arn"] = f"arn:{self._partition}:{arns[args.typ]}"
        if args.typ == "aws:s3/bucket:Bucket":
            made["bucket"] = name
        if args.typ == "aws:kms/key:Key":
            made["keyId"] = SUFFIX
        if args.typ == tokens.ARTIFACT_SET:
            made["release"] = release.Release(args.inputs["models"]).digest
        return made


class Recorder(mocks.MockMonitor):
    """A monitor that keeps every request: mocks alone do not see options."""

    def __init__(self, cloud: mocks.Mocks, recording: Recording) -> None:
        super().__init__(cloud)
        self.recording = recording

    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:  # noqa: N802
        urn = self.make_urn(request.parent, request.type, request.name)
        inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
        self.recording.resources[urn] = Registered(urn, request.type, request.name, request.custom, inputs, request)
        return super().RegisterResource(request)

    def RegisterResourceOutputs(self, request: resource_pb2.RegisterResourceOutputsRequest) -> Any:  # noqa: N802
        if "::pulumi:pulumi:Stack::" in request.urn:
            self.recording.outputs = dict(rpc.deserialize_properties(request.outputs, keep_unknowns=True))
        return super().RegisterResourceOutputs(request)


class _Warnings(logging.Handler):
    def __init__(self, into: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._into = into

    def emit(self, record: logging.LogRecord) -> None:
        self._into.append(record.getMessage())


def record(
    program: Callable[[], object],
    *,
    config: Mapping[str, str] | None = None,
    stack: str = "dev",
    preview: bool = False,
    partition: str = "aws",
    cloud: mocks.Mocks | None = None,
    into: Recording | None = None,
) -> Recording:
    """Runs a program as the engine would, and returns what it registered.

    Args:
        program: The program.
        config: Its configuration as the engine hands it over.
        stack: The stack's name.
        preview: Whether what providers make up is unknown.
        partition: Where the account is, on AWS.
        cloud: Answers as the providers; None = AWS.
        into: What to note it in; also what a program that fails has registered before.
    """
    config = dict(config or {})
    cloud = cloud or Cloud(config.get("aws:region", REGION), partition, preview=preview)
    recorder = Recorder(cloud, into or Recording())
    logger = logging.Logger("pulumi")
    logger.addHandler(_Warnings(recorder.recording.warnings))

    def run() -> None:
        features = set(recorder.GetDeploymentInfo(empty_pb2.Empty()).supportedFeatures)
        settings.configure(
            mocks.MockSettings(
                monitor=recorder,
                monitor_features=features,
                engine=mocks.MockEngine(logger),
                project=tokens.PROJECT,
                stack=stack,
                dry_run=preview,
                organization=None,
                callbacks=None,
            )
        )
        set_all_config(config)
        asyncio.run(run_in_stack(lambda: (program(), None)[1]))

    contextvars.copy_context().run(run)
    return recorder.recording


def run_main(
    settings: Mapping[str, Any] | None = None, *, more: Mapping[str, str] | None = None, **how: Any
) -> Recording:
    """Runs the project's own program, unchanged.

    Args:
        settings: The stack's settings beside platform and region, as they stand in its YAML file.
        more: Configuration of others, by full key.
        how: As of `record`.
    """
    values = {"platform": "aws", **(settings or {})}
    config = {
        f"{tokens.PROJECT}:{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }
    main = str(ROOT / "__main__.py")
    config = {"aws:region": REGION, **config, **(more or {})}
    return record(lambda: runpy.run_path(main, run_name="__main__"), config=config, **how)
