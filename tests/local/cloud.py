"""The emulated account seen from outside: plain boto3 clients, and what is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from cohost.release import CURRENT_KEY
from tests.local.project import Project

REGION = "eu-west-1"


@dataclass(frozen=True)
class Cloud:
    """Clients with the administrator's key, as `cohost local env` gives it."""

    variables: Mapping[str, str]

    def client(self, service: str) -> Any:
        url = self.variables.get(
            f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}", self.variables["AWS_ENDPOINT_URL"]
        )
        return boto3.client(
            service,  # pyright: ignore[reportArgumentType]
            region_name=REGION,
            endpoint_url=url,
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )

    def bucket(self) -> str:
        (bucket,) = self.client("s3").list_buckets()["Buckets"]
        return bucket["Name"]

    def keys(self, prefix: str = "") -> dict[str, str]:
        """ETag by key."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket(), Prefix=prefix)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", ())}

    def current(self) -> dict[str, Any]:
        """What `releases/current.json` holds."""
        return json.load(self.client("s3").get_object(Bucket=self.bucket(), Key=CURRENT_KEY)["Body"])

    def endpoint(self, name: str = "shared-endpoint-aws") -> dict[str, Any]:
        return self.client("sagemaker").describe_endpoint(EndpointName=name)

    def leftovers(self) -> dict[str, list[str]]:
        """Everything in the account but the administrator and keys that wait for their deletion."""
        sagemaker, iam, kms = self.client("sagemaker"), self.client("iam"), self.client("kms")
        keys = [kms.describe_key(KeyId=key["KeyId"])["KeyMetadata"] for key in kms.list_keys()["Keys"]]
        found = {
            "endpoint": [item["EndpointName"] for item in sagemaker.list_endpoints()["Endpoints"]],
            "config": [item["EndpointConfigName"] for item in sagemaker.list_endpoint_configs()["EndpointConfigs"]],
            "model": [item["ModelName"] for item in sagemaker.list_models()["Models"]],
            "bucket": [item["Name"] for item in self.client("s3").list_buckets()["Buckets"]],
            "role": [item["RoleName"] for item in iam.list_roles()["Roles"]],
            "policy": [item["PolicyName"] for item in iam.list_policies(Scope="Local")["Policies"]],
            "log group": [item["logGroupName"] for item in self.client("logs").describe_log_groups()["logGroups"]],
            "alarm": [item["AlarmName"] for item in self.client("cloudwatch").describe_alarms()["MetricAlarms"]],
            "alias": [
                item["AliasName"]
                for item in kms.list_aliases()["Aliases"]
                if not item["AliasName"].startswith("alias/aws/")
            ],
            "key": [key["KeyId"] for key in keys if key["KeyState"] != "PendingDeletion"],
        }
        return {kind: names for kind, names in found.items() if names}


def cloud_of(project: Project) -> Cloud:
    """The account behind a project's emulators."""
    return Cloud(project.cloud())
