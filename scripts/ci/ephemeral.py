"""Stacks that live as long as their pull request, named `pr-<number>-<stack>`, with the settings of `<stack>`.

`python -m scripts.ci.ephemeral up NUMBER STACK` deploys one, `python -m scripts.ci.ephemeral down NUMBER` destroys and
forgets all of a pull request's. PULUMI_SECRETS_PROVIDER names the key of their secrets.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from scripts.ci import pulumi

_STACK: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
# Keys of a stack's file that hold its own key; another stack gets another.
_OWN_KEY: Final = ("secretsprovider", "encryptedkey", "encryptionsalt")


def name_of(number: int, stack: str) -> str:
    """Returns the name of a pull request's stack."""
    return f"pr-{number}-{stack}"


def settings(text: str, provider: str) -> str:
    """Returns a stack file's text for an ephemeral stack: its settings, another key.

    Raises:
        ValueError: A setting is encrypted: only the stack's own key opens it.
    """
    content: dict[str, Any] = yaml.safe_load(text) or {}
    if "secure:" in text:
        raise ValueError("a setting is encrypted with the stack's own key; an ephemeral stack cannot have it")
    kept = {key: value for key, value in content.items() if key not in _OWN_KEY}
    return yaml.safe_dump({"secretsprovider": provider, **kept}, sort_keys=False)


def up(root: Path, number: int, stack: str, packs: list[Path]) -> int:
    """Deploys a pull request's stack; returns the exit code of `pulumi`."""
    name, provider = name_of(number, stack), os.environ["PULUMI_SECRETS_PROVIDER"]
    text = (root / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8")
    (root / f"Pulumi.{name}.yaml").write_text(settings(text, provider), encoding="utf-8")
    select = ("stack", "select", name, "--create", "--secrets-provider", provider)
    return _all((select, ("up", "--yes", "--stack", name, *pulumi.packs(packs))), root)


def down(root: Path, number: int) -> int:
    """Destroys every stack of a pull request; returns the first exit code that is not 0, having tried all."""
    listed = pulumi.run("stack", "ls", "--output", "json", root=root)
    if listed.code:
        return listed.code
    names = [entry["name"].rpartition("/")[2] for entry in json.loads(listed.out)]
    ours = [name for name in names if name.startswith(name_of(number, ""))]
    print(f"stacks of pull request {number}: {', '.join(ours) or 'none'}")
    codes = [_all((("destroy", "--yes", "--stack", name), ("stack", "rm", "--yes", name)), root) for name in ours]
    return next(filter(None, codes), 0)


def _all(commands: tuple[tuple[str, ...], ...], root: Path) -> int:
    """Runs commands until one fails; returns its exit code."""
    for command in commands:
        done = pulumi.run(*command, root=root)
        print(done.out, end="")
        if done.code:
            return done.code
    return 0


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the arguments."""
    made = argparse.ArgumentParser(description=__doc__)
    commands = made.add_subparsers(required=True, dest="command")
    deploying = commands.add_parser("up")
    deploying.add_argument("number", type=int)
    deploying.add_argument("stack")
    deploying.add_argument("--policy-pack", type=Path, action="append", default=[], metavar="DIR")
    commands.add_parser("down").add_argument("number", type=int)
    return made


def main(arguments: list[str] | None = None) -> int:
    """Deploys or destroys; 0 where all went well."""
    given = parser().parse_args(arguments)
    if given.command == "down":
        return down(Path(), given.number)
    if not _STACK.fullmatch(given.stack) or not Path(f"Pulumi.{given.stack}.yaml").is_file():
        parser().error(f"there is no stack {given.stack!r}")
    return up(Path(), given.number, given.stack, given.policy_pack)


if __name__ == "__main__":
    sys.exit(main())
