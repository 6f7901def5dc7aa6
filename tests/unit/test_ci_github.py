"""One comment, one issue: found again, brought up to date, never somebody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cohost.errors import CohostError
from cohost.report.comment import MARKER
from scripts.ci import comment, drift
from scripts.ci.github import Repository
from tests.unit.github_server import BOT, PERSON, GitHub, github
from tests.unit.report_previews import RECORDED, text


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[GitHub]:
    with github() as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url)
        monkeypatch.setenv("GITHUB_REPOSITORY", "an/app")
        monkeypatch.setenv("GITHUB_TOKEN", "a-token")
        monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
        yield server


def test_a_pull_request_has_one_comment_which_is_updated_in_place(hub: GitHub) -> None:
    repository = Repository.of_workflow()
    repository.comment(7, MARKER, f"{MARKER}\nfirst")
    repository.comment(7, MARKER, f"{MARKER}\nsecond")
    repository.comment(8, MARKER, f"{MARKER}\nanother")
    assert [item["body"] for item in hub.comments.values()] == [f"{MARKER}\nsecond", f"{MARKER}\nanother"]
    writes = [call for call in hub.calls if not call.startswith("GET")]
    repository.comment(7, MARKER, f"{MARKER}\nsecond")
    assert [call for call in hub.calls if not call.startswith("GET")] == writes
    assert hub.tokens == {"Bearer a-token"}


def test_a_comment_of_a_person_is_never_overwritten(hub: GitHub) -> None:
    pasted = {"id": 1, "issue": 7, "user": PERSON, "body": f"{MARKER}\nwhat I saw"}
    quoted = {"id": 2, "issue": 7, "user": BOT, "body": f"another bot quotes {MARKER}"}
    hub.comments = {1: dict(pasted), 2: dict(quoted)}
    Repository.of_workflow().comment(7, MARKER, f"{MARKER}\nours")
    assert (hub.comments[1], hub.comments[2]) == (pasted, quoted)
    assert hub.comments[3]["body"] == f"{MARKER}\nours"


def test_the_comment_is_found_behind_many_others(hub: GitHub) -> None:
    hub.comments = {number: {"id": number, "issue": 7, "user": PERSON, "body": "talk"} for number in range(1, 251)}
    hub.comments[230] = {"id": 230, "issue": 7, "user": BOT, "body": f"{MARKER}\nold"}
    Repository.of_workflow().comment(7, MARKER, f"{MARKER}\nnew")
    assert len(hub.comments) == 250
    assert hub.comments[230]["body"] == f"{MARKER}\nnew"


def test_the_job_comments_and_summarizes_what_the_previews_left(
    hub: GitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    folder = tmp_path / "previews"
    folder.mkdir()
    (folder / "aws.json").write_text(text("stream-aws"))
    (folder / "torn.json").write_text('{"sequence": ')
    arguments = [str(folder), "--stacks", json.dumps(["aws", "gcp", "torn"])]
    assert comment.main(arguments) == 0
    assert hub.calls == []
    assert comment.main([*arguments, "--pull-request", "7"]) == 0
    (written,) = hub.comments.values()
    assert written["body"] * 2 == (tmp_path / "summary.md").read_text()
    assert "| changed | `iris` |" in written["body"]
    assert "The job ended before there was a preview" in written["body"]
    assert "The preview cannot be read" in written["body"]


def test_what_github_refuses_and_what_is_missing_is_said(
    hub: GitHub, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.refuse = True
    assert comment.main([str(RECORDED), "--stacks", "[]", "--pull-request", "7"]) == 1
    assert "403" in capsys.readouterr().err
    monkeypatch.delenv("GITHUB_TOKEN")
    with pytest.raises(CohostError, match="GITHUB_TOKEN: not set"):
        Repository.of_workflow()


def found(stack: str, *titles: str, error: str = "") -> str:
    changes = [{"title": title, "op": "delete", "diff": []} for title in titles]
    return json.dumps({"stack": stack, "error": error, "changes": changes})


def test_one_issue_tells_of_drift_until_there_is_none(hub: GitHub, tmp_path: Path) -> None:
    files = [tmp_path / "aws.json", tmp_path / "gcp.json"]
    report = ["report", *map(str, files)]
    for aws, gcp in ((found("aws"), found("gcp")), (found("aws", "an alarm"), found("gcp")),
                     (found("aws", "an alarm", "a role"), found("gcp", error="no access"))):  # fmt: skip
        files[0].write_text(aws)
        files[1].write_text(gcp)
        assert drift.main(report) == 0
    (issue,) = hub.issues.values()
    assert issue["title"] == drift.TITLE
    assert "`a role`" in issue["body"]
    assert "no access" in issue["body"]
    assert issue["state"] == "open"
    files[0].write_text(found("aws"))
    files[1].unlink()
    assert drift.main(report) == 0
    assert "The job ended before it had an answer" in issue["body"]
    files[1].write_text(found("gcp"))
    assert drift.main(report) == 0
    assert issue["state"] == "closed"
    files[0].write_text(found("aws", "a bucket"))
    assert drift.main(report) == 0
    assert [item["state"] for item in hub.issues.values()] == ["closed", "open"]
