"""Previews a real stack: `python -m scripts.ci.preview STACK --into FILE [--policy-pack DIR]`.

FILE gets what `cohost report pr` reads, also of a preview that failed; the exit code is that of `pulumi`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.ci import pulumi


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the arguments."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("stack")
    made.add_argument("--into", type=Path, required=True, metavar="FILE")
    made.add_argument("--policy-pack", type=Path, action="append", default=[], metavar="DIR")
    return made


def main(arguments: list[str] | None = None) -> int:
    """Runs the preview; 0 where nothing is wrong and no mandatory policy is broken."""
    given = parser().parse_args(arguments)
    done = pulumi.run("preview", "--json", "--show-sames", "--stack", given.stack, *pulumi.packs(given.policy_pack))
    given.into.parent.mkdir(parents=True, exist_ok=True)
    given.into.write_text(pulumi.document(done), encoding="utf-8")
    return done.code


if __name__ == "__main__":
    sys.exit(main())
