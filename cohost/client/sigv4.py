"""AWS Signature Version 4 of one request.

Source: "Create a signed AWS API request" (IAM user guide). botocore's own signer does the same for any request in
several times the time, which a caller of a small model would notice; a test holds the signatures to it.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True)
class Signer:
    """Signs requests to one service at one place.

    Attributes:
        service: The name that the service signs by.
        region: Its region.
        host: Host and, where it is not the scheme's own, port.
    """

    service: str
    region: str
    host: str

    def sign(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str], key: str, secret: str, token: str | None
    ) -> dict[str, str]:
        """The headers of the signed request.

        Args:
            method: The HTTP method.
            path: The path, without a query.
            body: The whole body.
            headers: What else is sent, all of it signed.
            key: The access key's id.
            secret: The secret access key.
            token: The session token of temporary credentials, or None.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        sent = {**headers, "X-Amz-Date": moment}
        if token:
            sent["X-Amz-Security-Token"] = token
        names, head = _canonical(method, path, (*sent.items(), ("Host", self.host)))
        request = f"{head}{hashlib.sha256(body).hexdigest()}"
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        derived = _signing_key(secret, moment[:8], self.region, self.service)
        signature = hmac.digest(derived, text.encode(), "sha256").hex()
        sent["Authorization"] = f"{_ALGORITHM} Credential={key}/{scope}, SignedHeaders={names}, Signature={signature}"
        return sent


@lru_cache(maxsize=256)
def _canonical(method: str, path: str, headers: tuple[tuple[str, str], ...]) -> tuple[str, str]:
    """The signed headers' names, and the canonical request up to the payload's hash; the same for calls of a second."""
    signed = sorted((name.lower(), " ".join(value.split())) for name, value in headers)
    names = ";".join(name for name, _ in signed)
    lines = "".join(f"{name}:{value}\n" for name, value in signed)
    return names, f"{method}\n{quote(path, safe='/~')}\n\n{lines}\n{names}\n"


@lru_cache(maxsize=16)
def _signing_key(secret: str, day: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    derived = f"AWS4{secret}".encode()
    for part in (day, region, service, "aws4_request"):
        derived = hmac.digest(derived, part.encode(), "sha256")
    return derived
