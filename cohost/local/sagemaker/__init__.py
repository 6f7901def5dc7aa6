"""SageMaker on this machine: control plane, runtime and Service Quotas in front of real Triton.

It does what a stack with one multi-model GPU endpoint needs, by the cloud's own API model and in its words, and
answers anything else "not supported here". Words of error messages without a document behind them are quoted
from what users reported of the real service (GitHub issues of hashicorp/terraform-provider-aws,
aws/sagemaker-python-sdk and aws/amazon-sagemaker-examples), or are said to be the emulator's own.
"""
