"""The account that the containers run as."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pulumi
import pulumi_gcp as gcp

from cohost import tokens
from components.gcp.apis import Apis
from components.gcp.stack import Stack

# IAM reference, projects.serviceAccounts.create, accountId.
_ID_CHARACTERS: Final = 30


@dataclass(frozen=True, kw_only=True)
class ServingAccountArgs:
    """What an account is made of.

    Attributes:
        stack: Whose it is.
        apis: What must be on before.
        used_by: Members who may deploy containers that run as it.
    """

    stack: Stack
    apis: Apis
    used_by: Sequence[str] = ()


class ServingAccount(pulumi.ComponentResource):
    """An account that may write logs and nothing else.

    It need not read the store: Vertex AI lets a container read its own copy of the artifacts whatever it runs as
    (Vertex AI documentation, "Use a custom service account").

    Attributes:
        email: The account, once it may do what it must: whoever uses it is also deleted before its grants.
    """

    email: pulumi.Output[str]

    def __init__(self, name: str, args: ServingAccountArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Declares the account, its role, and who may use it."""
        super().__init__(tokens.GCP_SERVING_ACCOUNT, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        account = gcp.serviceaccount.Account(
            name,
            account_id=args.stack.fixed(name, limit=_ID_CHARACTERS),
            display_name="Serves the models of a shared endpoint",
            description=f"Containers of {args.stack.owner} run as it",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(args.apis.enabled)),
        )
        logs = gcp.projects.IAMMember(
            f"{name}-logs",
            project=args.stack.project,
            role="roles/logging.logWriter",
            member=account.member,
            opts=child,
        )
        for member in args.used_by:
            gcp.serviceaccount.IAMMember(
                f"{name}-used-by-{member}",
                service_account_id=account.name,
                # Holds iam.serviceAccounts.actAs.
                role="roles/iam.serviceAccountUser",
                member=member,
                opts=child,
            )
        self.email = pulumi.Output.all(account.email, logs.id).apply(lambda values: str(values[0]))
        self.register_outputs({"email": self.email})
