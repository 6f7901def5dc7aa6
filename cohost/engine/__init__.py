"""The embedded engine: runs a Pulumi program on local providers without the `pulumi` command.

It serves the program over Pulumi's own gRPC protocol and calls providers by the provider protocol; it knows
no cloud and acquires no plugin. Every package a stack uses needs a `Launch` in `Stack.providers`.
"""

from __future__ import annotations

from cohost.engine.model import (
    Change,
    Event,
    Launch,
    Listener,
    Operation,
    Planned,
    PolicyPack,
    PolicyResult,
    Result,
    Stack,
)
from cohost.engine.run import execute, read_outputs

__all__ = [
    "Change",
    "Event",
    "Launch",
    "Listener",
    "Operation",
    "Planned",
    "PolicyPack",
    "PolicyResult",
    "Result",
    "Stack",
    "execute",
    "read_outputs",
]
