"""AWS clients as the plugin is configured: the credentials of the environment, a profile, or a role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from cohost.errors import DeploymentError

if TYPE_CHECKING:
    from cohost.client.sagemaker import SageMakerTransport
    from cohost.store import ObjectStore


@dataclass(frozen=True)
class AwsSettings:
    """Provider configuration; never holds keys or tokens, because it is kept in the state.

    Attributes:
        profile: Name of a profile in the AWS configuration files, or None.
        role_arn: A role to assume with the credentials of the environment or the profile, or None.
    """

    profile: str | None = None
    role_arn: str | None = None


class Aws:
    """Makes clients of AWS services, of the store and of the SageMaker runtime."""

    def __init__(self, settings: AwsSettings | None = None) -> None:
        """Looks at nothing yet: a preview needs no credentials."""
        self._settings = settings or AwsSettings()
        self._lock = Lock()
        self._session: Any = None

    def client(self, service: str, region: str, *, patient: bool = True) -> Any:
        """A client of a service.

        Args:
            service: As boto3 names it.
            region: Where.
            patient: Whether to wait and retry as usual; else give up after a few seconds (previews).
        """
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "total_max_attempts": 5})
        if not patient:
            config = Config(connect_timeout=3, read_timeout=5, retries={"total_max_attempts": 1})
        # Making a client is not safe from several threads at once (boto3, "Session").
        with self._lock, own_words("opening an AWS session"):
            return self._opened(region).client(service, region_name=region, config=config)

    def store(self, url: str, region: str) -> ObjectStore:
        """The store of a URL."""
        from cohost.stores import open_store

        with self._lock, own_words("opening an AWS session"):
            return open_store(url, region=region, session=self._opened(region))

    def runtime(self, endpoint: str, region: str) -> SageMakerTransport:
        """What calls an endpoint's models."""
        from cohost.client.sagemaker import SageMakerTransport

        with self._lock, own_words("opening an AWS session"):
            return SageMakerTransport(endpoint, region, credentials=self._opened(region).get_credentials())

    def _opened(self, region: str) -> Any:
        if self._session is None:
            import boto3

            self._session = boto3.Session(botocore_session=_core_session(self._settings, region))
        return self._session


@contextmanager
def own_words(doing: str) -> Iterator[None]:
    """Turns what boto3 raises into one line that holds the cloud's own words.

    Args:
        doing: What was tried, as in "looking at the endpoint digits".

    Raises:
        DeploymentError: In place of any error of botocore.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        details = error.response.get("Error", {})
        raise DeploymentError(
            f"{doing}: {details.get('Code', 'error')}: {details.get('Message', str(error))}"
        ) from error
    except BotoCoreError as error:
        raise DeploymentError(f"{doing}: {error}") from error


def error_code(error: BaseException | None) -> str:
    """The AWS error code that an exception was caused by, or an empty text."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""


def _core_session(settings: AwsSettings, region: str) -> Any:
    """A botocore session; that of a role renews its credentials by itself, since deployments outlast them.

    Args:
        settings: As configured.
        region: Where STS is asked.
    """
    from botocore.credentials import (
        AssumeRoleCredentialFetcher,
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
    )
    from botocore.session import Session

    class Assumed(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(method=self.METHOD, refresh_using=fetcher.fetch_credentials)

    base: Any = Session(profile=settings.profile)
    if settings.role_arn is None:
        return base
    source = base.get_credentials()
    if source is None:
        raise DeploymentError(f"no AWS credentials to assume the role {settings.role_arn} with")
    fetcher = AssumeRoleCredentialFetcher(
        client_creator=partial(base.create_client, region_name=region),
        source_credentials=source,
        role_arn=settings.role_arn,
        extra_args={"RoleSessionName": "cohost"},
    )
    assumed: Any = Session(profile=settings.profile)
    assumed.register_component("credential_provider", CredentialResolver(providers=[Assumed()]))
    return assumed
