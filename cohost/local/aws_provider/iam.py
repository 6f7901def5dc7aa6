"""IAM: roles, their inline policies, and managed policies. IAM knows no regions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from cohost.local.aws_provider.convert import map_to_pairs, pairs_to_map
from cohost.local.aws_provider.resource import Call, Change, Name, Resource

_NOT_FOUND: Final = frozenset({"NoSuchEntity"})
_MOST_VERSIONS: Final = 5  # of a managed policy; IAM's own limit


class Role(Resource):
    """A role."""

    token = "aws:iam/role:Role"
    supported: ClassVar = frozenset(
        {
            "assumeRolePolicy",
            "description",
            "forceDetachPolicies",
            "maxSessionDuration",
            "name",
            "namePrefix",
            "path",
            "permissionsBoundary",
            "tags",
        }
    )
    name: ClassVar = Name(limit=64)
    replaces: ClassVar = frozenset({"name", "namePrefix", "path"})
    defaults: ClassVar = {"forceDetachPolicies": False, "maxSessionDuration": 3600, "path": "/"}
    gone: ClassVar = _NOT_FOUND
    places: ClassVar = frozenset()

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the role."""
        parameters = {
            "RoleName": inputs["name"],
            "Path": inputs["path"],
            "AssumeRolePolicyDocument": inputs["assumeRolePolicy"],
            "Description": inputs.get("description"),
            "MaxSessionDuration": inputs["maxSessionDuration"],
            "PermissionsBoundary": inputs.get("permissionsBoundary"),
            "Tags": map_to_pairs(inputs.get("tags") or {}),
        }
        call.client("iam").create_role(**{name: value for name, value in parameters.items() if value})
        return inputs["name"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the role."""
        iam = call.client("iam")
        told = iam.get_role(RoleName=resource_id)["Role"]
        boundary = told.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn")
        return {
            "name": told["RoleName"],
            "arn": told["Arn"],
            "path": told["Path"],
            "assumeRolePolicy": _text(told["AssumeRolePolicyDocument"]),
            "createDate": told["CreateDate"].strftime("%Y-%m-%dT%H:%M:%SZ"),
            "description": told.get("Description", ""),
            "maxSessionDuration": told.get("MaxSessionDuration", 3600),
            "uniqueId": told["RoleId"],
            "permissionsBoundary": boundary,
            "tags": pairs_to_map(told.get("Tags", [])),
        }

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Changes trust, description, session length, boundary and tags."""
        iam, new = call.client("iam"), change.new
        if change.touches("assumeRolePolicy"):
            iam.update_assume_role_policy(RoleName=resource_id, PolicyDocument=new["assumeRolePolicy"])
        if change.touches("description", "maxSessionDuration"):
            iam.update_role(
                RoleName=resource_id,
                Description=new.get("description", ""),
                MaxSessionDuration=new["maxSessionDuration"],
            )
        if change.touches("permissionsBoundary"):
            if boundary := new.get("permissionsBoundary"):
                iam.put_role_permissions_boundary(RoleName=resource_id, PermissionsBoundary=boundary)
            else:
                iam.delete_role_permissions_boundary(RoleName=resource_id)
        wanted, unwanted = change.tags()
        if unwanted:
            iam.untag_role(RoleName=resource_id, TagKeys=unwanted)
        if wanted:
            iam.tag_role(RoleName=resource_id, Tags=map_to_pairs(wanted))

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the role, with `forceDetachPolicies` what is attached to it before."""
        iam = call.client("iam")
        if state.get("forceDetachPolicies"):
            for policy in iam.list_attached_role_policies(RoleName=resource_id)["AttachedPolicies"]:
                iam.detach_role_policy(RoleName=resource_id, PolicyArn=policy["PolicyArn"])
            for name in iam.list_role_policies(RoleName=resource_id)["PolicyNames"]:
                iam.delete_role_policy(RoleName=resource_id, PolicyName=name)
        iam.delete_role(RoleName=resource_id)


class RolePolicy(Resource):
    """A policy inside a role; its id is `<role>:<name>`."""

    token = "aws:iam/rolePolicy:RolePolicy"
    supported: ClassVar = frozenset({"name", "namePrefix", "policy", "role"})
    name: ClassVar = Name(limit=128)
    replaces: ClassVar = frozenset({"name", "namePrefix", "role"})
    gone: ClassVar = _NOT_FOUND
    places: ClassVar = frozenset()

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Puts the policy."""
        _put(call, inputs["role"], inputs["name"], inputs["policy"])
        return f"{inputs['role']}:{inputs['name']}"

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the policy."""
        role, _, name = resource_id.partition(":")
        told = call.client("iam").get_role_policy(RoleName=role, PolicyName=name)
        return {"role": role, "name": name, "policy": _text(told["PolicyDocument"])}

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Puts the policy anew."""
        role, _, name = resource_id.partition(":")
        _put(call, role, name, change.new["policy"])

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes the policy."""
        role, _, name = resource_id.partition(":")
        call.client("iam").delete_role_policy(RoleName=role, PolicyName=name)


class Policy(Resource):
    """A managed policy; every change is a new version of it."""

    token = "aws:iam/policy:Policy"
    supported: ClassVar = frozenset({"description", "name", "namePrefix", "path", "policy", "tags"})
    name: ClassVar = Name(limit=128)
    replaces: ClassVar = frozenset({"description", "name", "namePrefix", "path"})
    defaults: ClassVar = {"path": "/"}
    gone: ClassVar = _NOT_FOUND
    places: ClassVar = frozenset()

    def create(self, call: Call, inputs: dict[str, Any]) -> str:
        """Creates the policy."""
        parameters = {
            "PolicyName": inputs["name"],
            "Path": inputs["path"],
            "PolicyDocument": inputs["policy"],
            "Description": inputs.get("description"),
            "Tags": map_to_pairs(inputs.get("tags") or {}),
        }
        given = {name: value for name, value in parameters.items() if value}
        return call.client("iam").create_policy(**given)["Policy"]["Arn"]

    def read(self, call: Call, resource_id: str, known: Mapping[str, Any]) -> dict[str, Any]:
        """Reads the policy's default version."""
        iam = call.client("iam")
        told = iam.get_policy(PolicyArn=resource_id)["Policy"]
        version = iam.get_policy_version(PolicyArn=resource_id, VersionId=told["DefaultVersionId"])
        return {
            "arn": told["Arn"],
            "name": told["PolicyName"],
            "path": told["Path"],
            "policyId": told["PolicyId"],
            "attachmentCount": told.get("AttachmentCount", 0),
            "description": told.get("Description", ""),
            "policy": _text(version["PolicyVersion"]["Document"]),
            "tags": pairs_to_map(iam.list_policy_tags(PolicyArn=resource_id)["Tags"]),
        }

    def update(self, call: Call, resource_id: str, change: Change) -> None:
        """Makes a new default version, and room for it."""
        iam = call.client("iam")
        if change.touches("policy"):
            versions = iam.list_policy_versions(PolicyArn=resource_id)["Versions"]
            if len(versions) >= _MOST_VERSIONS:
                oldest = min(_not_default(versions), key=lambda version: version["CreateDate"])
                iam.delete_policy_version(PolicyArn=resource_id, VersionId=oldest["VersionId"])
            iam.create_policy_version(PolicyArn=resource_id, PolicyDocument=change.new["policy"], SetAsDefault=True)
        wanted, unwanted = change.tags()
        if unwanted:
            iam.untag_policy(PolicyArn=resource_id, TagKeys=unwanted)
        if wanted:
            iam.tag_policy(PolicyArn=resource_id, Tags=map_to_pairs(wanted))

    def delete(self, call: Call, resource_id: str, state: dict[str, Any]) -> None:
        """Deletes all versions; one still attached is refused by IAM."""
        iam = call.client("iam")
        for version in _not_default(iam.list_policy_versions(PolicyArn=resource_id)["Versions"]):
            iam.delete_policy_version(PolicyArn=resource_id, VersionId=version["VersionId"])
        iam.delete_policy(PolicyArn=resource_id)


def _put(call: Call, role: str, name: str, policy: str) -> None:
    call.client("iam").put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=policy)


def _not_default(versions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [version for version in versions if not version["IsDefaultVersion"]]


def _text(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)


RESOURCES = (Role(), RolePolicy(), Policy())
