"""Rules on the ways to a model: into the container, and out of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cohost import tokens
from rules import types
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN, at, differs, items, missing, shown

_MB: Final = 1_000_000
# Sources: SageMaker API reference, InvokeEndpoint, Body (botocore 1.44.5: 6,291,456 bytes); Vertex AI documentation,
# Choose an endpoint type (payload).
_SAGEMAKER_BYTES: Final = 6_291_456
_SHARED_BYTES: Final = 1_500_000
_DEDICATED_BYTES: Final = 10_000_000
_CLOSED: Final = ("model-repository", "shared-memory")


def _isolated(resource: Resource, context: Context) -> Iterator[str]:
    isolation, subnets = resource.props.get("enableNetworkIsolation"), at(resource.props, "vpcConfig", "subnets")
    if differs(isolation, True) and missing(subnets):
        yield f"enableNetworkIsolation is {shown(isolation)}, and there is no vpcConfig"


def _private(resource: Resource, context: Context) -> Iterator[str]:
    connected = at(resource.props, "privateServiceConnectConfig", "enablePrivateServiceConnect")
    if context.settings["privateServiceConnect"] and differs(connected, True):
        yield "private service connect is not enabled"


PRIVATE_NETWORK_IN_PRODUCTION: Final = Rule(
    name="private-network-in-production",
    description="In production, containers have no network or one of the account's own.",
    level="mandatory",
    severity="high",
    remedy="Set network.isolation, or network.subnetIds and network.securityGroupIds; on GCP endpoint.kind: psc.",
    source="AWS Config, sagemaker-model-isolation-enabled; AWS Security Hub, SageMaker.5",
    checks={types.AWS_MODEL: _isolated, types.GCP_ENDPOINT: _private},
    settings={
        "privateServiceConnect": {
            "type": "boolean",
            "default": False,
            "description": "Whether endpoints on GCP must be private: reached from within a network alone.",
        }
    },
    production=True,
)


def _fits_sagemaker(resource: Resource, context: Context) -> Iterator[str]:
    yield from _fits(context, _SAGEMAKER_BYTES, "a SageMaker endpoint")


def _fits_vertex(resource: Resource, context: Context) -> Iterator[str]:
    dedicated = resource.props.get("dedicatedEndpointEnabled")
    private = at(resource.props, "privateServiceConnectConfig", "enablePrivateServiceConnect")
    if UNKNOWN not in (dedicated, private):
        own = dedicated is True or private is True
        yield from _fits(
            context, *((_DEDICATED_BYTES, "a dedicated endpoint") if own else (_SHARED_BYTES, "a shared endpoint"))
        )


def _fits(context: Context, limit: int, what: str) -> Iterator[str]:
    if (largest := context.settings["largestRequestBytes"]) > limit:
        yield f"{what} takes {limit / _MB:.1f} MB, and requests have up to {largest / _MB:.1f} MB"


ENDPOINT_FITS_REQUESTS: Final = Rule(
    name="endpoint-fits-requests",
    description="The endpoint takes requests as large as they come.",
    level="mandatory",
    severity="medium",
    remedy="On GCP set endpoint.kind: dedicated; otherwise send less at once, or by way of the store.",
    source="Vertex AI documentation, Choose an endpoint type; SageMaker API reference, InvokeEndpoint",
    checks={types.AWS_ENDPOINT: _fits_sagemaker, types.GCP_ENDPOINT: _fits_vertex},
    settings={
        "largestRequestBytes": {
            "type": "integer",
            "minimum": 1,
            "default": _SHARED_BYTES,
            "description": "The largest request that callers send.",
        }
    },
)


def _closed(resource: Resource, context: Context) -> Iterator[str]:
    arguments = resource.props.get("args")
    if arguments is UNKNOWN or len(items(arguments)) < len(arguments or ()):
        return
    given = dict(argument.partition("=")[::2] for argument in items(arguments))
    if (mode := given.get("--model-control-mode")) != "none":
        yield f"--model-control-mode is {shown(mode)}, not none"
    restricted = given.get("--http-restricted-api", "").partition(":")[0].split(",")
    if opened := [api for api in _CLOSED if api not in restricted]:
        yield f"--http-restricted-api leaves out {', '.join(opened)}"


TRITON_CLOSED: Final = Rule(
    name="triton-closed",
    description="Callers on GCP cannot load models into Triton or register memory with it.",
    level="mandatory",
    severity="high",
    remedy="Start Triton with --model-control-mode=none and --http-restricted-api=model-repository,shared-memory:….",
    source="triton-inference-server/server, vertex_ai_server.cc (a header reaches every API)",
    checks={tokens.VERTEX_MODEL: _closed},
)

RULES: Final = (PRIVATE_NETWORK_IN_PRODUCTION, ENDPOINT_FITS_REQUESTS, TRITON_CLOSED)
