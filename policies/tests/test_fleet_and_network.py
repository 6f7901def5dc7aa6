from __future__ import annotations

import pytest

from cohost import fleet, tokens
from rules import types
from rules.rule import PRODUCTION_STACKS
from tests.stacks import Case, assert_breaks, recorded, set_to, violations, with_resource

CONFIGURATION = types.AWS_ENDPOINT_CONFIGURATION
DEPLOYED = tokens.VERTEX_DEPLOYED_MODEL
ALLOWED = "ml.g4dn.xlarge, ml.g4dn.2xlarge, ml.g4dn.4xlarge, ml.g5.xlarge, ml.g5.2xlarge, ml.g5.4xlarge"
MACHINES = "g2-standard-4, g2-standard-8, g2-standard-12, g2-standard-16, n1-standard-4, n1-standard-8, n1-standard-16"

CASES = [
    Case(
        "machine-allowed",
        "aws",
        set_to(CONFIGURATION, "productionVariants.0.instanceType", "ml.g5.8xlarge"),
        [f"variant main has ml.g5.8xlarge; allowed are {ALLOWED}"],
    ),
    Case(
        "machine-allowed",
        "aws",
        lambda stack: stack,
        ["variant main has ml.g5.xlarge; allowed are ml.g4dn.xlarge"],
        settings={"instanceTypes": ["ml.g4dn.xlarge"]},
    ),
    Case(
        "machine-allowed",
        "gcp",
        set_to(DEPLOYED, "machineType", "g2-standard-96"),
        [f"machineType is g2-standard-96; allowed are {MACHINES}"],
    ),
    Case(
        "machine-allowed",
        "gcp",
        set_to(DEPLOYED, "acceleratorType", "NVIDIA_H100_80GB"),
        ["acceleratorType is NVIDIA_H100_80GB; allowed are NVIDIA_TESLA_T4, NVIDIA_L4"],
    ),
    Case(
        "gpu-can-share",
        "aws",
        set_to(types.AWS_MODEL, "primaryContainer.mode", "SingleModel"),
        ["primaryContainer.mode is SingleModel, not MultiModel"],
    ),
    Case(
        "gpu-can-share",
        "aws",
        set_to(types.AWS_MODEL, "primaryContainer.mode", None),
        ["primaryContainer.mode is not set, which means a single model"],
    ),
    Case(
        "gpu-can-share",
        "aws",
        set_to(CONFIGURATION, "productionVariants.0.instanceType", "ml.g6.xlarge"),
        [f"variant main: {fleet.instance_type_fault('ml.g6.xlarge')}"],
        also=["machine-allowed"],
    ),
    Case(
        "gpu-can-share",
        "gcp",
        set_to(DEPLOYED, "acceleratorType", "NVIDIA_TESLA_V100"),
        ["acceleratorType is NVIDIA_TESLA_V100: it (Volta) is too old for CUDA 13, which Triton's current images need"],
        also=["machine-allowed"],
    ),
    Case(
        "gpu-can-share",
        "gcp",
        set_to(DEPLOYED, "acceleratorType", None),
        ["has no GPU: acceleratorType or acceleratorCount is not set"],
    ),
    Case(
        "replica-ceiling",
        "aws",
        set_to(CONFIGURATION, "productionVariants.0.initialInstanceCount", 2.0),
        ["variant main: initialInstanceCount is 2; 1 are the most"],
        settings={"maximum": 1},
    ),
    Case(
        "replica-ceiling",
        "aws-scaling",
        set_to(types.AWS_SCALING_TARGET, "maxCapacity", 5.0),
        ["maxCapacity is 5; 4 are the most"],
    ),
    Case(
        "replica-ceiling",
        "gcp",
        set_to(DEPLOYED, "maxReplicas", 5.0),
        ["maxReplicas is 5; 4 are the most"],
    ),
    Case(
        "replicas-in-production",
        "aws-production",
        set_to(CONFIGURATION, "productionVariants.0.initialInstanceCount", 1.0),
        ["variant main: initialInstanceCount is 1; 2 are the least"],
    ),
    Case(
        "replicas-in-production",
        "gcp-production",
        set_to(DEPLOYED, "minReplicas", 1.0),
        ["minReplicas is 1; 2 are the least"],
    ),
    Case(
        "replicas-in-production",
        "aws-production",
        with_resource(types.AWS_SCALING_TARGET, minCapacity=1.0, maxCapacity=2.0, tags={}),
        ["minCapacity is 1; 2 are the least"],
    ),
    Case(
        "no-spot-in-production",
        "gcp-production",
        set_to(DEPLOYED, "spot", True),
        ["spot is true, so Google may take the machines away at any time"],
    ),
    Case(
        "private-network-in-production",
        "aws-production",
        set_to(types.AWS_MODEL, "enableNetworkIsolation", False),
        ["enableNetworkIsolation is false, and there is no vpcConfig"],
    ),
    Case(
        "private-network-in-production",
        "gcp-production",
        lambda stack: stack,
        ["private service connect is not enabled"],
        settings={"privateServiceConnect": True},
    ),
    Case(
        "endpoint-fits-requests",
        "gcp",
        lambda stack: stack,
        ["a shared endpoint takes 1.5 MB, and requests have up to 4.0 MB"],
        settings={"largestRequestBytes": 4_000_000},
    ),
    Case(
        "endpoint-fits-requests",
        "gcp",
        set_to(types.GCP_ENDPOINT, "dedicatedEndpointEnabled", value=True),
        ["a dedicated endpoint takes 10.0 MB, and requests have up to 12.0 MB"],
        settings={"largestRequestBytes": 12_000_000},
    ),
    Case(
        "endpoint-fits-requests",
        "aws",
        lambda stack: stack,
        ["a SageMaker endpoint takes 6.3 MB, and requests have up to 12.0 MB"],
        settings={"largestRequestBytes": 12_000_000},
    ),
    Case(
        "triton-closed",
        "gcp",
        set_to(
            tokens.VERTEX_MODEL, "args", ["--model-control-mode=explicit", "--http-restricted-api=shared-memory:a=b"]
        ),
        [
            "--model-control-mode is explicit, not none",
            "--http-restricted-api leaves out model-repository",
        ],
    ),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_other_machines_or_another_way_in_break_their_rule(case: Case) -> None:
    assert_breaks(case)


def test_a_dedicated_endpoint_takes_what_a_shared_one_does_not() -> None:
    dedicated = set_to(types.GCP_ENDPOINT, "dedicatedEndpointEnabled", value=True)(recorded("gcp"))
    assert violations(dedicated, {"endpoint-fits-requests": {"largestRequestBytes": 4_000_000}}) == {}


def test_a_stack_is_production_by_its_name_too() -> None:
    found = violations(recorded("aws"), {"replicas-in-production": {PRODUCTION_STACKS: ["d*"]}})
    assert found == {"replicas-in-production": ["variant main: initialInstanceCount is 1; 2 are the least"]}


def test_a_network_of_the_accounts_own_will_do_in_production() -> None:
    isolated = set_to(types.AWS_MODEL, "enableNetworkIsolation", value=False)(recorded("aws-production"))
    assert violations(set_to(types.AWS_MODEL, "vpcConfig.subnets", ["subnet-0a", "subnet-0b"])(isolated)) == {}
