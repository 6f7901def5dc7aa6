"""The messages and services of Pulumi's provider protocol, without the rest of the Pulumi SDK.

Importing a module of `pulumi.runtime.proto` in the plain way runs the whole SDK's `__init__` first, which
takes several times as long as everything else that this process does before its first answer.

The status is Google's own module, not the SDK's copy of it: both describe `google.rpc.Status`, a process can hold only
one of them, and Google's libraries load theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from google.rpc import status_pb2

_PARENTS = ("pulumi", "pulumi.runtime", "pulumi.runtime.proto")


@contextmanager
def _bare_parents() -> Iterator[None]:
    """Lets submodules be imported while their parent packages are empty; a later `import pulumi` is whole."""
    if any(name in sys.modules for name in _PARENTS):
        yield
        return
    spec = find_spec("pulumi")
    if spec is None or spec.origin is None:
        raise ImportError("the package pulumi is not installed")
    site = Path(spec.origin).parent.parent
    for name in _PARENTS:
        parent = ModuleType(name)
        parent.__path__ = [str(site.joinpath(*name.split(".")))]
        sys.modules[name] = parent
    try:
        yield
    finally:
        for name in _PARENTS:
            del sys.modules[name]


with _bare_parents():
    from pulumi.runtime.proto import (
        engine_pb2,
        engine_pb2_grpc,
        plugin_pb2,
        provider_pb2,
        provider_pb2_grpc,
    )

__all__ = ["engine_pb2", "engine_pb2_grpc", "plugin_pb2", "provider_pb2", "provider_pb2_grpc", "status_pb2"]
