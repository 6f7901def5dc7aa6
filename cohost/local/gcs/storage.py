"""The objects behind the handlers: gcp-storage-emulator's own storage, with versions, conditions and records.

Behaviour: "Object Versioning", "Request preconditions" and "Objects: rewrite" in the documentation of Cloud Storage.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from gcp_storage_emulator.exceptions import BadRequest, Conflict, NotFound
from gcp_storage_emulator.settings import DEFAULT_PROJECT_NUMBER
from gcp_storage_emulator.storage import Storage

from cohost.local.gcs.records import Bodies, Records

Resource = dict[str, Any]
NEVER: Final = "0"  # the generation of an object that is not there


class Refused(Exception):
    """A request that Cloud Storage answers with an error.

    Attributes:
        status: HTTP status.
        reason: Google's word for it.
    """

    def __init__(self, status: HTTPStatus, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


@dataclass(frozen=True)
class Asked:
    """What a request says beside the object it names.

    Attributes:
        generation: The version it means; None = the live one.
        source_generation: The version to copy.
        if_match: The live version must be this one; "0" = there must be none.
        if_not_match: The live version must not be this one.
        if_source_match: The source's version must be this one.
        versions: Whether a listing is to show versions that are not live.
        hashes: What its X-Goog-Hash says of the whole object: "crc32c" and "md5" in base64.
    """

    generation: str | None = None
    source_generation: str | None = None
    if_match: str | None = None
    if_not_match: str | None = None
    if_source_match: str | None = None
    versions: bool = False
    hashes: Mapping[str, str] = field(default_factory=dict)

    @property
    def conditions(self) -> tuple[str | None, str | None]:
        """The conditions on the live object."""
        return self.if_match, self.if_not_match


class Objects(Storage):
    """Buckets and objects of a state folder; not thread-safe: one request at a time.

    Attributes:
        asked: What the present request says; the handlers do not pass it on.
        records: Where rows are kept; its `together` holds the changes of one request.
    """

    def __init__(self, folder: Path) -> None:
        """Opens the state of a folder.

        Args:
            folder: The folder; made when missing.
        """
        self.project_number = DEFAULT_PROJECT_NUMBER
        self.asked = Asked()
        self.records, self._bodies = Records(folder), Bodies(folder / "bodies")
        self._uploads = folder / "uploads"
        self._uploads.mkdir(exist_ok=True)
        self._last = 0
        self._body_of: dict[tuple[str, str, str], str] = {}
        self._noncurrent: dict[str, dict[str, dict[str, Resource]]] = {}
        self.soft_deleted: dict[str, Any] = {}
        self.buckets = {bucket: record for bucket, _, _, record in self.records.read("bucket")}
        self.bucket_iam_policies = {bucket: record for bucket, _, _, record in self.records.read("policy")}
        self.resumable = {name: record for _, name, _, record in self.records.read("upload")}
        self.objects: dict[str, dict[str, Resource]] = {}
        for bucket, name, generation, record in self.records.read("object"):
            self._keep(bucket, name, generation, record)
        self._sweep()

    def close(self) -> None:
        """Ends the use of the folder."""
        self.records.close()

    def _sweep(self) -> None:
        """Removes the files that a kill left behind."""
        self._bodies.sweep()
        known = {self.safe_id(upload) for upload in self.resumable}
        for file in self._uploads.iterdir():
            if file.name not in known:
                file.unlink(missing_ok=True)

    def settle(self) -> None:
        """Gives up bytes that are no longer needed; call it when the request's changes are recorded."""
        self._bodies.forget_unneeded()

    def check(self, bucket: str, name: str, if_match: str | None, if_not_match: str | None) -> None:
        """Refuses a request whose conditions on the live object do not hold (see `Asked`).

        Raises:
            Refused: With 412.
        """
        live = self.objects.get(bucket, {}).get(name)
        generation = live["generation"] if live else NEVER
        if if_match not in (None, generation) or if_not_match == generation:
            raise condition_not_met()

    # Buckets.

    def create_bucket(self, bucket_name: str, bucket_obj: Resource) -> Resource:
        """Makes a bucket, or writes its changed settings."""
        self.buckets[bucket_name] = bucket_obj
        self.records.put("bucket", bucket_name, "", "", bucket_obj)
        return bucket_obj

    def delete_bucket(self, bucket_name: str) -> None:
        """Deletes an empty bucket, raises `Refused`: versions that are not live count too."""
        if bucket_name not in self.buckets:
            raise NotFound
        if self.objects.get(bucket_name) or self._noncurrent.get(bucket_name):
            raise Refused(HTTPStatus.CONFLICT, "conflict", "The bucket you tried to delete is not empty.")
        for upload in [upload for upload, row in self.resumable.items() if row["object"]["bucket"] == bucket_name]:
            self.delete_resumable_file_obj(upload)
        del self.buckets[bucket_name]
        self.bucket_iam_policies.pop(bucket_name, None)
        for kind in ("bucket", "policy"):
            self.records.remove(kind, bucket_name)

    def set_bucket_iam_policy(self, bucket_name: str, policy: Resource) -> bool:
        """Keeps a bucket's policy, under a new etag; nobody enforces it."""
        policy["etag"] = etag(bucket_name, str(time.time_ns()))
        self.bucket_iam_policies[bucket_name] = policy
        self.records.put("policy", bucket_name, "", "", policy)
        return True

    # Objects.

    def get_file_obj(self, bucket_name: str, file_name: str) -> Resource:
        """Returns the version of an object that the request means."""
        return self.version(bucket_name, file_name, self.asked.generation)

    def version(self, bucket: str, name: str, generation: str | None) -> Resource:
        """Returns a version of an object; raises `NotFound`.

        Args:
            bucket: The bucket.
            name: The object.
            generation: The version; None = the live one.
        """
        live = self.objects.get(bucket, {}).get(name)
        if live and generation in (None, live["generation"]):
            return live
        found = self._noncurrent.get(bucket, {}).get(name, {}).get(generation or "")
        if found is None:
            raise NotFound
        return found

    def get_file(self, bucket_name: str, file_name: str, show_error: bool = True) -> bytes:
        """Returns the bytes of the version that the request means."""
        del show_error
        generation = self.get_file_obj(bucket_name, file_name)["generation"]
        return self._bodies.read(self._body_of[bucket_name, file_name, generation])

    def create_file(
        self, bucket_name: str, file_name: str, content: bytes, file_obj: Resource, file_id: str | None = None
    ) -> None:
        """Makes an object of uploaded bytes; raises `Refused` when conditions or checksums do not hold."""
        if bucket_name not in self.buckets:
            raise NotFound
        conditions = self.resumable[file_id]["conditions"] if file_id else self.asked.conditions
        self.check(bucket_name, file_name, *conditions)
        _check_hashes(self.asked.hashes, file_obj)
        self._create(bucket_name, file_name, self._bodies.add(content), file_obj)
        if file_id:
            self.delete_resumable_file_obj(file_id)

    def link(self, source: tuple[str, str], bucket: str, name: str, resource: Resource) -> None:
        """Makes an object of another one's bytes, which stay where they are.

        Args:
            source: Bucket and name of the other one.
            bucket: Where to.
            name: The new object's name.
            resource: Its resource; the generation is filled in.

        Raises:
            NotFound: There is no such source or bucket.
            Refused: The conditions do not hold.
        """
        if bucket not in self.buckets:
            raise NotFound
        found = self.version(*source, self.asked.source_generation)
        if self.asked.if_source_match not in (None, found["generation"]):
            raise condition_not_met()
        self.check(bucket, name, *self.asked.conditions)
        self._create(bucket, name, self._body_of[*source, found["generation"]], resource)

    def delete_file(self, bucket_name: str, file_name: str) -> None:
        """Deletes the version the request means for good; the live one of a versioned bucket is only retired."""
        found = self.get_file_obj(bucket_name, file_name)
        live = self.objects.get(bucket_name, {}).get(file_name)
        if found is not live:
            versions = self._noncurrent[bucket_name]
            del versions[file_name][found["generation"]]
            _drop_empty(versions, file_name)
            _drop_empty(self._noncurrent, bucket_name)
            self._forget(bucket_name, file_name, found)
        elif self.asked.generation is None:
            self._retire(bucket_name, file_name)
        else:
            del self.objects[bucket_name][file_name]
            self._forget(bucket_name, file_name, found)

    def patch_object(self, bucket_name: str, file_name: str, file_obj: Resource) -> None:
        """Writes the changed metadata of an object."""
        generation = file_obj["generation"]
        file_obj["etag"] = etag(generation, file_obj["metageneration"])
        live = self.objects.get(bucket_name, {}).get(file_name) is file_obj
        self._record(bucket_name, file_name, file_obj, self._body_of[bucket_name, file_name, generation], live)

    def _list_live_candidates(self, bucket_name: str, prefix: str | None = None) -> list[tuple[str, Resource]]:
        """What a listing chooses from; with other versions where the request asks for them, oldest first."""
        found = super()._list_live_candidates(bucket_name, prefix)
        if self.asked.versions:
            for name, versions in self._noncurrent.get(bucket_name, {}).items():
                if name.startswith(prefix or ""):
                    found += [(name, resource) for resource in versions.values()]
        return sorted(found, key=lambda row: (row[0], int(row[1]["generation"])))

    def _create(self, bucket: str, name: str, body: str, resource: Resource) -> None:
        if name in self.objects.get(bucket, {}):
            self._retire(bucket, name)
        self._last = max(self._last + 1, time.time_ns() // 1000)
        generation = str(self._last)
        resource.update(generation=generation, id=f"{bucket}/{name}/{generation}", etag=etag(generation, "1"))
        resource["mediaLink"] = f"{resource['mediaLink'].partition('?')[0]}?generation={generation}&alt=media"
        self._record(bucket, name, resource, body, True)
        self._keep(bucket, name, generation, {"object": resource, "body": body, "live": True})

    def _retire(self, bucket: str, name: str) -> None:
        """Ends an object's being live: it stays as a version where the bucket keeps versions."""
        resource = self.objects[bucket].pop(name)
        generation = resource["generation"]
        if not self.buckets[bucket].get("versioning", {}).get("enabled"):
            self._forget(bucket, name, resource)
            return
        resource["timeDeleted"] = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        self._noncurrent.setdefault(bucket, {}).setdefault(name, {})[generation] = resource
        self._record(bucket, name, resource, self._body_of[bucket, name, generation], False)

    def _forget(self, bucket: str, name: str, resource: Resource) -> None:
        self.records.remove("object", bucket, name, resource["generation"])
        self._bodies.release(self._body_of.pop((bucket, name, resource["generation"])))

    def _record(self, bucket: str, name: str, resource: Resource, body: str, live: bool) -> None:
        record = {"object": resource, "body": body, "live": live}
        self.records.put("object", bucket, name, resource["generation"], record)

    def _keep(self, bucket: str, name: str, generation: str, record: Resource) -> None:
        self._bodies.use(record["body"])
        self._body_of[bucket, name, generation] = record["body"]
        self._last = max(self._last, int(generation))
        if record["live"]:
            self.objects.setdefault(bucket, {})[name] = record["object"]
        else:
            self._noncurrent.setdefault(bucket, {}).setdefault(name, {})[generation] = record["object"]

    # Resumable uploads.

    def create_resumable_upload(self, bucket_name: str, file_name: str, file_obj: Resource) -> str:
        """Begins an upload; its conditions hold for the moment it is complete, too."""
        if bucket_name not in self.buckets:
            raise NotFound
        self.check(bucket_name, file_name, *self.asked.conditions)
        file_id = f"{bucket_name}:{file_name}:{time.time_ns()}"
        self.resumable[file_id] = {"object": file_obj, "conditions": self.asked.conditions}
        self.records.put("upload", "", file_id, "", self.resumable[file_id])
        return file_id

    def get_resumable_file_obj(self, file_id: str) -> Resource:
        """Returns the object that an upload will make."""
        if file_id not in self.resumable:
            raise NotFound
        return self.resumable[file_id]["object"]

    def get_resumable_byte_count(self, file_id: str) -> int:
        """Returns how many bytes of an upload are there."""
        file = self._uploads / self.safe_id(file_id)
        return file.stat().st_size if file.exists() else 0

    def add_to_resumable_upload(
        self, file_id: str, content: bytes, total_size: int | None = None, expected_start: int | None = None
    ) -> bytes | None:
        """Adds a chunk to an upload; returns the whole content once it is there."""
        size = self.get_resumable_byte_count(file_id)
        if expected_start not in (None, size):
            raise BadRequest(f"Invalid Content-Range: {size} bytes are there, the chunk begins at {expected_start}.")
        file = self._uploads / self.safe_id(file_id)
        with file.open("ab") as stream:
            stream.write(content)
        if total_size is None or size + len(content) < total_size:
            return None
        if size + len(content) > total_size:
            raise Conflict(f"The upload has more than its {total_size} bytes.")
        return file.read_bytes()

    def delete_resumable_file_obj(self, file_id: str) -> None:
        """Ends an upload."""
        if self.resumable.pop(file_id, None) is None:
            raise NotFound
        self.records.remove("upload", "", file_id)
        (self._uploads / self.safe_id(file_id)).unlink(missing_ok=True)

    def _write_config_to_file(self) -> None:
        """Nothing: each change is recorded where it is made."""


def etag(generation: str, metageneration: str) -> str:
    """The etag of an object at a generation and a metageneration."""
    return base64.b64encode(f"{generation}/{metageneration}".encode()).decode()


def condition_not_met() -> Refused:
    """What Cloud Storage answers when a precondition does not hold."""
    message = "At least one of the pre-conditions you specified did not hold."
    return Refused(HTTPStatus.PRECONDITION_FAILED, "conditionNotMet", message)


def _check_hashes(hashes: Mapping[str, str], resource: Resource) -> None:
    for name, member in (("crc32c", "crc32c"), ("md5", "md5Hash")):
        if name in hashes and hashes[name] != resource[member]:
            message = f'Provided {name} "{hashes[name]}" doesn\'t match calculated {name} "{resource[member]}".'
            raise Refused(HTTPStatus.BAD_REQUEST, "invalid", message)


def _drop_empty(mapping: MutableMapping[str, Any], key: str) -> None:
    if not mapping[key]:
        del mapping[key]
