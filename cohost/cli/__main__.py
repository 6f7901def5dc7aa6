"""Runs the command: `python -m cohost.cli`."""

from __future__ import annotations

import sys

from cohost.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
