"""What the real `pulumi preview --policy-pack policies` prints for both stacks on the local cloud: docs/examples.

`python -m tests.local.policy_previews` writes both files anew; it needs the `pulumi` command in PATH.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.local.project import CHECKOUT, Project, scratch_project

STACKS: Final = ("aws", "gcp")
PACK: Final = CHECKOUT / "policies"
COMMAND: Final = "python -m tests.local.policy_previews"
# Of what the command prints as it goes, and of what another run prints otherwise.
_PROGRESS: Final = re.compile(r"^(@ |Loading policy packs)")
_MADE_UP: Final = re.compile(r"(?<=-models-)[0-9a-f]{7}(?=\")")
_RELEASE: Final = re.compile(r"\b[0-9a-f]{64}\b")
_AMOUNT: Final = re.compile(r"\$[0-9,.]+[0-9]~?")


def file(stack: str) -> Path:
    """Where the preview of a stack is kept."""
    return CHECKOUT / "docs" / "examples" / f"preview-policies-{stack}.txt"


def taken(project: Project, stack: str) -> str:
    """What the command prints now; without progress, and with the same name and release whenever it is run."""
    done = project.cohost("local", "preview", stack, "--engine", "pulumi", "--policy-pack", str(PACK))
    assert done.code == 0, done.err
    printed = (project.root / ".cohost" / stack / "pulumi.log").read_text(encoding="utf-8")
    kept = [line.rstrip() for line in printed.splitlines() if line.strip() and not _PROGRESS.match(line)]
    text = "\n".join(kept).replace(str(CHECKOUT), "…") + "\n"
    return _RELEASE.sub("0" * 64, _MADE_UP.sub("0000000", text))


def lines(text: str) -> list[str]:
    """Those lines of a preview that every run prints, in an order of their own and without the prices of the day."""
    return sorted(_AMOUNT.sub("$", line) for line in text.splitlines() if not line.startswith("#"))


def write(stack: str) -> None:
    """Writes the file of a stack."""
    version = subprocess.run(["pulumi", "version"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        project = scratch_project(Path(folder) / "project")
        try:
            printed = taken(project, stack)
        finally:
            project.cohost("local", "stop")
    head = [
        f"# $ pulumi preview --stack {stack} --policy-pack policies",
        f"# pulumi {version} on the local cloud, {datetime.now(UTC):%Y-%m-%d}; made by {COMMAND}",
    ]
    file(stack).parent.mkdir(exist_ok=True)
    file(stack).write_text("\n".join([*head, printed]), encoding="utf-8")


if __name__ == "__main__":
    for name in STACKS:
        write(name)
