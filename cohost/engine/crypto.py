"""Secrets at rest: AES-256-GCM with a key derived from the stack's passphrase by scrypt."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from functools import cached_property
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cohost.errors import CohostError

_NONCE_BYTES: Final = 12
_CHECK: Final = "pulumi"


class Crypter:
    """Encrypts JSON values of one state file.

    Attributes:
        salt: Random, kept in the state file.
    """

    def __init__(self, passphrase: str, salt: bytes | None = None) -> None:
        self._passphrase = passphrase
        self.salt = salt or os.urandom(16)

    @classmethod
    def open(cls, passphrase: str, description: str) -> Crypter:
        """The crypter of an existing state ("v1:<salt>:<an encrypted check value>").

        Raises:
            CohostError: The passphrase is not the one the state was written with.
        """
        _, salt, check = description.split(":", 2)
        crypter = cls(passphrase, base64.b64decode(salt))
        if crypter.decrypt(check) != _CHECK:
            raise CohostError("incorrect passphrase: the stack's state cannot be decrypted")
        return crypter

    def describe(self) -> str:
        """What `open` needs, without the passphrase."""
        return f"v1:{base64.b64encode(self.salt).decode()}:{self.encrypt(_CHECK)}"

    @cached_property
    def _cipher(self) -> AESGCM:
        key = hashlib.scrypt(self._passphrase.encode(), salt=self.salt, n=2**14, r=8, p=1, dklen=32)
        return AESGCM(key)

    def encrypt(self, value: Any) -> str:
        """The value as base64 text."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, json.dumps(value).encode(), None)).decode()

    def decrypt(self, text: str) -> Any:
        """The value back.

        Raises:
            CohostError: The passphrase is not the one it was encrypted with.
        """
        data = base64.b64decode(text)
        try:
            plain = self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
        except InvalidTag:
            raise CohostError("incorrect passphrase: the stack's state cannot be decrypted") from None
        return json.loads(plain)
