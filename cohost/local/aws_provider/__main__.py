"""Runs the provider: `python -m cohost.local.aws_provider [--port N]` prints its port on the first line."""

from __future__ import annotations

from cohost.local.aws_provider.servicer import AwsProvider
from cohost.local.bridge.serve import serve

if __name__ == "__main__":
    serve(AwsProvider(), "Pulumi's aws provider, for the local emulators")
