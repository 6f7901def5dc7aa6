"""Long-running operations (google.longrunning): begun, told about, ended."""

from __future__ import annotations

import copy
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

from cohost.local.vertex.errors import VertexError, invalid, missing, unsupported
from cohost.local.vertex.protos import EMPTY, Record, now, typed
from cohost.local.vertex.state import State

_PUBLIC: Final = ("name", "metadata", "done", "error", "response")
_POLL_SECONDS: Final = 0.05
_WAIT_SECONDS: Final = 30.0
_PAGE: Final = 100
_FILTERS: Final = {"": None, "done=true": True, "done=false": False, "done:true": True, "done:false": False}


class Operations:
    """Operations by name; each is kept for as long as the state is."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._changed = threading.Condition()

    def begin(self, resource: str, metadata: str, work: Mapping[str, Any] | None = None) -> Record:
        """Records an operation that is to be carried out; to be called while the state is being changed.

        Args:
            resource: Full name of what it is about.
            metadata: Name of its metadata's message.
            work: What is to be done; not told to callers.
        """
        name = f"{resource}/operations/{uuid.uuid4().int % 10**19}"
        moment = now()
        generic = {"createTime": moment, "updateTime": moment}
        record = {"name": name, "metadata": typed(metadata, {"genericMetadata": generic}), "work": dict(work or {})}
        self._state.operations[name] = record
        return record

    def at_once(self, resource: str, metadata: str, response: Mapping[str, Any] = EMPTY) -> Record:
        """Records an operation that has been carried out, and returns it as it was begun.

        The service answers so too: whoever does not ask again, does not know how it ended.
        """
        record = self.begin(resource, metadata)
        begun = _public(record)
        record |= {"done": True, "response": dict(response)}
        return begun

    def pending(self, resource: str = "") -> list[Record]:
        """Returns the operations about a resource, or about all, that have not ended."""
        with self._state.reading():
            found = [record for record in self._state.operations.values() if not record.get("done")]
        return [record for record in found if not resource or record["work"].get("about") == resource]

    def enter(self, name: str, stage: str) -> None:
        """Records the stage that a deployment is at."""
        with self._state.changing():
            metadata = self._state.operations[name]["metadata"]
            metadata["deploymentStage"] = stage
            metadata["genericMetadata"]["updateTime"] = now()

    def end(
        self, name: str, outcome: Mapping[str, Any] | VertexError, change: Callable[[], None] | None = None
    ) -> None:
        """Records how an operation ended, together with what that changes."""
        with self._state.changing():
            record = self._state.operations[name]
            if change:
                change()
            result = {"error": outcome.rpc()} if isinstance(outcome, VertexError) else {"response": dict(outcome)}
            record |= {"done": True, **result}
            record["metadata"]["genericMetadata"]["updateTime"] = now()
        with self._changed:
            self._changed.notify_all()

    def cancelled(self, name: str) -> bool:
        """Tells whether somebody asked for an operation's end."""
        return bool(self._state.operations[name].get("cancelled"))

    def get_operation(self, name: str) -> Record:
        """GetOperation."""
        with self._state.reading():
            return _public(self._operation(name))

    def list_operations(self, resource: str, query: Mapping[str, str]) -> Record:
        """ListOperations, of a resource or a location."""
        wanted = query.get("filter", "").replace(" ", "").lower()
        if wanted not in _FILTERS:
            raise unsupported(f"The filter {query['filter']!r}")
        done = _FILTERS[wanted]
        with self._state.reading():
            found = [
                _public(record)
                for name, record in self._state.operations.items()
                if name.startswith(f"{resource}/") and done in (None, bool(record.get("done")))
            ]
        return page("operations", found, query)

    def wait_operation(self, name: str, timeout: str) -> Record:
        """WaitOperation: answers when it has ended, or after a while."""
        try:
            seconds = min(float(timeout.removesuffix("s") or _WAIT_SECONDS), _WAIT_SECONDS)
        except ValueError as error:
            raise invalid(f'"{timeout}" is not a duration') from error
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._operation(name).get("done") and time.monotonic() < deadline:
                self._changed.wait(_POLL_SECONDS)
        return self.get_operation(name)

    def cancel_operation(self, name: str) -> Record:
        """CancelOperation: at best effort, as the service does it."""
        with self._state.changing():
            self._operation(name)["cancelled"] = True
        return {}

    def delete_operation(self, name: str) -> Record:
        """DeleteOperation: the record alone."""
        with self._state.changing():
            if not self._operation(name).get("done"):
                raise unsupported("To delete an operation that runs")
            del self._state.operations[name]
        return {}

    def _operation(self, name: str) -> Record:
        if name not in self._state.operations:
            raise missing("Operation", name)
        return self._state.operations[name]


def page(key: str, found: list[Record], query: Mapping[str, str]) -> Record:
    """Returns one page of a list.

    Raises:
        VertexError: The page's token is not one that was given, or the list is to be sorted.
    """
    if unknown := [name for name in ("orderBy", "readMask") if query.get(name)]:
        raise unsupported(f"{unknown[0]} of a list")
    token, size = query.get("pageToken", "") or "0", query.get("pageSize", "") or "0"
    if not (token.isdecimal() and size.isdecimal()) or int(token) > len(found):
        raise invalid("The page token or the page size is not valid.")
    start = int(token)
    end = start + min(int(size) or _PAGE, _PAGE)
    more = {"nextPageToken": str(end)} if end < len(found) else {}
    return ({key: found[start:end]} if found[start:end] else {}) | more


def _public(record: Record) -> Record:
    return {key: copy.deepcopy(record[key]) for key in _PUBLIC if key in record}
