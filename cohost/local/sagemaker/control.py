"""Models, endpoint configurations and tags: the part of the control plane that only keeps records."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Any, Final

from cohost.local.sagemaker import errors
from cohost.local.sagemaker.cloud import Cloud
from cohost.local.sagemaker.limits import INSTANCE_TYPES
from cohost.local.sagemaker.state import State
from cohost.local.tables import Record

_MODEL_MEMBERS: Final = frozenset(
    {"ModelName", "PrimaryContainer", "ExecutionRoleArn", "Tags", "VpcConfig", "EnableNetworkIsolation"}
)
_CONTAINER_MEMBERS: Final = frozenset(
    {"Image", "Mode", "ModelDataUrl", "Environment", "ContainerHostname", "ImageConfig", "MultiModelConfig"}
)
_CONFIG_MEMBERS: Final = frozenset({"EndpointConfigName", "ProductionVariants", "Tags", "KmsKeyId"})
_VARIANT_MEMBERS: Final = frozenset(
    {
        "VariantName",
        "ModelName",
        "InitialInstanceCount",
        "InstanceType",
        "InitialVariantWeight",
        "VolumeSizeInGB",
        "ModelDataDownloadTimeoutInSeconds",
        "ContainerStartupHealthCheckTimeoutInSeconds",
        "EnableSSMAccess",
        "InferenceAmiVersion",
        "RoutingConfig",
    }
)
_REGISTRY: Final = re.compile(r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(\.cn)?/.+")


@dataclass(frozen=True)
class Caller:
    """Where a request belongs.

    Attributes:
        region: The region it was signed for.
        account: The account it is made in.
    """

    region: str
    account: str

    def arn(self, kind: str, name: str) -> str:
        """Returns the ARN of a resource of SageMaker's."""
        return f"arn:aws:sagemaker:{self.region}:{self.account}:{kind}/{name.lower()}"

    def owns(self, arn: str) -> bool:
        """Tells whether a resource is in this account and region."""
        return arn.split(":")[3:5] == [self.region, self.account]


def only(request: Record, members: frozenset[str], where: str) -> None:
    """Refuses whatever a request holds beside these members (empty values are nothing)."""
    for name, value in request.items():
        if name not in members and value not in (None, [], {}, False):
            raise errors.unsupported(f"{where}{name}")


def now() -> float:
    """Returns the time as AWS's JSON protocol writes it: seconds, to the millisecond."""
    return round(time.time(), 3)


