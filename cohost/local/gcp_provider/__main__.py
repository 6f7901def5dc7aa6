"""Runs the provider: `python -m cohost.local.gcp_provider [--port N]` prints its port on the first line."""

from __future__ import annotations

from cohost.local.bridge.serve import serve
from cohost.local.gcp_provider.servicer import GcpProvider

if __name__ == "__main__":
    serve(GcpProvider(), "Pulumi's gcp provider, for the local emulators")
