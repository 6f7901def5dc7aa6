"""The AWS services a stack uses beside SageMaker, on the loopback interface: moto, held to AWS's behaviour.

`python -m cohost.local.aws --state DIR --port 0` serves S3, IAM (enforced), STS, KMS, CloudWatch, CloudWatch
Logs and Application Auto Scaling on one port. Every resource survives `kill -9` and a restart with the same
state folder.
"""
