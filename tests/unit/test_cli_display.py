from __future__ import annotations

import io

from cohost.cli.display import progress
from cohost.engine import Event

BUCKET = "urn:pulumi:dev::shop::cohost:aws:ArtifactStore$aws:s3/bucket:Bucket::models"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def step(status: str, op: str = "create", token: str = "aws:s3/bucket:Bucket") -> Event:
    return Event("resource", urn=BUCKET, type=token, op=op, status=status)  # type: ignore[arg-type]


def test_a_log_gets_a_line_for_each_beginning_and_end() -> None:
    out = io.StringIO()
    with progress(out) as on_event:
        on_event(step("started"))
        on_event(Event("log", urn=BUCKET, message="uploading 1/2", ephemeral=True))
        on_event(Event("log", urn=BUCKET, message="versioned\nand encrypted"))
        on_event(step("done"))
    begin, message, detail, end = out.getvalue().splitlines()
    assert begin.strip() == "creating aws:s3:Bucket models"
    assert message.strip() == "models: versioned"
    assert detail.strip() == "and encrypted"
    assert end.strip().startswith("+ created aws:s3:Bucket models (")
    assert "\x1b" not in out.getvalue()


def test_unchanged_resources_are_not_shown() -> None:
    out = io.StringIO()
    with progress(out) as on_event:
        on_event(step("started", op="same"))
        on_event(step("done", op="same"))
    assert out.getvalue() == ""


def test_a_preview_shows_only_what_is_said() -> None:
    out = io.StringIO()
    with progress(out, preview=True) as on_event:
        on_event(step("done"))
        on_event(Event("log", message="an update doubles the GPUs for a while", severity="warning"))
    assert out.getvalue().strip() == "warning: an update doubles the GPUs for a while"


def test_a_terminal_keeps_what_is_done_and_redraws_what_runs() -> None:
    out = Terminal()
    with progress(out) as on_event:
        on_event(step("started"))
        on_event(Event("log", urn=BUCKET, message="uploading 1/2", ephemeral=True))
        on_event(step("failed"))
    assert "! creating aws:s3:Bucket models failed" in out.getvalue()
    assert not out.getvalue().rstrip("\n").endswith("uploading 1/2")
