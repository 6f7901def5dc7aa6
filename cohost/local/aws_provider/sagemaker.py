"""SageMaker: models, endpoint configurations and endpoints.

Source of what replaces, what is waited for and what is retried: hashicorp/terraform-provider-aws,
internal/service/sagemaker/{model,endpoint_configuration,endpoint}.go of 2026.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from botocore.exceptions import ClientError

from cohost.errors import DeploymentError
from cohost.local.aws_provider.convert import from_api, map_to_pairs, pairs_to_map, request
from cohost.local.aws_provider.resource import Call, Change, Gone, Name, Resource

_NAME_LIMIT: Final = 63
_PROPAGATION_SECONDS: Final = 5  # the real provider: 2 minutes; here roles are known at once
_RETRY_SECONDS: Final = 0.25
_IN_SERVICE_SECONDS: Final = 3600
_DELETED_SECONDS: Final = 600


class _Tagged(Resource):
    """What the types have in common: how tags are kept, and how SageMaker says that something is not there."""

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes the tags."""
        sagemaker, arn = call.client("sagemaker"), change.old["arn"]
        wanted, unwanted = change.tags()
        if unwanted:
            sagemaker.delete_tags(ResourceArn=arn, TagKeys=unwanted)
        if wanted:
            sagemaker.add_tags(ResourceArn=arn, Tags=map_to_pairs(wanted))

    def is_gone(self, error: Exception) -> bool:
        """The code says nothing: SageMaker answers everything with ValidationException."""
        return super().is_gone(error) or (isinstance(error, ClientError) and "Could not find" in str(error))


