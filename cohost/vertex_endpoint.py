"""What the kinds of Vertex AI endpoints take, and how the address of a private one is written."""

from __future__ import annotations

from typing import Final

# Vertex AI documentation, "Choose an endpoint type", says 1.5 MB and 10 MB; the service's own refusal says "exceeds the
# limit: 1572864 bytes".
SHARED_BYTES: Final = 3 * 2**19
"""The largest request of a shared endpoint."""
DEDICATED_BYTES: Final = 10 * 2**20
"""The largest request of a dedicated endpoint, and of one by private service connect."""
PRIVATE_ADDRESS: Final = r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
"""Scheme and host of a private endpoint; a forwarding rule answers at the scheme's own port alone."""


def max_request_bytes(kind: str) -> int:
    """Returns the largest request of a kind of endpoint ("shared", "dedicated" or "psc")."""
    return SHARED_BYTES if kind == "shared" else DEDICATED_BYTES
