"""Writes the plans and pages of the comparison and the JSON schemas of its data: `python -m scripts.comparison`."""

from __future__ import annotations

import sys
from datetime import date

from cohost.errors import InputError
from scripts.comparison.checks import problems
from scripts.comparison.figures import look_up
from scripts.comparison.load import DATA, load, schemas
from scripts.comparison.pages import pages
from scripts.comparison.plans import PLANS, plan


def made(today: date) -> dict[str, str]:
    """Returns every file that is made of the data, by its path below docs/comparison.

    Args:
        today: The day against which ages count.

    Raises:
        InputError: The data breaks its form or its rules.
    """
    comparison = load()
    known = look_up(comparison.figures)
    found = problems(comparison, known, today)
    if found:
        raise InputError(found)
    return {f"schemas/{name}": text for name, text in schemas().items()} | pages(comparison, known)


def main() -> int:
    """Writes the files; returns 2 where the data is not as it has to be."""
    try:
        for name in PLANS:
            (DATA / "plans" / f"{name}.json").write_text(plan(name), "utf-8")
        files = made(date.today())
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    for name, text in files.items():
        (DATA / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
