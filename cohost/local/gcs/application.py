"""From a request to its answer: gcp-storage-emulator's routes and handlers, and in front what they lack."""

from __future__ import annotations

import base64
import logging
import re
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from gcp_storage_emulator import server
from gcp_storage_emulator.handlers import buckets, objects

from cohost.local.gcs.call import Answer, Call, refusal
from cohost.local.gcs.storage import Objects, Refused, condition_not_met, etag

Handler = Callable[[Call, Answer, Objects], None]

_LOG: Final = logging.getLogger(__name__)
_PAGE: Final = 1000
# What of a bucket's resource only the service writes.
_OUTPUTS: Final = frozenset({"kind", "id", "name", "selfLink", "projectNumber", "timeCreated", "updated", "etag"})
# The route of public objects, `/<bucket>/<object>`, would take every unknown path for an object's.
_PUBLIC: Final = "^/(?P<bucket_name>"
_METAGENERATION: Final = re.compile(r"if(Source)?Metageneration(Not)?Match")


class Application:
    """Answers requests, one at a time; what one changed is recorded before it is answered."""

    def __init__(self, storage: Objects) -> None:
        self._storage = storage
        self._one_at_a_time = threading.Lock()
        self._routes = [
            (re.compile(pattern), handlers) for pattern, handlers in server.HANDLERS if not pattern.startswith(_PUBLIC)
        ]

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answers one request.

        Args:
            method: Its method.
            target: Path and query as sent.
            headers: By lower-case name.
            body: As sent.
        """
        try:
            call = Call(method, target, headers, body)
            if call.path == "/-/health":
                found = Answer()
                found.json({"ok": True})
                return found
            handler = self._handler(call)
            with self._one_at_a_time:
                return self._call(handler, call)
        except Refused as error:
            return refusal(error)
        except Exception as error:
            _LOG.exception("%s %s", method, target)
            # Not 5xx: clients would repeat a request that fails the same way each time.
            return refusal(Refused(HTTPStatus.BAD_REQUEST, "emulatorError", f"{type(error).__name__}: {error}"))

    def _handler(self, call: Call) -> Handler:
        for pattern, handlers in self._routes:
            if found := pattern.fullmatch(call.path):
                call.match(found)
                handler = handlers.get(call.method)
                if handler in _SERVED and not any(map(_METAGENERATION.fullmatch, call.query)):
                    return _SERVED[handler]
                break
        raise Refused(HTTPStatus.NOT_IMPLEMENTED, "notImplemented", f"{call.method} {call.path}: not supported here")

    def _call(self, handler: Handler, call: Call) -> Answer:
        answer, storage = Answer(), self._storage
        storage.asked = call.asked()
        with storage.records.together():
            handler(call, answer, storage)
        storage.settle()
        if answer.status == HTTPStatus.NOT_FOUND and not answer.body:
            raise Refused(HTTPStatus.NOT_FOUND, "notFound", _not_found(call, storage))
        return answer


def _not_found(call: Call, storage: Objects) -> str:
    bucket, name = call.params.get("bucket_name", ""), call.params.get("object_id")
    if bucket not in storage.buckets:
        return "The specified bucket does not exist."
    if call.params.get("dest_bucket_name", bucket) not in storage.buckets:
        return "The specified bucket does not exist."
    return f"No such object: {bucket}/{name}" if name else "Not Found"


def _conditional(handler: Handler) -> Handler:
    """A handler of one object that first checks the conditions on it."""

    def checked(call: Call, answer: Answer, storage: Objects) -> None:
        bucket, name = call.params["bucket_name"], call.params["object_id"]
        try:
            storage.check(bucket, name, *storage.asked.conditions)
        except Refused:
            if call.method == "GET" and storage.asked.if_not_match is not None:
                answer.status = HTTPStatus.NOT_MODIFIED
                return
            if name not in storage.objects.get(bucket, {}):
                answer.status = HTTPStatus.NOT_FOUND
                return
            raise
        handler(call, answer, storage)

    return checked


def _get(call: Call, answer: Answer, storage: Objects) -> None:
    if call.one("alt") == "media":
        _download(call, answer, storage)
    elif (call.one("softDeleted") or "").lower() == "true":
        answer.status = HTTPStatus.NOT_FOUND
    else:
        objects.get(call, answer, storage)


def _download(call: Call, answer: Answer, storage: Objects) -> None:
    objects.download(call, answer, storage)
    if answer.status == HTTPStatus.NOT_FOUND:
        return
    found = storage.get_file_obj(call.params["bucket_name"], call.params["object_id"])
    answer["X-Goog-Generation"] = found["generation"]
    answer["X-Goog-Metageneration"] = found["metageneration"]
    answer["ETag"] = found["etag"]


def _list(call: Call, answer: Answer, storage: Objects) -> None:
    """Lists a page of objects; `nextPageToken` is the name and version that the next page begins after."""
    bucket = call.params["bucket_name"]
    if bucket not in storage.buckets:
        answer.status = HTTPStatus.NOT_FOUND
        return
    prefix, delimiter, glob = (call.one(name) or None for name in ("prefix", "delimiter", "matchGlob"))
    found, prefixes = storage.get_file_list(bucket, prefix, delimiter, glob)
    rows = [((item["name"], int(item["generation"])), item) for item in found]
    rows = sorted([*rows, *(((prefix, 0), prefix) for prefix in prefixes)], key=lambda row: row[0])
    after = _place(call.one("pageToken"))
    rows = [row for row in rows if row[0] > after]
    size = min(int(call.one("maxResults") or _PAGE), _PAGE) or _PAGE
    page: dict[str, Any] = {
        "kind": "storage#objects",
        "prefixes": [value for _, value in rows[:size] if isinstance(value, str)],
        "items": [value for _, value in rows[:size] if not isinstance(value, str)],
    }
    if len(rows) > size:
        (name, generation), _ = rows[size - 1]
        page["nextPageToken"] = base64.urlsafe_b64encode(f"{generation} {name}".encode()).decode()
    answer.json(page)


def _place(token: str | None) -> tuple[str, int]:
    if not token:
        return "", 0
    generation, _, name = base64.urlsafe_b64decode(token).decode().partition(" ")
    return name, int(generation)


def _copy(call: Call, answer: Answer, storage: Objects) -> None:
    """Copies within the store, by rewriteTo in one step or by copyTo."""
    bucket, name = call.params["bucket_name"], call.params["object_id"]
    target = call.params["dest_bucket_name"], call.params["dest_object_id"]
    try:
        source = storage.version(bucket, name, storage.asked.source_generation)
        made = objects._make_object_resource(  # pyright: ignore[reportPrivateUsage]
            call.base_url, *target, source["contentType"], source["size"], {**source, **(call.data or {})}
        )
        storage.link((bucket, name), *target, made)
    except objects.NotFound:
        answer.status = HTTPStatus.NOT_FOUND
        return
    if "/copyTo/" in call.path:
        answer.json(made)
        return
    sizes = {"totalBytesRewritten": made["size"], "objectSize": made["size"]}
    answer.json({"kind": "storage#rewriteResponse", **sizes, "done": True, "resource": made})


def _upload_chunk(call: Call, answer: Answer, storage: Objects) -> None:
    objects.upload_partial(call, answer, storage)
    upload = call.one("upload_id") or ""
    if answer.status == objects.GoogleHTTPStatus.RESUME_INCOMPLETE and not storage.get_resumable_byte_count(upload):
        answer.headers.pop("Range", None)  # "bytes=0-0" would be one byte


def _insert_bucket(call: Call, answer: Answer, storage: Objects) -> None:
    """Makes a bucket with the settings that the request gives it."""
    buckets.insert(call, answer, storage)
    if answer.status == HTTPStatus.OK:
        _set(storage, call.data["name"], call.data, "1", answer)


def _patch_bucket(call: Call, answer: Answer, storage: Objects) -> None:
    bucket = storage.buckets.get(call.params["bucket_name"])
    if bucket is None:
        answer.status = HTTPStatus.NOT_FOUND
        return
    _set(storage, bucket["name"], call.data or {}, str(int(bucket["metageneration"]) + 1), answer)


def _set(storage: Objects, name: str, settings: Mapping[str, Any], metageneration: str, answer: Answer) -> None:
    bucket = _merged(storage.buckets[name], {k: v for k, v in settings.items() if k not in _OUTPUTS})
    location = bucket["location"] = bucket["location"].upper()
    multi = location in {"US", "EU", "ASIA"}
    bucket["locationType"] = "region" if "-" in location else "multi-region" if multi else "dual-region"
    bucket.update(metageneration=metageneration, etag=etag(name, metageneration))
    answer.json(storage.create_bucket(name, bucket))


def _set_policy(call: Call, answer: Answer, storage: Objects) -> None:
    """Writes a bucket's policy, unless somebody else did since the caller has read it ("Policy etag")."""
    old = storage.get_bucket_iam_policy(call.params["bucket_name"])
    if old and (call.data or {}).get("etag", old["etag"]) != old["etag"]:
        raise condition_not_met()
    buckets.set_iam_policy(call, answer, storage)


