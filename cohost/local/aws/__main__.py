"""Runs the emulator: `python -m cohost.local.aws --state DIR --port 0`."""

from __future__ import annotations

from cohost.local import process
from cohost.local.aws.server import serve


def main() -> None:
    """Serves until SIGTERM."""
    arguments = process.parser("AWS beside SageMaker, on the loopback interface").parse_args()
    process.run(lambda: serve(arguments.state, arguments.port, process.on_termination()))


if __name__ == "__main__":
    main()
