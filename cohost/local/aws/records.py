"""Turning moto's objects into bytes and back, the bodies of S3 objects left where they lie."""

from __future__ import annotations

import io
import pickle
import threading
from typing import Any

from moto.logs.models import LogStream
from moto.s3.models import FakeKey

from cohost.local.aws.bodies import Body


def dump(value: Any) -> bytes:
    """Returns the record of a value.

    Raises:
        NotImplementedError: It holds something that cannot be kept, such as an asymmetric KMS key.
    """
    target = io.BytesIO()
    try:
        _Pickler(target, pickle.HIGHEST_PROTOCOL).dump(value)
    except (TypeError, pickle.PicklingError, AttributeError) as error:
        raise NotImplementedError(f"this kind of resource cannot be kept: {error}") from error
    return target.getvalue()


def load(record: bytes) -> Any:
    """Returns the value of a record made by `dump` in the same state folder."""
    return _Unpickler(io.BytesIO(record)).load()


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        return (obj.name, obj.inline) if isinstance(obj, Body) else None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, FakeKey):
            # moto's own __getstate__ would put the whole body into the record.
            state = {name: value for name, value in vars(obj).items() if name != "lock"}
            return _new, (type(obj),), state, None, None, _restore_key
        if isinstance(obj, LogStream):
            return _new, (type(obj),), vars(obj) | {"events": []}
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def persistent_load(self, pid: Any) -> Body:
        name, content = pid
        if name:
            Body.bodies.use(name)
        return Body(content=content, name=name)


def _new(kind: type) -> Any:
    return object.__new__(kind)


def _restore_key(key: FakeKey, state: dict[str, Any]) -> None:
    vars(key).update(state)
    key.lock = threading.Lock()
