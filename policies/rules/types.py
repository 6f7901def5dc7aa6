"""Type tokens of the resources that the rules look at; those of the project's own stand in `cohost.tokens`."""

from __future__ import annotations

from typing import Final

AWS_BUCKET: Final = "aws:s3/bucket:Bucket"
AWS_BUCKET_ENCRYPTION: Final = "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration"
AWS_BUCKET_LIFECYCLE: Final = "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration"
AWS_BUCKET_OWNERSHIP: Final = "aws:s3/bucketOwnershipControls:BucketOwnershipControls"
AWS_BUCKET_POLICY: Final = "aws:s3/bucketPolicy:BucketPolicy"
AWS_BUCKET_PUBLIC_ACCESS_BLOCK: Final = "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock"
AWS_BUCKET_VERSIONING: Final = "aws:s3/bucketVersioning:BucketVersioning"
AWS_ENDPOINT: Final = "aws:sagemaker/endpoint:Endpoint"
AWS_ENDPOINT_CONFIGURATION: Final = "aws:sagemaker/endpointConfiguration:EndpointConfiguration"
AWS_KEY: Final = "aws:kms/key:Key"
AWS_LOG_GROUP: Final = "aws:cloudwatch/logGroup:LogGroup"
AWS_METRIC_ALARM: Final = "aws:cloudwatch/metricAlarm:MetricAlarm"
AWS_MODEL: Final = "aws:sagemaker/model:Model"
AWS_POLICY: Final = "aws:iam/policy:Policy"
AWS_ROLE: Final = "aws:iam/role:Role"
AWS_ROLE_POLICY: Final = "aws:iam/rolePolicy:RolePolicy"
AWS_SCALING_TARGET: Final = "aws:appautoscaling/target:Target"

GCP_BUCKET: Final = "gcp:storage/bucket:Bucket"
GCP_CUSTOM_ROLE: Final = "gcp:projects/iAMCustomRole:IAMCustomRole"
GCP_ENDPOINT: Final = "gcp:vertex/aiEndpoint:AiEndpoint"
GCP_PROJECT_MEMBER: Final = "gcp:projects/iAMMember:IAMMember"
GCP_SERVICE: Final = "gcp:projects/service:Service"
