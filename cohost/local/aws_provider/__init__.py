"""Pulumi's `aws` provider, version 7.51.1, for the resource types the stacks declare, against the emulators.

`python -m cohost.local.aws_provider` prints its port and serves the provider protocol; it talks plain boto3 to
the endpoints of the environment and refuses any that is not on this machine. It keeps the real provider's
traps: which changes replace, what is waited for, and which failures leave things behind.
"""