class Control:
    """Operations on models, endpoint configurations and tags."""

    def __init__(self, state: State, cloud: Cloud) -> None:
        self._state, self._cloud = state, cloud

    def create_model(self, caller: Caller, request: Record) -> Record:
        """CreateModel, for one container in MultiModel mode."""
        arn = caller.arn("model", request["ModelName"])
        only(request, _MODEL_MEMBERS, "")
        container = request.get("PrimaryContainer", {})
        only(container, _CONTAINER_MEMBERS, "PrimaryContainer.")
        if container.get("Mode") != "MultiModel":
            raise errors.unsupported("A container whose Mode is not MultiModel")
        if container.get("MultiModelConfig", {}).get("ModelCacheSetting") == "Disabled":
            raise errors.unsupported("ModelCacheSetting Disabled")
        image, url = container.get("Image", ""), container.get("ModelDataUrl", "")
        if not _REGISTRY.fullmatch(image):
            raise errors.invalid(f'Using non-ECR image "{image}" without Vpc repository access mode is not supported.')
        if not re.fullmatch(r"s3://[^/]+/(.*/)?", url):
            raise errors.invalid(f"ModelDataUrl of a multi-model container must be an S3 prefix ending in /: {url}")
        role = request.get("ExecutionRoleArn", "")
        self._cloud.check_role(role, caller.region)
        self._cloud.check_model_data(role, url, caller.region)
        added = {"EnableNetworkIsolation": False, "ModelArn": arn}
        self._keep("model", self._state.models, arn, request, added)
        return {"ModelArn": arn}

    def describe_model(self, caller: Caller, request: Record) -> Record:
        """DescribeModel."""
        return self.model(caller, request["ModelName"])

    def delete_model(self, caller: Caller, request: Record) -> Record:
        """DeleteModel: the entry alone, whether or not an endpoint uses it (API reference)."""
        self.model(caller, request["ModelName"])
        return self._drop(self._state.models, caller.arn("model", request["ModelName"]))

    def list_models(self, caller: Caller, request: Record) -> Record:
        """ListModels."""
        with self._state.reading():
            return listing(self._state.models, caller, request, "Models", "ModelName")

    def create_endpoint_config(self, caller: Caller, request: Record) -> Record:
        """CreateEndpointConfig, for one variant with a multi-model container on a GPU instance type."""
        arn = caller.arn("endpoint-config", request["EndpointConfigName"])
        only(request, _CONFIG_MEMBERS, "")
        if len(request["ProductionVariants"]) != 1:
            raise errors.unsupported("More than one production variant")
        variant = {"InitialVariantWeight": 1.0, **request["ProductionVariants"][0]}
        only(variant, _VARIANT_MEMBERS, "ProductionVariants.1.member.")
        self.model(caller, variant.get("ModelName", ""))
        self._check_instances(variant)
        added = {"EndpointConfigArn": arn, "ProductionVariants": [variant]}
        self._keep("endpoint configuration", self._state.configs, arn, request, added)
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, caller: Caller, request: Record) -> Record:
        """DescribeEndpointConfig."""
        return self.config(caller, request["EndpointConfigName"])

    def delete_endpoint_config(self, caller: Caller, request: Record) -> Record:
        """DeleteEndpointConfig: allowed while an endpoint uses it, which then can no longer be updated."""
        arn = caller.arn("endpoint-config", request["EndpointConfigName"])
        self.config(caller, request["EndpointConfigName"])
        return self._drop(self._state.configs, arn)

    def list_endpoint_configs(self, caller: Caller, request: Record) -> Record:
        """ListEndpointConfigs."""
        with self._state.reading():
            return listing(self._state.configs, caller, request, "EndpointConfigs", "EndpointConfigName")

    def add_tags(self, caller: Caller, request: Record) -> Record:
        """AddTags."""
        arn = self._tagged(request)
        with self._state.changing():
            self._state.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in request["Tags"]})
        return self.list_tags(caller, request)

    def list_tags(self, _caller: Caller, request: Record) -> Record:
        """ListTags, all on one page."""
        tags = self._state.tags.get(self._tagged(request), {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in sorted(tags.items())]}

    def delete_tags(self, _caller: Caller, request: Record) -> Record:
        """DeleteTags."""
        arn = self._tagged(request)
        with self._state.changing():
            for key in request["TagKeys"]:
                self._state.tags.get(arn, {}).pop(key, None)
        return {}

    def model(self, caller: Caller, name: str) -> Record:
        """Returns a model's record.

        Raises:
            ServiceError: It does not exist.
        """
        arn = caller.arn("model", name)
        if arn not in self._state.models:
            raise errors.missing("model", arn)
        return self._state.models[arn]

    def config(self, caller: Caller, name: str) -> Record:
        """Returns an endpoint configuration's record.

        Raises:
            ServiceError: It does not exist.
        """
        arn = caller.arn("endpoint-config", name)
        if arn not in self._state.configs:
            raise errors.missing("endpoint configuration", arn)
        return self._state.configs[arn]

    def _check_instances(self, variant: Record) -> None:
        instance_type = variant.get("InstanceType", "")
        known = INSTANCE_TYPES.get(instance_type)
        if known is None:
            raise errors.invalid(
                f"Multi-model endpoints with a GPU container are not supported on instance type {instance_type}. "
                f"Supported types: {', '.join(INSTANCE_TYPES)}."
            )
        if "VolumeSizeInGB" in variant and known.own_disk:
            raise errors.invalid(f"VolumeSizeInGB is not supported for instance type {instance_type}.")
        if "InitialInstanceCount" not in variant:
            raise errors.invalid("InitialInstanceCount is required for a variant with an InstanceType.")

    def _keep(self, kind: str, table: dict[str, Record], arn: str, request: Record, added: Record) -> None:
        record = {**added, **{key: value for key, value in request.items() if key != "Tags"}}
        record |= {key: value for key, value in added.items() if key == "ProductionVariants"}
        with self._state.changing():
            if arn in table:
                raise errors.existing(kind, arn)
            table[arn] = {**record, "CreationTime": now()}
            self._state.tags[arn] = tags_of(request)

    def _drop(self, table: dict[str, Record], arn: str) -> Record:
        with self._state.changing():
            table.pop(arn, None)
            self._state.tags.pop(arn, None)
        return {}

    def _tagged(self, request: Record) -> str:
        arn = request["ResourceArn"]
        tables = (self._state.models, self._state.configs, self._state.endpoints)
        if not any(arn in table for table in tables):
            raise errors.missing("resource", arn)
        return arn


def tags_of(request: Record) -> dict[str, str]:
    """Returns a request's tags as a mapping."""
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}


def listing(table: dict[str, Record], caller: Caller, request: Record, result: str, name: str) -> dict[str, Any]:
    """Answers a List operation: newest first unless asked otherwise, by name, status and page."""
    only(
        request,
        frozenset({"SortBy", "SortOrder", "NextToken", "MaxResults", "NameContains", "StatusEquals"}),
        "",
    )
    by = {"Name": name}.get(request.get("SortBy", ""), "CreationTime")
    wanted = [
        record
        for arn, record in table.items()
        if caller.owns(arn)
        and request.get("NameContains", "") in record[name]
        and request.get("StatusEquals") in (None, record.get("EndpointStatus"))
    ]
    wanted.sort(key=lambda record: record[by], reverse=request.get("SortOrder", "Descending") != "Ascending")
    token = request.get("NextToken", "0")
    if not token.isdecimal():
        raise errors.invalid(f"Invalid NextToken: {token}")
    start = int(token)
    end = start + int(request.get("MaxResults", 10))
    return {result: wanted[start:end], "NextToken": str(end) if end < len(wanted) else None}
