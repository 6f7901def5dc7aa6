"""Who may do what in the stack on GCP."""

from __future__ import annotations

import pytest

from tests.unit.mocks_gcp import PROJECT, run_main

BUCKET_MEMBER = "gcp:storage/bucketIAMMember:BucketIAMMember"
ENDPOINT = "gcp:vertex/aiEndpoint:AiEndpoint"
ENDPOINT_MEMBER = "gcp:vertex/aiEndpointIamMember:AiEndpointIamMember"
ACCOUNT_MEMBER = "gcp:serviceaccount/iAMMember:IAMMember"
PROJECT_MEMBER = "gcp:projects/iAMMember:IAMMember"
ROLE = "gcp:projects/iAMCustomRole:IAMCustomRole"

ANN = "user:ann@example.com"
# pulumi_gcp imports its own deprecated functions.
pytestmark = pytest.mark.filterwarnings("ignore:.* in favor of:DeprecationWarning")


def test_callers_get_the_endpoint_and_the_releases_and_nothing_else() -> None:
    stack = run_main({"caller": {"members": [ANN]}})
    call = stack.one(ENDPOINT_MEMBER).inputs
    assert (call["member"], call["role"]) == (ANN, f"projects/{PROJECT}/roles/cohost_dev_caller")
    assert call["endpoint"] == stack.one(ENDPOINT).inputs["name"]
    read = stack.one(BUCKET_MEMBER, f"caller-releases-{ANN}").inputs
    assert read["role"].endswith("caller_releases")
    assert read["condition"]["expression"] == (
        'resource.name.startsWith("projects/_/buckets/cohost-dev-models-1a2b3c4/objects/releases/")'
    )


def test_deployers_get_the_project_the_bucket_and_the_account_that_containers_run_as() -> None:
    stack = run_main({"deployer": {"members": [ANN]}})
    granted = {
        resource.inputs["role"].rpartition("/")[2]: resource
        for resource in stack.custom
        if resource.inputs.get("member") == ANN
    }
    assert set(granted) == {
        *("cohost_dev_deployer_endpoint", "cohost_dev_deployer_store", "cohost_dev_deployer_activate"),
        "iam.serviceAccountUser",
    }
    assert granted["iam.serviceAccountUser"].type == ACCOUNT_MEMBER
    assert granted["cohost_dev_deployer_endpoint"].type == PROJECT_MEMBER
    assert granted["cohost_dev_deployer_activate"].inputs["condition"]["expression"] == " || ".join(
        f'resource.name.startsWith("projects/_/buckets/cohost-dev-models-1a2b3c4/objects/{prefix}")'
        for prefix in ("releases/", "repositories/")
    )


def test_no_role_has_a_wildcard_or_may_change_who_may_do_what() -> None:
    default = run_main()
    for role in default.of(ROLE):
        for permission in role.inputs["permissions"]:
            assert "*" not in permission
            assert not permission.endswith(("setIamPolicy", "roles.update", "buckets.delete", "actAs"))
        assert role.inputs["permissions"] == sorted(role.inputs["permissions"])
    members = {resource.inputs.get("role") for resource in default.custom}
    assert not members & {"roles/owner", "roles/editor", "roles/aiplatform.admin", "roles/storage.admin"}
