"""The rest of the local AWS as SageMaker uses it: as the service itself, and as a model's execution role."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from cohost.local.process import read_json
from cohost.local.sagemaker.errors import ProvisioningError, ServiceError, invalid

_SERVICE: Final = "sagemaker.amazonaws.com"
_SESSION_SECONDS: Final = 3600
_RENEW_SECONDS: Final = 300
_DEFAULT_ACCOUNT: Final = "123456789012"
_TIMEOUTS: Final = Config(
    connect_timeout=5,
    read_timeout=60,
    retries={"mode": "standard", "max_attempts": 3},
    s3={"addressing_style": "path"},
    max_pool_connections=32,
)


@dataclass(frozen=True)
class Location:
    """An object or a prefix in S3."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> Location:
        """Reads `s3://bucket/key`."""
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return cls(bucket, key)


class Cloud:
    """Clients of the local AWS."""

    def __init__(self, url: str, state: Path) -> None:
        """Remembers where it is.

        Args:
            url: Endpoint of every other AWS service.
            state: Folder with `credentials.json` ({access_key_id, secret_access_key, account}), the identity
                that stands for the service; without it the environment's credentials are used.
        """
        self._url = url
        self._credentials = state / "credentials.json"
        self._lock = threading.Lock()
        self._roles: dict[tuple[str, str], tuple[float, boto3.Session]] = {}
        self._clients: dict[tuple[str, ...], tuple[Any, Any]] = {}

    @property
    def account(self) -> str:
        """The account's id."""
        return str(read_json(self._credentials).get("account", _DEFAULT_ACCOUNT))

    def as_service(self, service: str, region: str) -> Any:
        """Returns a client with the service's own identity."""
        found = read_json(self._credentials)
        key = found.get("access_key_id") or os.environ.get("AWS_ACCESS_KEY_ID", "local")
        secret = found.get("secret_access_key") or os.environ.get("AWS_SECRET_ACCESS_KEY", "local")
        make = lambda: boto3.Session(aws_access_key_id=key, aws_secret_access_key=secret)  # noqa: E731
        return self._client((service, region, key), key, make)

    def as_role(self, service: str, role: str, region: str) -> Any:
        """Returns a client with a role's credentials, which are kept for most of an hour.

        Raises:
            ClientError: The role cannot be assumed.
        """
        with self._lock:
            expires, session = self._roles.get((role, region), (0.0, None))
        if session is None or expires < time.monotonic():
            answer = self.as_service("sts", region).assume_role(RoleArn=role, RoleSessionName="SageMaker")
            given = answer["Credentials"]
            session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])
            expires = time.monotonic() + _SESSION_SECONDS - _RENEW_SECONDS
            with self._lock:
                self._roles[role, region] = (expires, session)
        return self._client((service, region, role), session, lambda: session)

    def check_role(self, role: str, region: str) -> None:
        """Checks that the role exists and that SageMaker may assume it.

        Raises:
            ServiceError: Neither, in SageMaker's words.
        """
        refusal = invalid(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal "
            f"'{_SERVICE}' to assume the role."
        )
        try:
            answer = self.as_service("iam", region).get_role(RoleName=role.rpartition("/")[2])
        except ClientError as error:
            raise refusal from error
        if answer["Role"]["Arn"] != role or not trusts(answer["Role"]["AssumeRolePolicyDocument"]):
            raise refusal

    def check_model_data(self, role: str, url: str, region: str) -> None:
        """Checks that the role may list a multi-model container's prefix.

        Raises:
            ServiceError: It may not, in SageMaker's words.
        """
        place = Location.parse(url)
        try:
            s3 = self.as_role("s3", role, region)
            s3.list_objects_v2(Bucket=place.bucket, Prefix=place.key, MaxKeys=1)
        except ClientError as error:
            raise invalid(
                f'Could not access model data at {url}. Please ensure that the role "{role}" exists and that its '
                'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
                f'"{_SERVICE}". Also ensure that the role has "s3:GetObject" permissions and that the object is '
                f"located in {region}. If your Model uses multiple models or uncompressed models, please ensure "
                'that the role has "s3:ListBucket" permission.'
            ) from error

    def scales(self, endpoint: str, variant: str, region: str) -> bool:
        """Tells whether Application Auto Scaling changes the number of a variant's instances."""
        answer = self.as_service("application-autoscaling", region).describe_scalable_targets(
            ServiceNamespace="sagemaker",
            ResourceIds=[f"endpoint/{endpoint}/variant/{variant}"],
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        )
        return bool(answer["ScalableTargets"])

    def open_object(self, role: str, place: Location, region: str) -> tuple[int, IO[bytes]]:
        """Opens an object as the role; returns its size in bytes and its bytes.

        Raises:
            ServiceError: There is no such object, or the role may not read it: SageMaker says the same to both.
        """
        try:
            answer = self.as_role("s3", role, region).get_object(Bucket=place.bucket, Key=place.key)
        except ClientError as error:
            raise undownloadable(place) from error
        except BotoCoreError as error:
            raise ServiceError("ServiceUnavailable", str(error), status=503) from error
        return int(answer["ContentLength"]), answer["Body"]

    def alarms_in_alarm(self, role: str, names: list[str], region: str) -> list[str]:
        """Returns which of these alarms are in ALARM, read as the role as SageMaker does.

        Raises:
            ProvisioningError: The role may not read them, or one does not exist.
        """
        if not names:
            return []
        try:
            answer = self.as_role("cloudwatch", role, region).describe_alarms(AlarmNames=names)
        except ClientError as error:
            raise ProvisioningError(f"The alarms {names} could not be read: {error}") from error
        found = {alarm["AlarmName"]: alarm["StateValue"] for alarm in answer["MetricAlarms"]}
        if missing := sorted(set(names) - found.keys()):
            raise ProvisioningError(f"The alarms {missing} do not exist.")
        return sorted(name for name, value in found.items() if value == "ALARM")

    def _client(self, key: tuple[str, ...], identity: object, make: Any) -> Any:
        service, region = key[0], key[1]
        with self._lock:
            client, known = self._clients.get(key, (None, None))
            if client is None or (known is not identity and known != identity):
                client = make().client(service, region_name=region, endpoint_url=self._url, config=_TIMEOUTS)
                self._clients[key] = (client, identity)
            return client


def undownloadable(place: Location) -> ServiceError:
    """SageMaker's answer to a target model that it cannot fetch, whatever the reason."""
    return ServiceError(
        "ValidationError",
        f"Failed to download model data(bucket: {place.bucket}, key: {place.key}). Please ensure that there is an "
        "object located at the URL and that the role passed to CreateModel has permissions to download the model.",
    )


def trusts(document: str | dict[str, Any]) -> bool:
    """Tells whether a trust policy lets SageMaker assume the role."""
    policy = json.loads(document) if isinstance(document, str) else document
    return any(
        statement.get("Effect") == "Allow"
        and "sts:AssumeRole" in _listed(statement.get("Action", []))
        and isinstance(statement.get("Principal"), dict)
        and _SERVICE in _listed(statement["Principal"].get("Service", []))
        for statement in _listed(policy.get("Statement", []))
    )


def _listed(value: Any) -> Iterator[Any]:
    yield from value if isinstance(value, list) else [value]
