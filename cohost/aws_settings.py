"""The settings of a stack on AWS, typed; docs/configuration.md describes every key.

What the types alone cannot say (which go together, what can serve) is in `cohost.aws_rules`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cohost import fleet
from cohost.policies_aws import Vpc
from cohost.setting_types import FilePath, Settings, like

_LETTERS = "letters, digits and single hyphens between them, 63 at most"
# Source: botocore 1.44.5, sagemaker, VariantName.
Name = Annotated[str, like(r"(?=.{1,63}$)[a-zA-Z0-9](-*[a-zA-Z0-9])*", f"a name of {_LETTERS}")]
Region = Annotated[str, like(r"[a-z]{2}(-[a-z]+)+-[0-9]+", "a region; one is eu-west-1")]
AccountId = Annotated[str, like(r"[0-9]{12}", "an account number of 12 digits, in quotes")]
KmsKeyArn = Annotated[
    str,
    like(
        r"arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+",
        "the ARN of a key (not of an alias); one is arn:aws:kms:eu-west-1:123456789012:key/1234abcd-…",
    ),
]
TopicArn = Annotated[
    str,
    like(
        r"arn:[a-z-]+:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_.-]+",
        "the ARN of an SNS topic; one is arn:aws:sns:eu-west-1:123456789012:alerts",
    ),
]
SubnetId = Annotated[str, like(r"subnet-[0-9a-f]+", "a subnet's id; one is subnet-0123456789abcdef0")]
SecurityGroupId = Annotated[str, like(r"sg-[0-9a-f]+", "a security group's id; one is sg-0123456789abcdef0")]
# Source: botocore 1.44.5, sagemaker-runtime, TargetModelHeader.
TargetModelPattern = Annotated[
    str, like(r"[!-~]{1,1024}", "a pattern of 1 to 1024 printable characters; one is digits/*")
]
ImageTag = Annotated[str, like(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", "an image tag; one is 26.05-py3")]
ImageUri = Annotated[
    str,
    like(r"[^\s/]+/[^\s]+[:@][^\s]+", "an image's address with a tag or digest: registry/repository:tag"),
]
# Source: botocore 1.44.5, sagemaker, EndpointName. Lower case, because SageMaker writes it so in the ARN and
# IAM compares ARNs by case; shorter than SageMaker's 63, for the names derived from it.
EndpointName = Annotated[
    str,
    like(
        r"(?=.{1,48}$)[a-z0-9](-*[a-z0-9])*",
        "an endpoint's name: lower-case letters, digits and single hyphens between them, 48 at most",
    ),
]
Ratio = Annotated[float, Field(gt=0, lt=1)]
# Source: botocore 1.44.5, sagemaker, ProcessingInstanceType, a list that grows; SageMaker refuses what is not in it.
ProcessingInstance = Annotated[
    str, like(r"ml\.[a-z][a-z0-9-]*\.[a-z0-9-]+", "an instance type for processing; one is ml.m5.large")
]


class Variant(Settings):
    """The fleet: one production variant.

    Attributes:
        name: Its name; must stay the same over the endpoint's life.
        instance_type: A single-GPU type of `cohost.fleet`.
        min_instances: How many there are at first, and at least.
        max_instances: How many there may be; more than the minimum means autoscaling.
        invocations_per_instance: What autoscaling keeps to: calls a minute and instance.
    """

    name: Name = "main"
    instance_type: str = Field(default_factory=fleet.default_instance_type)
    min_instances: int = Field(default=1, ge=1, le=100)
    max_instances: int = Field(default=1, ge=1, le=100)
    invocations_per_instance: float | None = Field(default=None, gt=0)

    @property
    def autoscaled(self) -> bool:
        """Whether the number of instances follows the load."""
        return self.max_instances > self.min_instances


class Image(Settings):
    """The serving image: a version of AWS's Triton image, or any image built from it.

    Attributes:
        version: Tag of AWS's image.
        account: The account whose registry holds it; None = the region's own of `cohost.fleet`.
        uri: The whole address instead, best with a digest.
    """

    version: ImageTag = Field(default_factory=fleet.default_image_version)
    account: AccountId | None = None
    uri: ImageUri | None = None


class Encryption(Settings):
    """With what artifacts are encrypted.

    Attributes:
        kms_key_arn: A key of yours; None = the stack makes one.
    """

    kms_key_arn: KmsKeyArn | None = None


class Network(Settings):
    """Where the containers run.

    Attributes:
        subnet_ids: Subnets of your VPC, at least two in different zones; empty = SageMaker's own network.
        security_group_ids: Security groups in the same VPC.
        isolation: Whether the container has no network at all (SageMaker itself still fetches artifacts).
    """

    # Source of the limits: botocore 1.44.5, sagemaker, VpcConfig.
    subnet_ids: tuple[SubnetId, ...] = Field(default=(), max_length=16)
    security_group_ids: tuple[SecurityGroupId, ...] = Field(default=(), max_length=5)
    isolation: bool = False


class Rollback(Settings):
    """When SageMaker takes an endpoint update back.

    Attributes:
        enabled: Whether it does; fixed once the endpoint lives, like the alarm's name.
        error_rate: Share of calls answered 5XX, within a minute, that trips the alarm.
        bake_seconds: How long the alarm is watched before the old fleet goes; both fleets cost meanwhile. At most
            half an hour: the aws provider waits one for the whole update.
    """

    enabled: bool = True
    error_rate: Ratio = 0.05
    bake_seconds: int = Field(default=300, ge=0, le=1800)


class AlarmSettings(Settings):
    """What is worth a notification; every threshold is over five minutes.

    Attributes:
        enabled: Whether there are alarms at all (the rollback alarm has its own switch).
        error_rate: Share of calls that the models answer with an error.
        latency_ms: Average time of a model's answer.
        cache_hit_ratio: Share of calls whose model was in memory; fewer than this is an alarm.
        unloads: Models put out of memory in five minutes; more than this means that memory is too small.
        notify: SNS topics to tell.
    """

    enabled: bool = True
    error_rate: Ratio = 0.05
    latency_ms: float = Field(default=1000, gt=0)
    cache_hit_ratio: Ratio = 0.5
    unloads: int = Field(default=50, ge=1)
    notify: tuple[TopicArn, ...] = ()


class Caller(Settings):
    """What the caller policy allows.

    Attributes:
        target_models: TargetModels that callers may invoke ("tenant-a/*"); empty = every one.
    """

    target_models: tuple[TargetModelPattern, ...] = ()


class Verify(Settings):
    """What is looked at before a release goes live, beside the smoke tests.

    Attributes:
        gpu: Whether a first release must be seen to use the GPU.
    """

    gpu: bool = True


class Training(Settings):
    """A pipeline that trains, evaluates and pushes a model of the catalog; none unless enabled.

    Attributes:
        enabled: Whether there is a pipeline and a model package group.
        model: The model, by its name in the catalog.
        floor: The least value of its metric with which it is pushed.
        image: The image whose steps these are: scripts/pipeline/Containerfile, in Amazon ECR in the same region.
        instance_type: What each step runs on.
    """

    enabled: bool = False
    model: str = "digits"
    floor: Ratio = 0.9
    image: ImageUri | None = None
    instance_type: ProcessingInstance = "ml.m5.large"


class AwsSettings(Settings):
    """Everything a stack on AWS can be told.

    Attributes:
        platform: The cloud.
        region: From `aws:region`.
        catalog: Path of catalog.yaml, relative to Pulumi.yaml or absolute.
        endpoint_name: The endpoint's name.
        variant: The fleet.
        image: The serving image.
        inference_ami_version: The AMI, and so the GPU driver; None = the one that suits the image.
        encryption: The artifacts' key.
        network: VPC and isolation.
        rollback: When updates are taken back.
        alarms: What is worth a notification.
        caller: What the caller policy allows.
        verify: What is looked at before a release goes live.
        training: Whether a pipeline trains a model, and how.
        production: Whether what callers would miss is protected from deletion: store, artifacts, endpoint, release.
        force_destroy: Whether `destroy` may delete a bucket that still holds objects of others.
        log_retention_days: How long the containers' logs are kept.
        tags: On every resource that can carry tags.
    """

    platform: Literal["aws"]
    region: Region
    catalog: FilePath = "model_artifacts/catalog.yaml"
    endpoint_name: EndpointName
    variant: Variant = Variant()
    image: Image = Image()
    inference_ami_version: str | None = None
    encryption: Encryption = Encryption()
    network: Network = Network()
    rollback: Rollback = Rollback()
    alarms: AlarmSettings = AlarmSettings()
    caller: Caller = Caller()
    verify: Verify = Verify()
    training: Training = Training()
    production: bool = False
    force_destroy: bool = False
    log_retention_days: int = 30
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def image_uri(self) -> str:
        """The serving image's whole address."""
        account = self.image.account or fleet.image_account(self.region) or ""
        return self.image.uri or fleet.image_uri(region=self.region, tag=self.image.version, account=account)

    @property
    def ami(self) -> str:
        """The inference AMI."""
        known = fleet.image_version(self.image.version)
        return self.inference_ami_version or (known.ami if known else "")

    @property
    def vpc(self) -> Vpc | None:
        """Subnets and security groups as the execution role's policy names them; None outside a VPC."""
        if not self.network.subnet_ids:
            return None
        return Vpc(subnets=self.network.subnet_ids, security_groups=self.network.security_group_ids)
