"""What must hold between the settings of a stack on AWS, and between them and what AWS offers.

Each rule looks at one part, and yields faults; components check their arguments by the same rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from cohost import catalog, fleet
from cohost.aws_settings import AwsSettings, Encryption, Image, Network, Training, Variant
from cohost.setting_rules import Fault, keeping

# Source: botocore 1.44.5, logs, PutRetentionPolicy.
_RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
# Source: AWS General Reference, "Tag naming and usage conventions" (50 tags; 128 and 256 characters).
_TAG_TEXT: Final = re.compile(r"[\w .:/=+@-]*")
_MAX_TAGS: Final = 45
# IAM refuses a managed policy of more than 6,144 characters; the rest of the caller policy needs less than 1,100.
_MAX_PATTERN_CHARACTERS: Final = 5000
_ECR: Final = re.compile(r"[0-9]{12}\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/[^\s:@]+[:@]\S+")


def faults(settings: AwsSettings) -> list[Fault]:
    """Returns everything wrong with settings whose types are right."""
    return [
        *variant(settings.variant),
        *image(settings.image, settings.region, has_ami=settings.inference_ami_version is not None),
        *(ami(settings.inference_ami_version) if settings.inference_ami_version is not None else ()),
        *encryption(settings.encryption, settings.region),
        *network(settings.network),
        *keeping(production=settings.production, force_destroy=settings.force_destroy),
        *retention(settings.log_retention_days),
        *notify(settings.alarms.notify, settings.region),
        *target_models(settings.caller.target_models),
        *training(settings.training, settings.region),
        *tags(settings.tags),
    ]


def variant(variant: Variant) -> Iterator[Fault]:
    """What is wrong with a fleet."""
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


def image(image: Image, region: str, *, has_ami: bool) -> Iterator[Fault]:
    """What is wrong with the choice of an image.

    Args:
        image: The choice.
        region: Where it is to serve.
        has_ami: Whether an inference AMI is given with it.
    """
    if image.uri:
        for key in sorted({"account", "version"} & image.model_fields_set):
            yield f"image.{key}", "stands beside image.uri, which is the whole address; remove one of them"
        if not has_ami:
            yield "inferenceAmiVersion", f"is missing, and image.uri needs it; one of {', '.join(fleet.amis())}"
        for fault in image_uri(image.uri, region):
            yield "image.uri", fault
        return
    if not has_ami and fleet.image_version(image.version) is None:
        known = ", ".join(fleet.image_versions())
        yield "image.version", f"{image.version!r} is not known ({known}); with inferenceAmiVersion any tag is taken"
    if image.account is None and fleet.image_account(region) is None:
        near = get_close_matches(region, fleet.regions(), n=1)
        yield (
            "image.account",
            f"is missing, and the account that holds the image in {region} is not known"
            + (f" (did you mean the region {near[0]}?)" if near else "")
            + "; give it, or image.uri",
        )


def image_uri(uri: str, region: str) -> Iterator[str]:
    """What is wrong with an image's address.

    Source: SageMaker API reference, ContainerDefinition, Image (a registry elsewhere needs an ImageConfig, which this
    stack does not give; the image must be in the model's region).
    """
    match = _ECR.fullmatch(uri)
    if match is None:
        yield (
            f"{uri!r} is not an image in Amazon ECR with a tag or digest; "
            f"one is 123456789012.dkr.ecr.{region}.amazonaws.com/triton:26.05"
        )
    elif match["region"] != region:
        yield f"is an image in {match['region']}; SageMaker in {region} pulls only from there"


def ami(version: str, *, key: str = "inferenceAmiVersion") -> Iterator[Fault]:
    """What is wrong with an inference AMI."""
    if version not in fleet.amis():
        yield key, f"{version!r} is not an inference AMI for GPUs; one of {', '.join(fleet.amis())}"


def encryption(encryption: Encryption, region: str) -> Iterator[Fault]:
    """What is wrong with a given key."""
    key = encryption.kms_key_arn
    if key and key.split(":")[3] != region:
        yield "encryption.kmsKeyArn", f"is a key in {key.split(':')[3]}; the bucket in {region} needs one there"


def network(network: Network) -> Iterator[Fault]:
    """What is wrong with a choice of subnets and security groups."""
    subnets, groups = network.subnet_ids, network.security_group_ids
    if groups and not subnets:
        yield "network.subnetIds", "is missing, and securityGroupIds needs it; two or more in different zones"
    if subnets and len(set(subnets)) < 2:
        yield "network.subnetIds", "names one subnet; SageMaker wants two or more, in different zones"
    if subnets and not groups:
        yield "network.securityGroupIds", "is missing, and subnetIds needs it; one or more of the same VPC"


def retention(days: int) -> Iterator[Fault]:
    """Whether CloudWatch cannot keep logs so long."""
    if days not in _RETENTION_DAYS:
        yield "logRetentionDays", f"{days} is not one of CloudWatch's: {', '.join(map(str, _RETENTION_DAYS))}"


def notify(topics: Sequence[str], region: str, *, key: str = "alarms.notify") -> Iterator[Fault]:
    """What is wrong with the topics that alarms tell.

    Source: CloudWatch API reference, PutMetricAlarm, AlarmActions (five at most, in the alarm's region).
    """
    for index, topic in enumerate(topics):
        if topic.split(":")[3] != region:
            yield f"{key}[{index}]", f"is a topic in {topic.split(':')[3]}; alarms in {region} need one there"
    if len(topics) > 5:
        yield key, f"has {len(topics)} topics; CloudWatch takes 5 at most"


def target_models(patterns: Sequence[str], *, key: str = "caller.targetModels") -> Iterator[Fault]:
    """Whether patterns are empty, or more than fit into a policy."""
    for index, pattern in enumerate(patterns):
        if not pattern.strip():
            yield f"{key}[{index}]", "is empty; a pattern such as digits/* was expected"
    total = sum(len(json.dumps(pattern)) + 1 for pattern in patterns)
    if total > _MAX_PATTERN_CHARACTERS:
        yield (
            key,
            f"has {total} characters, and IAM refuses so long a policy ({_MAX_PATTERN_CHARACTERS} fit); "
            "name groups of models by a common prefix",
        )


def training(training: Training, region: str) -> Iterator[Fault]:
    """What is wrong with a pipeline that trains a model."""
    named = catalog.name_fault(training.model)
    if named:
        yield "training.model", named
    if training.image:
        for fault in image_uri(training.image, region):
            yield "training.image", fault
    elif training.enabled:
        yield (
            "training.image",
            "is missing, and training.enabled needs it: the address of the image of scripts/pipeline/Containerfile, in "
            "Amazon ECR in this region",
        )


def tags(tags: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with tags."""
    if len(tags) > _MAX_TAGS:
        yield "tags", f"has {len(tags)} tags; {_MAX_TAGS} are the most"
    for name, value in tags.items():
        if name.lower().startswith(("aws:", "cohost:")):
            yield f"tags.{name}", "begins with a prefix that is not yours to use (aws:, cohost:)"
        elif not (0 < len(name) <= 128 and len(value) <= 256 and _TAG_TEXT.fullmatch(name + value)):
            yield (
                f"tags.{name}",
                "has characters that AWS refuses, or too many; letters, digits, spaces, . : / = + @ - _",
            )
