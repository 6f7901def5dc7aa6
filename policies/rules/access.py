"""Rules on who may do what."""

from __future__ import annotations

from typing import Final

from cohost import tokens
from rules import access_aws, access_gcp, types
from rules.rule import Rule

NO_WILDCARD_ACTION: Final = Rule(
    name="no-wildcard-action",
    description="No policy allows a pattern of actions.",
    level="mandatory",
    severity="high",
    remedy="Name each action; on GCP custom roles cannot hold patterns.",
    source="AWS Security Hub, IAM.21; IAM user guide, Grant least privilege",
    checks=dict.fromkeys((*access_aws.IDENTITY, types.AWS_BUCKET_POLICY), access_aws.wildcard_actions),
)

NO_WILDCARD_RESOURCE: Final = Rule(
    name="no-wildcard-resource",
    description="No policy allows an action on every resource where the service knows narrower ones.",
    level="mandatory",
    severity="high",
    remedy="Name the resources; for an action that knows none, add it to the setting withoutResource.",
    source="IAM user guide, Grant least privilege; AWS Service Authorization Reference (which actions know a resource)",
    checks=dict.fromkeys(access_aws.IDENTITY, access_aws.wildcard_resources),
    settings={
        "withoutResource": {
            "type": "array",
            "items": {"type": "string"},
            "default": [],
            "description": "More actions that know no resource.",
        }
    },
)

NO_PUBLIC_PRINCIPAL: Final = Rule(
    name="no-public-principal",
    description="Nothing is allowed to everyone.",
    level="mandatory",
    severity="critical",
    remedy="Name users, groups, roles, services or service accounts.",
    source="AWS Security Hub, S3.6 and IAM Access Analyzer; Google Cloud, IAM overview (allUsers)",
    checks={
        **dict.fromkeys((types.AWS_ROLE, *access_aws.RESOURCE), access_aws.public_principals),
        **dict.fromkeys(access_gcp.GRANTS, access_gcp.public_members),
    },
)

NO_FULL_ACCESS: Final = Rule(
    name="no-full-access",
    description="No ready-made policy or role is given that allows everything of a service or more.",
    level="mandatory",
    severity="high",
    remedy="Give what the stack's own caller and deployer policies or roles hold, and no more.",
    source="AWS Security Hub, IAM.1; Google Cloud, IAM basic roles (not in production)",
    checks={
        **dict.fromkeys(access_aws.ATTACHMENTS, access_aws.full_access),
        **dict.fromkeys(access_gcp.GRANTS, access_gcp.wide_roles),
    },
    settings={
        "refusedPolicies": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["*FullAccess", "AdministratorAccess*", "PowerUserAccess"],
            "description": "Patterns of names of AWS managed policies.",
        },
        "refusedRoles": {
            "type": "array",
            "items": {"type": "string"},
            "default": ["roles/owner", "roles/editor", "roles/viewer", "roles/*[aA]dmin"],
            "description": "Patterns of names of GCP roles.",
        },
    },
)

PASS_ROLE_LIMITED: Final = Rule(
    name="pass-role-limited",
    description="Only named roles or accounts can be given to a service, and only to named services.",
    level="mandatory",
    severity="high",
    remedy="Name the role and the condition iam:PassedToService; on GCP grant it on the one account.",
    source="IAM user guide, Granting a user permissions to pass a role; Google Cloud, Attach service accounts",
    checks={
        **dict.fromkeys(access_aws.IDENTITY, access_aws.loose_pass_role),
        **dict.fromkeys(access_gcp.PROJECT_GRANTS, access_gcp.impersonation_of_all),
        **dict.fromkeys(access_gcp.CUSTOM_ROLES, access_gcp.escalating_permissions),
    },
)

TRUST_LIMITED: Final = Rule(
    name="trust-limited",
    description="A service takes a role on AWS only on behalf of this account.",
    level="mandatory",
    severity="medium",
    remedy="Add the condition aws:SourceAccount or aws:SourceArn to the trust policy.",
    source="SageMaker developer guide, Cross-service confused deputy prevention",
    checks={types.AWS_ROLE: access_aws.loose_trust},
)

SERVING_ACCOUNT: Final = Rule(
    name="serving-account",
    description="Containers on GCP run as an account of the stack's own, not as the project's default one.",
    level="mandatory",
    severity="high",
    remedy="Give the deployed model a service account that may write logs and nothing else.",
    source="Vertex AI documentation, Use a custom service account; on AWS a model cannot be without a role",
    checks={tokens.VERTEX_DEPLOYED_MODEL: access_gcp.default_account},
)

RULES: Final = (
    NO_WILDCARD_ACTION,
    NO_WILDCARD_RESOURCE,
    NO_PUBLIC_PRINCIPAL,
    NO_FULL_ACCESS,
    PASS_ROLE_LIMITED,
    TRUST_LIMITED,
    SERVING_ACCOUNT,
)
