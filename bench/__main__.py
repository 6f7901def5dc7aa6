"""Runs every measurement: `make bench`, or one of them: `python -m bench.packing`."""

from __future__ import annotations

import subprocess
import sys

SCRIPTS = (
    "catalog_10000",
    "packing",
    "publishing",
    "publishing_gcs",
    "unchanged_up",
    "preview",
    "client_latency",
    "client_vertex",
)


def main() -> int:
    """Runs them one after the other; 1 when one is not as wanted."""
    failed = 0
    for script in SCRIPTS:
        print(f"== bench/{script}.py", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"bench.{script}"], check=False).returncode != 0
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