class Model(_Tagged):
    """A model: an image and where its artifacts are."""

    token = "aws:sagemaker/model:Model"
    _plain: ClassVar = ("enableNetworkIsolation", "executionRoleArn", "primaryContainer", "vpcConfig")
    supported: ClassVar = frozenset({*_plain, "name", "region", "tags"})
    name: ClassVar = Name(limit=_NAME_LIMIT, prefix="")
    replaces: ClassVar = frozenset({*_plain, "name"})
    sets: ClassVar = frozenset({"vpcConfig.securityGroupIds", "vpcConfig.subnets"})
    defaults: ClassVar = {"primaryContainer.mode": "SingleModel"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the model, again for a while when SageMaker does not know its role yet."""
        sagemaker = call.client("sagemaker")
        given = {name: inputs[name] for name in self._plain if name in inputs}
        more = {"ModelName": inputs["name"], "Tags": map_to_pairs(inputs.get("tags") or {})}
        parameters = request(sagemaker, "CreateModel", given, **more)
        deadline = time.monotonic() + _PROPAGATION_SECONDS
        while True:
            try:
                sagemaker.create_model(**parameters)
            except ClientError as error:
                late = time.monotonic() > deadline
                if late or "assume role" not in str(error) or call.session.cancelled.wait(_RETRY_SECONDS):
                    raise
            else:
                return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the model."""
        sagemaker = call.client("sagemaker")
        told = sagemaker.describe_model(ModelName=resource_id)
        network = told.get("VpcConfig")
        return {
            "name": told["ModelName"],
            "arn": told["ModelArn"],
            "executionRoleArn": told.get("ExecutionRoleArn"),
            "enableNetworkIsolation": told.get("EnableNetworkIsolation", False),
            "primaryContainer": _container(told.get("PrimaryContainer")),
            "vpcConfig": from_api(network) if network else None,
            "tags": _tags(sagemaker, told["ModelArn"]),
        }

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the model, whatever uses it."""
        call.client("sagemaker").delete_model(ModelName=resource_id)


class EndpointConfiguration(_Tagged):
    """An endpoint configuration: which models on which instances."""

    token = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
    supported: ClassVar = frozenset({"kmsKeyArn", "name", "namePrefix", "productionVariants", "region", "tags"})
    name: ClassVar = Name(limit=_NAME_LIMIT)
    replaces: ClassVar = frozenset({"kmsKeyArn", "name", "namePrefix", "productionVariants"})
    defaults: ClassVar = {"productionVariants.initialVariantWeight": 1}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the configuration."""
        sagemaker = call.client("sagemaker")
        given = {"productionVariants": [_to_variant(variant) for variant in inputs["productionVariants"]]}
        if "kmsKeyArn" in inputs:
            given["kmsKeyId"] = inputs["kmsKeyArn"]
        more = {"EndpointConfigName": inputs["name"], "Tags": map_to_pairs(inputs.get("tags") or {})}
        sagemaker.create_endpoint_config(**request(sagemaker, "CreateEndpointConfig", given, **more))
        return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the configuration."""
        sagemaker = call.client("sagemaker")
        told = sagemaker.describe_endpoint_config(EndpointConfigName=resource_id)
        return {
            "name": told["EndpointConfigName"],
            "arn": told["EndpointConfigArn"],
            "kmsKeyArn": told.get("KmsKeyId"),
            "productionVariants": [_from_variant(variant) for variant in told["ProductionVariants"]],
            "tags": _tags(sagemaker, told["EndpointConfigArn"]),
        }

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the configuration, whatever uses it."""
        call.client("sagemaker").delete_endpoint_config(EndpointConfigName=resource_id)


class Endpoint(_Tagged):
    """An endpoint, with the real provider's traps.

    - An endpoint whose creation fails stays in SageMaker, and the engine does not know it: the id is set after the
      wait.
    - An update that SageMaker takes back counts as done (hashicorp/terraform-provider-aws#48997): all that is
      waited for is InService. The real provider asks every 10 s and fails when it happens to meet RollingBack;
      here a rollback is over sooner, so that status is passed over.
    - Rollback settings cannot come or go in place; their alarms can change.
    """

    token = "aws:sagemaker/endpoint:Endpoint"
    _deployed: ClassVar = ("deploymentConfig", "endpointConfigName")
    supported: ClassVar = frozenset({*_deployed, "name", "region", "tags"})
    name: ClassVar = Name(limit=_NAME_LIMIT, prefix="")
    replaces: ClassVar = frozenset({"name"})
    replaces_by_presence: ClassVar = frozenset({"deploymentConfig.autoRollbackConfiguration"})
    sets: ClassVar = frozenset({"deploymentConfig.autoRollbackConfiguration.alarms"})

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the endpoint and waits until it is in service."""
        sagemaker, name = call.client("sagemaker"), inputs["name"]
        more = {"EndpointName": name, "Tags": map_to_pairs(inputs.get("tags") or {})}
        sagemaker.create_endpoint(**request(sagemaker, "CreateEndpoint", self._given(inputs), **more))
        _wait_in_service(call, name, "create")
        return name

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the endpoint; one that is being deleted is gone."""
        sagemaker = call.client("sagemaker")
        told = sagemaker.describe_endpoint(EndpointName=resource_id)
        if told["EndpointStatus"] == "Deleting":
            raise Gone(f"the endpoint {resource_id} is being deleted")
        deployment = told.get("LastDeploymentConfig")
        return {
            "name": told["EndpointName"],
            "arn": told["EndpointArn"],
            "endpointConfigName": told.get("EndpointConfigName"),
            "deploymentConfig": from_api(deployment) if deployment else None,
            "tags": _tags(sagemaker, told["EndpointArn"]),
        }

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes the tags; has SageMaker bring up another fleet and waits until the endpoint is in service."""
        super().update(call, resource_id, change)
        if change.touches(*self._deployed):
            sagemaker = call.client("sagemaker")
            parameters = request(sagemaker, "UpdateEndpoint", self._given(change.new), EndpointName=resource_id)
            sagemaker.update_endpoint(**parameters)
            _wait_in_service(call, resource_id, "update")

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the endpoint and waits until it is gone."""
        sagemaker = call.client("sagemaker")
        sagemaker.delete_endpoint(EndpointName=resource_id)

        def finished() -> bool:
            try:
                sagemaker.describe_endpoint(EndpointName=resource_id)
            except ClientError as error:
                if self.is_gone(error):
                    return True
                raise
            return False

        call.wait(finished, limit=_DELETED_SECONDS, what=_waiting_for(resource_id, "delete"))

    def _given(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {name: inputs[name] for name in self._deployed if name in inputs}


def _wait_in_service(call: Call, name: str, operation: str) -> None:
    sagemaker, what = call.client("sagemaker"), _waiting_for(name, operation)

    def finished() -> bool:
        told = sagemaker.describe_endpoint(EndpointName=name)
        status = told["EndpointStatus"]
        if status not in {"InService", "Creating", "Updating", "SystemUpdating", "RollingBack"}:
            reason = told.get("FailureReason", "none given")
            raise DeploymentError(
                f"{what}: unexpected state '{status}', wanted target 'InService'. last error: {reason}"
            )
        return status == "InService"

    call.wait(finished, limit=_IN_SERVICE_SECONDS, what=what)


def _waiting_for(name: str, operation: str) -> str:
    return f"waiting for SageMaker AI Endpoint ({name}) {operation}"


def _container(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Returns a container's properties; the names of its environment are the user's own."""
    if not told:
        return None
    container = from_api({name: value for name, value in told.items() if name != "Environment"})
    return container | ({"environment": told["Environment"]} if told.get("Environment") else {})


def _to_variant(variant: Mapping[str, Any]) -> dict[str, Any]:
    """Pulumi has a list of routing configurations where the API has one."""
    given = dict(variant)
    routing = given.pop("routingConfigs", None)
    return given | ({"routingConfig": routing[0]} if routing else {})


def _from_variant(told: Mapping[str, Any]) -> dict[str, Any]:
    variant = from_api(told)
    routing = variant.pop("routingConfig", None)
    return variant | ({"routingConfigs": [routing]} if routing else {})


def _tags(sagemaker: Any, arn: str) -> dict[str, str]:
    pages = sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn)
    return pairs_to_map([tag for page in pages for tag in page["Tags"]])


RESOURCES = (Model(), EndpointConfiguration(), Endpoint())
