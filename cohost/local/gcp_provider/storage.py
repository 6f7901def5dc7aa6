"""Cloud Storage buckets, on the local GCS."""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Final

from cohost.local.gcp_provider.api import Api, Refused
from cohost.local.gcp_provider.resource import Call, Change, Name, Resource

_BUCKETS: Final = "storage/v1/b"
# Lifecycle conditions: Pulumi's name and Google's. `withState` has one of its own.
_CONDITIONS: Final = {
    "age": "age",
    "daysSinceNoncurrentTime": "daysSinceNoncurrentTime",
    "matchesPrefixes": "matchesPrefix",
    "matchesSuffixes": "matchesSuffix",
    "numNewerVersions": "numNewerVersions",
}
_LIVE: Final = {"LIVE": True, "ARCHIVED": False}


class Bucket(Resource):
    """A bucket."""

    token = "gcp:storage/bucket:Bucket"
    supported: ClassVar = frozenset(
        {
            *("deletionPolicy", "encryption", "forceDestroy", "labels", "lifecycleRules", "location", "name"),
            *("project", "publicAccessPrevention", "softDeletePolicy", "storageClass", "uniformBucketLevelAccess"),
            "versioning",
        }
    )
    name: ClassVar = Name(limit=63, prefix="", lower=True)
    replaces: ClassVar = frozenset({"location", "name"})
    computed: ClassVar = frozenset({"publicAccessPrevention", "softDeletePolicy", "uniformBucketLevelAccess"})
    defaults: ClassVar = {"deletionPolicy": "DELETE", "forceDestroy": False, "storageClass": "STANDARD"}

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Makes the bucket.

        Raises:
            Refused: There is one of this name, whoever made it.
        """
        body = {"name": inputs["name"], "location": inputs["location"], **self._settings(inputs)}
        call.session.storage.call("POST", _BUCKETS, _present(body), project=call.project)
        return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the bucket."""
        told = call.session.storage.call("GET", _path(resource_id))
        access = told.get("iamConfiguration", {})
        location, wanted = told["location"], known.get("location", "")
        return {
            "name": told["name"],
            # Google writes it in capitals, and does not care how others do.
            "location": wanted if wanted.upper() == location else location,
            "labels": self.told_labels(told.get("labels", {}), known),
            "url": f"gs://{told['name']}",
            "selfLink": told.get("selfLink", ""),
            "projectNumber": int(told["projectNumber"]),
            "timeCreated": told.get("timeCreated"),
            "updated": told.get("updated"),
            "storageClass": told.get("storageClass", "STANDARD"),
            "publicAccessPrevention": access.get("publicAccessPrevention", "inherited"),
            "uniformBucketLevelAccess": access.get("uniformBucketLevelAccess", {}).get("enabled", False),
            "versioning": told.get("versioning"),
            "encryption": told.get("encryption"),
            "softDeletePolicy": _soft_delete(told.get("softDeletePolicy"), imported=not known),
            "lifecycleRules": [_rule(rule) for rule in told.get("lifecycle", {}).get("rule", [])],
        }

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes the settings; `forceDestroy` is only recorded."""
        labels: dict[str, str | None] = dict.fromkeys(change.old.get("labels") or {})
        settings = self._settings(change.new)
        call.session.storage.call("PATCH", _path(resource_id), {**settings, "labels": labels | settings["labels"]})

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the bucket, with `forceDestroy` every version of everything in it before."""
        storage = call.session.storage
        try:
            storage.call("DELETE", _path(resource_id))
        except Refused as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            if not state.get("forceDestroy"):
                message = f"bucket {resource_id} contains objects, and `force_destroy` is not set to true"
                raise Refused(error.status, f"Error trying to delete it: {message}") from error
            for name, generation in _versions(storage, resource_id):
                storage.call("DELETE", f"{_path(resource_id)}/o/{_quoted(name)}", generation=generation)
            storage.call("DELETE", _path(resource_id))

    def _settings(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what of a bucket can change, as Google takes it; None is what the program does not say."""
        access: dict[str, Any] = {"publicAccessPrevention": inputs.get("publicAccessPrevention")}
        if "uniformBucketLevelAccess" in inputs:
            access["uniformBucketLevelAccess"] = {"enabled": inputs["uniformBucketLevelAccess"]}
        soft = inputs.get("softDeletePolicy")
        rules = inputs.get("lifecycleRules")
        return {
            "labels": self.sent_labels(inputs),
            "storageClass": inputs.get("storageClass"),
            "iamConfiguration": _present(access),
            "versioning": inputs.get("versioning"),
            "encryption": inputs.get("encryption"),
            "softDeletePolicy": {"retentionDurationSeconds": str(soft["retentionDurationSeconds"])} if soft else None,
            "lifecycle": {"rule": [_api_rule(rule) for rule in rules]} if rules else None,
        }


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _soft_delete(told: Mapping[str, Any] | None, *, imported: bool) -> dict[str, Any] | None:
    if told is None:
        return None
    found: dict[str, Any] = {"retentionDurationSeconds": int(told["retentionDurationSeconds"])}
    # Only Google sets the time: of an import, it would look as if the program had to.
    return found if imported or "effectiveTime" not in told else found | {"effectiveTime": told["effectiveTime"]}


def _api_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a lifecycle rule as Google takes it.

    Raises:
        NotImplementedError: It has a condition that is not served.
    """
    given = dict(rule["condition"])
    state = given.pop("withState", None)
    if unknown := given.keys() - _CONDITIONS.keys():
        raise NotImplementedError(f"lifecycleRules.condition.{sorted(unknown)[0]} is not supported here")
    condition = {_CONDITIONS[name]: value for name, value in given.items()}
    live = {"isLive": _LIVE[state]} if state in _LIVE else {}
    return {"action": rule["action"], "condition": condition | live}


def _rule(told: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(told["condition"])
    live = given.pop("isLive", None)
    condition = {name: given[api] for name, api in _CONDITIONS.items() if api in given}
    # The provider says "ANY" only where the program did.
    state = {"withState": "LIVE" if live else "ARCHIVED"} if live is not None else {}
    return {"action": told["action"], "condition": condition | state}


def _versions(storage: Api, bucket: str) -> Iterator[tuple[str, str]]:
    """Returns name and generation of everything in a bucket."""
    page: str | None = ""
    while page is not None:
        told = storage.call("GET", f"{_path(bucket)}/o", versions="true", pageToken=page or None)
        yield from ((item["name"], item["generation"]) for item in told.get("items", []))
        page = told.get("nextPageToken")


def _path(bucket: str) -> str:
    return f"{_BUCKETS}/{_quoted(bucket)}"


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


RESOURCES = (Bucket(),)
