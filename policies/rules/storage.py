"""Rules on the store: encrypted, private, reached by TLS only, and never forgetting or overwriting an artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from cohost import tokens
from rules import documents, types
from rules.rule import Context, Resource, Rule
from rules.values import UNKNOWN, at, differs, entries, items, missing, shown, text

_MODELS: Final = "/models/*"
_PUBLIC_ACLS: Final = ("public-read", "public-read-write", "authenticated-read")


def _encrypted(resource: Resource, context: Context) -> Iterator[str]:
    for rule in items(resource.props.get("rules")):
        algorithm = at(rule, "applyServerSideEncryptionByDefault", "sseAlgorithm")
        if differs(algorithm, "aws:kms"):
            yield f"sseAlgorithm is {shown(algorithm)}, not aws:kms"
        elif missing(at(rule, "applyServerSideEncryptionByDefault", "kmsMasterKeyId")):
            yield "kmsMasterKeyId is not set, so the key is one that the account cannot restrict"


def _rotated(resource: Resource, context: Context) -> Iterator[str]:
    if differs(rotation := resource.props.get("enableKeyRotation"), True):
        yield f"enableKeyRotation is {shown(rotation)}, not true"


STORE_ENCRYPTED: Final = Rule(
    name="store-encrypted",
    description="A store is encrypted with a KMS key that the account controls and that rotates.",
    level="mandatory",
    severity="high",
    remedy="Encrypt the bucket with aws:kms and a key, and let the key rotate.",
    source="AWS Security Hub, S3.17 and KMS.4; Google Cloud Storage encrypts always (customer-key-everywhere)",
    checks={types.AWS_BUCKET_ENCRYPTION: _encrypted, types.AWS_KEY: _rotated},
)


_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    types.GCP_BUCKET: ("encryption", "defaultKmsKeyName"),
    types.GCP_ENDPOINT: ("encryptionSpec", "kmsKeyName"),
    tokens.VERTEX_MODEL: ("kmsKey",),
}


def _one_key(resources: Sequence[Resource], context: Context) -> Iterator[tuple[str, Resource | None]]:
    keys = {resource.urn: at(resource.props, *_KEYS[resource.type]) for resource in resources if resource.type in _KEYS}
    given = sorted({key for key in keys.values() if text(key)})
    if len(given) > 1:
        yield f"has different keys: {', '.join(given)}", None
    for resource in resources:
        if given and resource.urn in keys and missing(keys[resource.urn]):
            yield f"{'.'.join(_KEYS[resource.type])} is not set, and others of the stack have {given[0]}", resource


CUSTOMER_KEY_EVERYWHERE: Final = Rule(
    name="customer-key-everywhere",
    description="On GCP, a key given for one of bucket, models and endpoint encrypts all of them.",
    level="mandatory",
    severity="high",
    remedy="Give bucket, models and endpoint the same key; the setting encryption.kmsKey does.",
    source="Vertex AI documentation, Customer-managed encryption keys (the model's and the endpoint's are the same)",
    stack_check=_one_key,
    clouds=("GCP",),
)


def _customer_key(resource: Resource, context: Context) -> Iterator[str]:
    if missing(at(resource.props, *_KEYS[resource.type])):
        yield f"{'.'.join(_KEYS[resource.type])} is not set"


CUSTOMER_KEY_IN_PRODUCTION: Final = Rule(
    name="customer-key-in-production",
    description="In production on GCP, bucket, models and endpoint are encrypted with a key of the project's own.",
    level="advisory",
    severity="medium",
    remedy="Set encryption.kmsKey to a key in the stack's region.",
    source="Google Cloud, Customer-managed encryption keys (CMEK); Google's own keys are the default",
    checks=dict.fromkeys(_KEYS, _customer_key),
    production=True,
)


def _blocked(resource: Resource, context: Context) -> Iterator[str]:
    for flag in ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets"):
        if differs(value := resource.props.get(flag), True):
            yield f"{flag} is {shown(value)}, not true"


def _owned(resource: Resource, context: Context) -> Iterator[str]:
    if differs(ownership := at(resource.props, "rule", "objectOwnership"), "BucketOwnerEnforced"):
        yield f"objectOwnership is {shown(ownership)}, not BucketOwnerEnforced"


def _no_public_acl(resource: Resource, context: Context) -> Iterator[str]:
    if (acl := resource.props.get("acl")) in _PUBLIC_ACLS:
        yield f"acl is {acl}"


def _prevented(resource: Resource, context: Context) -> Iterator[str]:
    if differs(prevention := resource.props.get("publicAccessPrevention"), "enforced"):
        yield f"publicAccessPrevention is {shown(prevention)}, not enforced"
    if differs(uniform := resource.props.get("uniformBucketLevelAccess"), True):
        yield f"uniformBucketLevelAccess is {shown(uniform)}, not true"


STORE_PRIVATE: Final = Rule(
    name="store-private",
    description="A store cannot be made public, by a list of access or by a policy.",
    level="mandatory",
    severity="critical",
    remedy="Block every way of public access, and let the bucket's owner alone own its objects.",
    source="AWS Security Hub, S3.8 and S3.12; Google Cloud, Public access prevention, Uniform bucket-level access",
    checks={
        types.AWS_BUCKET: _no_public_acl,
        types.AWS_BUCKET_PUBLIC_ACCESS_BLOCK: _blocked,
        types.AWS_BUCKET_OWNERSHIP: _owned,
        types.GCP_BUCKET: _prevented,
    },
)


def _tls_only(resource: Resource, context: Context) -> Iterator[str]:
    policy = resource.props.get("policy")
    if policy is UNKNOWN:
        return
    covered: set[str] = set()
    for statement in documents.statements(policy):
        secure = at(statement.condition, "Bool", "aws:SecureTransport")
        if not statement.allows and statement.everyone and "s3:*" in statement.actions and secure == "false":
            covered |= {"objects" if resource.endswith("/*") else "bucket" for resource in statement.resources}
    for what in ("bucket", "objects"):
        if what not in covered:
            yield f"no statement denies s3:* on the {what} to everyone without aws:SecureTransport"


TLS_ONLY: Final = Rule(
    name="tls-only",
    description="A store on AWS refuses requests without TLS.",
    level="mandatory",
    severity="high",
    remedy='Deny s3:* on the bucket and on its objects to everyone where aws:SecureTransport is "false".',
    source="AWS Security Hub, S3.5; Google Cloud Storage takes credentials by TLS only, and has no setting for it",
    checks={types.AWS_BUCKET_POLICY: _tls_only},
)


def _never_overwritten(resource: Resource, context: Context) -> Iterator[str]:
    policy = resource.props.get("policy")
    if policy is UNKNOWN:
        return
    for statement in documents.statements(policy):
        unconditional = at(statement.condition, "Null", "s3:if-none-match") == "true"
        writes = "s3:PutObject" in statement.actions and any(name.endswith(_MODELS) for name in statement.resources)
        if not statement.allows and statement.everyone and writes and unconditional:
            return
    yield "no statement denies s3:PutObject below models/ to everyone without If-None-Match"


def _versioned(resource: Resource, context: Context) -> Iterator[str]:
    if differs(status := at(resource.props, "versioningConfiguration", "status"), "Enabled"):
        yield f"versioning is {shown(status)}, not Enabled"


def _kept_objects(resource: Resource, context: Context) -> Iterator[str]:
    if differs(enabled := at(resource.props, "versioning", "enabled"), True):
        yield f"versioning.enabled is {shown(enabled)}, not true"
    for index, rule in enumerate(items(resource.props.get("lifecycleRules"))):
        state = at(rule, "condition", "withState")
        if at(rule, "action", "type") == "Delete" and differs(state, "ARCHIVED"):
            yield f"lifecycleRules[{index}] deletes objects whose state is {shown(state)}, not ARCHIVED alone"


def _keeps_current(resource: Resource, context: Context) -> Iterator[str]:
    for rule in items(resource.props.get("rules")):
        expiration = entries(at(rule, "expiration"))
        if expiration.get("days") or expiration.get("date"):
            yield f"lifecycle rule {shown(at(rule, 'id'))} deletes objects that are in use"


ARTIFACTS_KEPT: Final = Rule(
    name="artifacts-kept",
    description="An artifact is never overwritten or deleted by age: a release may need it.",
    level="mandatory",
    severity="high",
    remedy="Keep versioning on, let lifecycle rules delete noncurrent versions only, and refuse unconditional writes.",
    source="docs/decisions/003-deterministic-archives.md; S3 user guide, Enforce conditional writes on S3 buckets",
    checks={
        types.AWS_BUCKET_POLICY: _never_overwritten,
        types.AWS_BUCKET_VERSIONING: _versioned,
        types.AWS_BUCKET_LIFECYCLE: _keeps_current,
        types.GCP_BUCKET: _kept_objects,
    },
)


_GUARDS: Final = (
    types.AWS_BUCKET_ENCRYPTION,
    types.AWS_BUCKET_OWNERSHIP,
    types.AWS_BUCKET_POLICY,
    types.AWS_BUCKET_PUBLIC_ACCESS_BLOCK,
    types.AWS_BUCKET_VERSIONING,
)


def _guarded(resources: Sequence[Resource], context: Context) -> Iterator[tuple[str, Resource | None]]:
    for bucket in resources:
        if bucket.type != types.AWS_BUCKET:
            continue
        guards = {guard.type for guard in resources if guard.type in _GUARDS and _is_of(guard, bucket)}
        for absent in sorted(set(_GUARDS) - guards):
            yield f"has no {absent.rpartition(':')[2]}", bucket


def _is_of(guard: Resource, bucket: Resource) -> bool:
    name = text(bucket.props.get("bucket"))
    return bucket.urn in guard.links.get("bucket", ()) or (name is not None and guard.props.get("bucket") == name)


STORE_GUARDED: Final = Rule(
    name="store-guarded",
    description="Every bucket on AWS has what encrypts it, versions it, owns its objects, and keeps the public out.",
    level="mandatory",
    severity="high",
    remedy="Declare it beside the bucket; components/aws/artifact_store.py declares all of them.",
    source="pulumi-aws 7.51, s3.Bucket: these are resources of their own, so a bucket without them is not refused",
    stack_check=_guarded,
    clouds=("AWS",),
)

RULES: Final = (
    STORE_ENCRYPTED,
    CUSTOMER_KEY_EVERYWHERE,
    CUSTOMER_KEY_IN_PRODUCTION,
    STORE_PRIVATE,
    TLS_ONLY,
    ARTIFACTS_KEPT,
    STORE_GUARDED,
)
