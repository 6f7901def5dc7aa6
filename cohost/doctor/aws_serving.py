"""Whether AWS has what the endpoint runs on: quota and image."""

from __future__ import annotations

import re
from typing import Final

from cohost import fleet
from cohost.aws_settings import AwsSettings, Variant
from cohost.doctor.check import Finding, Step, failed, ok, warning
from cohost.doctor.subject import Subject
from cohost.errors import DeploymentError
from cohost.provider import quota
from cohost.provider.aws import Aws, error_code, own_words

_ECR: Final = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/"
    r"(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>.+))?"
)


def steps(subject: Subject, aws: Aws, needs: tuple[str, ...]) -> tuple[Step, ...]:
    """Returns the checks of quota and image, which need sound settings beside `needs`."""

    def wanted() -> AwsSettings:
        found = subject.settings()
        assert isinstance(found, AwsSettings)
        return found

    return (
        Step("quota", lambda: instances(aws, wanted().region, wanted().variant), needs=needs),
        Step("image", lambda: image(aws, wanted().image_uri), needs=needs),
    )


def instances(aws: Aws, region: str, variant: Variant) -> Finding:
    """Compares the quota with the fleet, and with two of it: every endpoint update runs both for a while."""
    kind = variant.instance_type
    name = quota.name_of(kind)
    limit = quota.read(aws, region, kind, patient=False)
    if limit is None:
        return warning(f'there is no quota "{name}" in {region}', "see whether the instance type is offered there")
    first, most = variant.min_instances, max(2 * variant.min_instances, variant.max_instances)
    found = f'"{name}" in {region} is {limit:g}'
    more = f"ask for {most} at {quota.console(region)}"
    if limit < first:
        return failed(f"{found}, and the first `up` needs {first}", f"{more}, or choose another instance type")
    if limit < most:
        what = "updates and scaling" if variant.autoscaled else "an update, which runs both fleets at once,"
        return warning(f"{found}: enough for the first `up`, but {what} may need {most}", more)
    return ok(f"{found}, and {most} at the most are needed; what else uses it is not counted")


def image(aws: Aws, uri: str) -> Finding:
    """Asks ECR for the image's manifest, as SageMaker will.

    Source: ECR API reference, BatchGetImage (`failures`, RepositoryNotFoundException).
    """
    parts = _ECR.fullmatch(uri)
    if parts is None:
        return warning(f"{uri} is not an address in ECR", "see to it that SageMaker can pull it")
    identity = {"imageDigest": parts["digest"]} if parts["digest"] else {"imageTag": parts["tag"]}
    client = aws.client("ecr", parts["region"], patient=False)
    try:
        with own_words("asking ECR for the image"):
            answer = client.batch_get_image(
                registryId=parts["account"], repositoryName=parts["repository"], imageIds=[identity]
            )
    except DeploymentError as error:
        if error_code(error) == "RepositoryNotFoundException":
            return failed(
                str(error), "image.account: AWS's own sources name several accounts (docs/traps.md); or image.uri"
            )
        raise
    if answer["images"]:
        return ok(uri)
    reasons = ", ".join(str(each.get("failureReason")) for each in answer["failures"])
    return failed(f"{uri}: {reasons}", f"image.version: one of {', '.join(fleet.image_versions())}; or image.uri")
