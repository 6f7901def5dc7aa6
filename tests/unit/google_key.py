"""A service account's key, made on the spot."""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa


def service_account(token_uri: str) -> dict[str, str]:
    """The key's file.

    Args:
        token_uri: Where it is exchanged for a token.
    """
    pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {
        "type": "service_account",
        "project_id": "acme",
        "private_key_id": "1",
        "private_key": pem.decode(),
        "client_email": "test@acme.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": token_uri,
    }
