"""A stack that an earlier release has deployed goes on under this one: nothing is replaced, nothing is deleted.

`tests/local/recorded_release.py` tells what is recorded, and how.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.local.project import Project
from tests.local.recorded_release import Recorded, every

RECORDED = every()
STACKS = ("aws", "gcp")
# Each makes something of a stack another one, as an edit that looks harmless does.
MUTATIONS = {
    # Another logical name is another resource.
    "aws": ("stacks/aws.py", '"models",', '"artifacts",', "aws:s3/bucket:Bucket"),
    "gcp": ("stacks/gcp.py", '"serving",', '"server",', "gcp:serviceaccount/account:Account"),
}


def harmful(project: Project, stack: str) -> dict[str, list[str]]:
    """What `up` would replace or delete, by what it would do."""
    document = project.operate("preview", stack=stack)
    assert document["summary"]["same"] > 0, "the state was not read"
    found: dict[str, list[str]] = {"replace": [], "delete": []}
    for change in document["changes"]:
        if change["op"] in found:
            found[change["op"]].append(change["type"])
    return found


def name_of(recorded: Recorded) -> str:
    return recorded.file.stem


def test_there_is_a_recording_of_every_stack() -> None:
    assert {recorded.stack for recorded in RECORDED} == set(STACKS)


@pytest.mark.parametrize("recorded", RECORDED, ids=name_of)
def test_what_a_release_has_deployed_is_neither_replaced_nor_deleted_by_this_one(
    recorded: Recorded, project: Project
) -> None:
    recorded.put_into(project)
    assert harmful(project, recorded.stack) == {"replace": [], "delete": []}


@pytest.mark.parametrize("stack", STACKS)
def test_a_renamed_resource_would_not_pass(stack: str, project: Project) -> None:
    recorded = next(each for each in RECORDED if each.stack == stack)
    recorded.put_into(project)
    file, right, wrong, token = MUTATIONS[stack]
    path = project.root / file
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    assert token in harmful(project, stack)["delete"]


def test_the_recordings_name_their_release_and_hold_a_whole_stack() -> None:
    for recorded in RECORDED:
        content: dict[str, Any] = recorded.content
        assert recorded.file.stem == f"{content['release']}-{content['stack']}-{content['engine']}"
        types = {each["type"] for each in content["resources"]}
        assert f"cohost:{'sagemaker' if recorded.stack == 'aws' else 'vertex'}:ActiveRelease" in types
