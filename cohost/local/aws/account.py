"""The emulated account and its administrator, whose key the local tools sign with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

ACCOUNT: Final = DEFAULT_ACCOUNT_ID
ADMINISTRATOR: Final = "deployer"
_PARTITION: Final = "aws"
# Of the emulated account's administrator alone, as AWS's own AdministratorAccess; no stack gives it to anybody.
_ALLOW_ALL: Final = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
)


def ensure_administrator() -> bool:
    """Makes the user `deployer` with one access key and every permission, unless the account has it.

    Returns:
        Whether it was made now.
    """
    iam = iam_backends[ACCOUNT][_PARTITION]
    if ADMINISTRATOR in iam.users:
        return False
    iam.create_user(_PARTITION, ADMINISTRATOR)
    iam.put_user_policy(ADMINISTRATOR, "administrator", _ALLOW_ALL)
    iam.create_access_key(ADMINISTRATOR)
    return True


def write_credentials(folder: Path) -> None:
    """Writes the administrator's key to `folder/credentials.json`, readable by this user only."""
    key = iam_backends[ACCOUNT][_PARTITION].users[ADMINISTRATOR].access_keys[0]
    content = {
        "access_key_id": key.access_key_id,
        "secret_access_key": key.secret_access_key,
        "account": ACCOUNT,
    }
    partial = folder / f"credentials.{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps(content, indent=1) + "\n")
    partial.replace(folder / "credentials.json")
