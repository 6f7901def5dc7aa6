"""Which stacks a change touches: `python -m scripts.ci.changed_stacks BASE` prints their names as a JSON list.

Given GITHUB_OUTPUT, also `stacks=[…]` for the next job. A file that no rule below knows touches every stack.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import yaml

# Patterns of paths by what they can change: nothing that is deployed, or the stacks of one cloud.
_NOTHING: Final = re.compile(
    r"(docs|tests|bench|examples|scripts|\.github|bootstrap|cohost/(local|cost|report|doctor|cli)|policies/tests)/|[^/]*\.md$"
)
_CLOUDS: Final = {
    "aws": re.compile(r"components/aws/|stacks/aws\.py$|cohost/(aws|sagemaker|s3)[^/]*$|cohost/provider/aws\.py$"),
    "gcp": re.compile(r"components/gcp/|stacks/gcp\.py$|cohost/(gcp|gcs|vertex)[^/]*$|cohost/provider/vertex/"),
}
_STACK_FILE: Final = re.compile(r"Pulumi\.(?P<stack>[A-Za-z0-9][A-Za-z0-9_.-]*)\.yaml$")


def touched(files: Iterable[str], platforms: Mapping[str, str]) -> list[str]:
    """Returns the stacks that a change touches, sorted.

    Args:
        files: The changed paths, relative to the project's folder.
        platforms: The cloud ("aws", "gcp") of each stack by its name.
    """
    found: set[str] = set()
    for file in files:
        if stack := _STACK_FILE.match(file):
            found |= {stack["stack"]} & platforms.keys()
        elif not _NOTHING.match(file):
            clouds = {cloud for cloud, pattern in _CLOUDS.items() if pattern.match(file)} or _CLOUDS.keys()
            found |= {stack for stack, cloud in platforms.items() if cloud in clouds}
    return sorted(found)


def stacks_of(root: Path) -> dict[str, str]:
    """Returns the cloud of each stack that has a file with settings."""
    found: dict[str, str] = {}
    for file in sorted(root.glob("Pulumi.*.yaml")):
        config = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("config") or {}
        cloud = next((value for key, value in config.items() if key.endswith(":platform")), None)
        if cloud in _CLOUDS:
            found[file.name.removeprefix("Pulumi.").removesuffix(".yaml")] = cloud
    return found


def changed_files(root: Path, base: str) -> list[str]:
    """Returns the paths that differ between a commit and the work tree's HEAD, both names of a renamed file."""
    command = ["git", "diff", "--name-only", "--no-renames", "-z", base, "HEAD"]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return [name for name in done.stdout.split("\0") if name]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the arguments."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("base", help="the commit to compare with")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Prints the stacks; 0 always, as a `git` that refuses raises."""
    base = parser().parse_args(arguments).base
    root = Path()
    platforms = stacks_of(root)
    # The first push of a branch has no commit before it: then everything is new.
    stacks = sorted(platforms) if set(base) <= {"0"} else touched(changed_files(root, base), platforms)
    text = json.dumps(stacks)
    print(text)
    if output := os.environ.get("GITHUB_OUTPUT"):
        with Path(output).open("a", encoding="utf-8") as file:
            file.write(f"stacks={text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