def _merged(old: Any, new: Any) -> Any:
    """What a JSON merge patch (RFC 7396) makes of a value."""
    if not isinstance(new, dict):
        return new
    kept = dict(old) if isinstance(old, dict) else {}
    for name, value in new.items():
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = _merged(kept.get(name), value)
    return kept


def _delete_object(call: Call, answer: Answer, storage: Objects) -> None:
    objects.delete(call, answer, storage)
    if answer.status == HTTPStatus.OK:
        answer.status = HTTPStatus.NO_CONTENT


def _delete_bucket(call: Call, answer: Answer, storage: Objects) -> None:
    buckets.delete(call, answer, storage)
    if answer.status == HTTPStatus.OK:
        answer.status = HTTPStatus.NO_CONTENT


_SERVED: Final[dict[Any, Handler]] = {
    buckets.ls: buckets.ls,
    buckets.get: buckets.get,
    buckets.insert: _insert_bucket,
    buckets.patch: _patch_bucket,
    buckets.delete: _delete_bucket,
    buckets.get_iam_policy: buckets.get_iam_policy,
    buckets.set_iam_policy: _set_policy,
    buckets.test_iam_permissions: buckets.test_iam_permissions,
    objects.ls: _list,
    objects.get: _conditional(_get),
    objects.download: _conditional(_download),
    objects.insert: objects.insert,
    objects.upload_partial: _upload_chunk,
    objects.patch: _conditional(objects.patch),
    objects.delete: _conditional(_delete_object),
    objects.copy: _copy,
    objects.rewrite: _copy,
    objects.compose: objects.compose,
}
"""gcp-storage-emulator's handlers and who answers in their place; the others are not served."""
