"""Where a SageMaker runtime is, by botocore's own rules, and with whose credentials requests to it are signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from cohost.client.errors import AccessDenied, PredictionError
from cohost.client.sigv4 import Signer


class AwsRuntime:
    """The SageMaker runtime of one region with the credentials of the environment.

    botocore's client is made once, for its knowledge of endpoints: `AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME`,
    `AWS_ENDPOINT_URL`, the configuration file, partitions (China, GovCloud), FIPS and dual stack. The calls
    do not go through it: its standard retry mode gives up on ModelNotReadyException after one request.

    Attributes:
        url: The endpoint's URL.
        ca_bundle: File of trusted certificates, or None for the system's.
    """

    def __init__(self, region: str | None, *, endpoint_url: str | None = None, credentials: Any = None) -> None:
        """Reads the environment.

        Args:
            region: None = as the environment says.
            endpoint_url: None = as botocore resolves it.
            credentials: botocore's credentials; None = those of the environment.

        Raises:
            PredictionError: There is no region, or botocore refuses the configuration.
        """
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        session = botocore.session.get_session()
        try:
            config = Config(retries={"total_max_attempts": 1})
            client = session.create_client(
                "sagemaker-runtime", region_name=region, endpoint_url=endpoint_url, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise PredictionError(f"AWS configuration: {error}") from error
        self.url: str = client.meta.endpoint_url.rstrip("/")
        self.ca_bundle: str | None = session.get_config_variable("ca_bundle")
        self._signer = Signer("sagemaker", client.meta.region_name, urlsplit(self.url).netloc)
        self._credentials = credentials or session.get_credentials()

    def sign(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a signed request; credentials that expire are refreshed in time.

        Raises:
            AccessDenied: There are no credentials, or they cannot be refreshed.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if self._credentials is None:
            raise AccessDenied("no AWS credentials in the environment, the configuration files or the instance")
        try:
            frozen: Any = self._credentials.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:  # a refresh is a call of its own (STS, SSO)
            raise AccessDenied(f"AWS credentials: {error}") from error
        return self._signer.sign(method, path, body, headers, frozen.access_key, frozen.secret_key, frozen.token)
