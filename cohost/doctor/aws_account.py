"""Who is asking on AWS, and whether the region is there."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from cohost.doctor.check import Finding, Step, failed, ok
from cohost.doctor.environment import differing
from cohost.doctor.subject import Subject
from cohost.errors import DeploymentError
from cohost.provider.aws import Aws, own_words

CREDENTIALS: Final = "credentials"
REGION: Final = "region"
REGION_ON: Final = "region enabled"
_KEY: Final = "aws:region"
_VARIABLES: Final = ("AWS_REGION", "AWS_DEFAULT_REGION")
# Regions that every account of a partition has (IAM user guide, "Managing AWS STS in an AWS Region").
_HOMES: Final = {"cn-": "cn-north-1", "us-gov-": "us-gov-west-1"}
_HOME: Final = "us-east-1"
_SIGN_IN: Final = "set AWS_PROFILE to a profile of yours, or run `aws sso login`, or set AWS_ACCESS_KEY_ID and its like"


def steps(subject: Subject, aws: Aws) -> tuple[Step, ...]:
    """Returns the checks of account and region."""
    region = subject.config.get(_KEY, "")
    return (
        Step(CREDENTIALS, lambda: credentials(aws, region)),
        Step(REGION, lambda: known(region)),
        Step(REGION_ON, lambda: enabled(aws, region), needs=(CREDENTIALS, REGION)),
    )


def credentials(aws: Aws, region: str) -> Finding:
    """Asks STS who is asking: GetCallerIdentity needs no permission, and cannot be denied (STS API reference)."""
    try:
        return ok(_caller(aws, _home(region)))
    except DeploymentError as error:
        return failed(str(error), _SIGN_IN)


def known(region: str) -> Finding:
    """Looks for the region among those where botocore knows SageMaker, and whether the environment says another."""
    if not region:
        return failed(f"{_KEY} is missing", f"pulumi config set {_KEY} eu-west-1")
    regions = _regions()
    if region not in regions:
        near = get_close_matches(region, regions, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        remedy = f"pulumi config set {_KEY} {near[0] if near else 'eu-west-1'}, or update boto3 if the region is new"
        return failed(f"{region} is no region of SageMaker that is known here{hint}", remedy)
    return differing(_KEY, region, _VARIABLES) or ok(region)


def enabled(aws: Aws, region: str) -> Finding:
    """Asks STS in the region itself, which refuses every token of an account that has not enabled it."""
    try:
        _caller(aws, region)
    except DeploymentError as error:
        return failed(
            f"{region} does not take these credentials: {error}",
            f"aws account enable-region --region-name {region} (or the console, Account), then wait",
        )
    return ok(f"{region} takes these credentials")


def _caller(aws: Aws, region: str) -> str:
    client = aws.client("sts", region, patient=False)
    with own_words("asking STS who this is"):
        found = client.get_caller_identity()
    return f"{found['Arn']} in account {found['Account']}"


def _home(region: str) -> str:
    return next((home for prefix, home in _HOMES.items() if region.startswith(prefix)), _HOME)


def _regions() -> list[str]:
    from botocore.session import Session

    session: Any = Session()
    partitions = session.get_available_partitions()
    return [each for name in partitions for each in session.get_available_regions("sagemaker", partition_name=name)]
