"""Runs the emulator: `python -m cohost.local.gcs --state DIR --port 0`."""

from __future__ import annotations

from cohost.local import process
from cohost.local.gcs.server import serve


def main() -> None:
    """Serves until SIGTERM."""
    arguments = process.parser("Google Cloud Storage, on the loopback interface").parse_args()
    process.run(lambda: serve(arguments.state, arguments.port, process.on_termination()))


if __name__ == "__main__":
    main()
