"""KMS: keys and their aliases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cohost.local.aws_provider.convert import map_to_pairs, pairs_to_map
from cohost.local.aws_provider.resource import Call, Change, Gone, Name, Resource

_DEFAULT_WINDOW_DAYS: Final = 30
_NOT_FOUND: Final = frozenset({"NotFoundException"})


class Key(Resource):
    """A symmetric KMS key; deleting one schedules the deletion."""

    token = "aws:kms/key:Key"
    supported: ClassVar = frozenset(
        {
            "bypassPolicyLockoutSafetyCheck",
            "customerMasterKeySpec",
            "deletionWindowInDays",
            "description",
            "enableKeyRotation",
            "isEnabled",
            "keyUsage",
            "policy",
            "region",
            "rotationPeriodInDays",
            "tags",
        }
    )
    replaces: ClassVar = frozenset({"customerMasterKeySpec", "keyUsage"})
    computed: ClassVar = frozenset({"description", "policy", "rotationPeriodInDays"})
    defaults: ClassVar = {
        "bypassPolicyLockoutSafetyCheck": False,
        "customerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "isEnabled": True,
        "keyUsage": "ENCRYPT_DECRYPT",
    }
    gone: ClassVar = _NOT_FOUND

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the key."""
        parameters = {
            "Description": inputs.get("description"),
            "KeySpec": inputs["customerMasterKeySpec"],
            "KeyUsage": inputs["keyUsage"],
            "Policy": inputs.get("policy"),
            "Tags": map_to_pairs(inputs.get("tags") or {}, "TagKey", "TagValue"),
            "BypassPolicyLockoutSafetyCheck": inputs["bypassPolicyLockoutSafetyCheck"],
        }
        given = {name: value for name, value in parameters.items() if value is not None}
        return call.client("kms").create_key(**given)["KeyMetadata"]["KeyId"]

    def complete(self, call: Call, resource_id: str, inputs: dict[str, Any]) -> None:
        """Turns rotation on and the key off as wanted."""
        kms = call.client("kms")
        if inputs.get("enableKeyRotation"):
            _set_rotation(kms, resource_id, inputs)
        if not inputs["isEnabled"]:
            kms.disable_key(KeyId=resource_id)

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the key; one that waits for its deletion is gone."""
        kms = call.client("kms")
        told = kms.describe_key(KeyId=resource_id)["KeyMetadata"]
        if told["KeyState"] in {"PendingDeletion", "PendingReplicaDeletion"}:
            raise Gone(f"the KMS key {resource_id} waits for its deletion")
        rotation = kms.get_key_rotation_status(KeyId=resource_id)
        properties = {
            "arn": told["Arn"],
            "keyId": told["KeyId"],
            "description": told["Description"],
            "isEnabled": told["Enabled"],
            "keyUsage": told["KeyUsage"],
            "customerMasterKeySpec": told.get("KeySpec", "SYMMETRIC_DEFAULT"),
            "multiRegion": told.get("MultiRegion", False),
            "policy": kms.get_key_policy(KeyId=resource_id, PolicyName="default")["Policy"],
            "enableKeyRotation": rotation["KeyRotationEnabled"],
            "tags": pairs_to_map(kms.list_resource_tags(KeyId=resource_id)["Tags"]),
        }
        if rotation["KeyRotationEnabled"]:
            properties["rotationPeriodInDays"] = rotation.get("RotationPeriodInDays", 365)
        return properties

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes description, policy, rotation, state and tags."""
        kms, new = call.client("kms"), change.new
        if change.touches("isEnabled") and new["isEnabled"]:
            # Nothing else can be changed on a key that is off.
            kms.enable_key(KeyId=resource_id)
        if change.touches("description"):
            kms.update_key_description(KeyId=resource_id, Description=new.get("description", ""))
        if change.touches("policy"):
            kms.put_key_policy(KeyId=resource_id, PolicyName="default", Policy=new["policy"])
        if change.touches("enableKeyRotation", "rotationPeriodInDays"):
            _set_rotation(kms, resource_id, new)
        wanted, unwanted = change.tags()
        if unwanted:
            kms.untag_resource(KeyId=resource_id, TagKeys=unwanted)
        if wanted:
            kms.tag_resource(KeyId=resource_id, Tags=map_to_pairs(wanted, "TagKey", "TagValue"))
        if change.touches("isEnabled") and not new["isEnabled"]:
            kms.disable_key(KeyId=resource_id)

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Schedules the deletion, after 30 days unless the resource says otherwise."""
        self.read(call, resource_id, state)
        days = state.get("deletionWindowInDays") or _DEFAULT_WINDOW_DAYS
        call.client("kms").schedule_key_deletion(KeyId=resource_id, PendingWindowInDays=days)


class Alias(Resource):
    """A name for a key."""

    token = "aws:kms/alias:Alias"
    supported: ClassVar = frozenset({"name", "namePrefix", "region", "targetKeyId"})
    name: ClassVar = Name(limit=256, begin="alias/")
    replaces: ClassVar = frozenset({"name", "namePrefix"})
    gone: ClassVar = _NOT_FOUND

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the alias."""
        call.client("kms").create_alias(AliasName=inputs["name"], TargetKeyId=inputs["targetKeyId"])
        return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Finds the alias among all of the account."""
        pages = call.client("kms").get_paginator("list_aliases").paginate()
        for alias in (alias for page in pages for alias in page["Aliases"]):
            if alias["AliasName"] == resource_id and "TargetKeyId" in alias:
                arn, key = alias["AliasArn"], alias["TargetKeyId"]
                target = arn.replace(resource_id, f"key/{key}")
                return {"name": resource_id, "arn": arn, "targetKeyId": key, "targetKeyArn": target}
        raise Gone(f"there is no KMS alias {resource_id}")

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Points the alias to another key."""
        call.client("kms").update_alias(AliasName=resource_id, TargetKeyId=change.new["targetKeyId"])

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the alias, not the key."""
        call.client("kms").delete_alias(AliasName=resource_id)


def _set_rotation(kms: Any, key_id: str, inputs: Mapping[str, Any]) -> None:
    if not inputs.get("enableKeyRotation"):
        kms.disable_key_rotation(KeyId=key_id)
        return
    days = inputs.get("rotationPeriodInDays")
    kms.enable_key_rotation(KeyId=key_id, **({"RotationPeriodInDays": days} if days else {}))


RESOURCES = (Key(), Alias())
