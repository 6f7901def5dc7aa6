"""A service-account key of nobody's, by which Google's own clients get their tokens from the emulator."""

from __future__ import annotations

import json
import os
from pathlib import Path


def ensure(file: Path, *, project: str, token_uri: str) -> Path:
    """Writes the key, or points the one that is there at another address, and returns the file.

    Args:
        file: Where; readable by its owner alone.
        project: The project that the account belongs to.
        token_uri: Who gives tokens for it.
    """
    try:
        known = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        known = {"private_key": _private_key()}
    email = f"deployer@{project}.iam.gserviceaccount.com"
    wanted = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": "local",
        "private_key": known["private_key"],
        "client_email": email,
        "token_uri": token_uri,
    }
    if wanted != known:
        partial = file.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(wanted, out)
        partial.replace(file)
    return file


def _private_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption()).decode()
