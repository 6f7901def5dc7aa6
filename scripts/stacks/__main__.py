"""Writes the pages of the stack templates and the JSON schema of their data: `python -m scripts.stacks`."""

from __future__ import annotations

import sys

from cohost.errors import InputError
from scripts.stacks.pages import FOLDER, ROOT, made


def main() -> int:
    """Writes the files; returns 2 where the data is not as it has to be."""
    try:
        files = made()
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for name, text in files.items():
        path = ROOT / FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
