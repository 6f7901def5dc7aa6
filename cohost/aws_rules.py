"""What must hold between the settings of a stack on AWS, and between them and what AWS offers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from cohost import fleet
from cohost.aws_settings import AwsSettings

# A key of the project's namespace ("variant.maxInstances") or a full one ("aws:region"), and what is wrong.
Fault = tuple[str, str]

# Source: botocore 1.44.5, logs, PutRetentionPolicy.
_RETENTION_DAYS: Final = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
)
# Source: AWS General Reference, "Tag naming and usage conventions" (50 tags; 128 and 256 characters).
_TAG_TEXT: Final = re.compile(r"[\w .:/=+@-]*")
_MAX_TAGS: Final = 45
# IAM refuses a managed policy of more than 6,144 characters; the rest of the caller policy needs about 1,500.
_MAX_PATTERN_CHARACTERS: Final = 4000


def faults(settings: AwsSettings) -> list[Fault]:
    """Returns everything wrong with settings whose types are right."""
    return [fault for rule in _RULES for fault in rule(settings)]


def _fleet(settings: AwsSettings) -> Iterator[Fault]:
    variant = settings.variant
    refused = fleet.instance_type_fault(variant.instance_type)
    if refused:
        yield "variant.instanceType", refused
    if variant.max_instances < variant.min_instances:
        message = f"is {variant.max_instances}, fewer than minInstances ({variant.min_instances})"
        yield "variant.maxInstances", message
    if variant.autoscaled and variant.invocations_per_instance is None:
        yield (
            "variant.invocationsPerInstance",
            "is missing, and maxInstances > minInstances means autoscaling; give the calls a minute that one "
            "instance should get, about half of what it can take",
        )


def _image(settings: AwsSettings) -> Iterator[Fault]:
    image, ami = settings.image, settings.inference_ami_version
    known = ", ".join(fleet.image_versions())
    if image.uri:
        for key in sorted({"account", "version"} & image.model_fields_set):
            yield f"image.{key}", "stands beside image.uri, which is the whole address; remove one of them"
        if ami is None:
            yield (
                "inferenceAmiVersion",
                f"is missing, and image.uri needs it; one of {', '.join(fleet.amis())}",
            )
        return
    if ami is None and fleet.image_version(image.version) is None:
        yield (
            "image.version",
            f"{image.version!r} is not known ({known}); with inferenceAmiVersion any tag is taken",
        )
    if image.account is None and fleet.image_account(settings.region) is None:
        yield (
            "image.account",
            f"is missing, and the account that holds the image in {settings.region} is not known; "
            "give it, or image.uri",
        )


def _ami(settings: AwsSettings) -> Iterator[Fault]:
    ami = settings.inference_ami_version
    if ami is not None and ami not in fleet.amis():
        yield (
            "inferenceAmiVersion",
            f"{ami!r} is not an inference AMI for GPUs; one of {', '.join(fleet.amis())}",
        )


def _encryption(settings: AwsSettings) -> Iterator[Fault]:
    key = settings.encryption.kms_key_arn
    if key and key.split(":")[3] != settings.region:
        yield (
            "encryption.kmsKeyArn",
            f"is a key in {key.split(':')[3]}; the bucket in {settings.region} needs one there",
        )


def _network(settings: AwsSettings) -> Iterator[Fault]:
    subnets, groups = settings.network.subnet_ids, settings.network.security_group_ids
    if groups and not subnets:
        yield "network.subnetIds", "is missing, and securityGroupIds needs it; two or more in different zones"
    if subnets and len(set(subnets)) < 2:
        yield "network.subnetIds", "names one subnet; SageMaker wants two or more, in different zones"
    if subnets and not groups:
        yield "network.securityGroupIds", "is missing, and subnetIds needs it; one or more of the same VPC"


def _keeping(settings: AwsSettings) -> Iterator[Fault]:
    if settings.production and settings.force_destroy:
        yield (
            "forceDestroy",
            "is true, and so is production, which protects the store; one of them must be false",
        )
    if settings.log_retention_days not in _RETENTION_DAYS:
        days = ", ".join(map(str, _RETENTION_DAYS))
        yield "logRetentionDays", f"{settings.log_retention_days} is not one of CloudWatch's: {days}"


def _tags(settings: AwsSettings) -> Iterator[Fault]:
    if len(settings.tags) > _MAX_TAGS:
        yield "tags", f"has {len(settings.tags)} tags; {_MAX_TAGS} are the most"
    for name, value in settings.tags.items():
        if name.lower().startswith(("aws:", "cohost:")):
            yield f"tags.{name}", "begins with a prefix that is not yours to use (aws:, cohost:)"
        elif not (0 < len(name) <= 128 and len(value) <= 256 and _TAG_TEXT.fullmatch(name + value)):
            yield (
                f"tags.{name}",
                "has characters that AWS refuses, or too many; letters, digits, spaces, . : / = + @ - _",
            )


def _caller(settings: AwsSettings) -> Iterator[Fault]:
    total = sum(map(len, settings.caller.target_models))
    if total > _MAX_PATTERN_CHARACTERS:
        yield (
            "caller.targetModels",
            f"has {total} characters, and IAM refuses so long a policy ({_MAX_PATTERN_CHARACTERS} fit); "
            "name groups of models by a common prefix",
        )


_RULES: Final[tuple[Callable[[AwsSettings], Iterator[Fault]], ...]] = (
    _fleet,
    _image,
    _ami,
    _encryption,
    _network,
    _keeping,
    _tags,
    _caller,
)
