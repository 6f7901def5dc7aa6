"""Runs the emulator: `python -m cohost.local.vertex --state DIR --port 0 --storage-url URL`."""

from __future__ import annotations

from cohost.local import process
from cohost.local.vertex.server import serve


def main() -> None:
    """Serves until SIGTERM."""
    parser = process.parser("Vertex AI in front of real Triton, on the loopback interface")
    parser.add_argument("--storage-url", required=True, metavar="URL", help="where Cloud Storage answers")
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.state, arguments.port, arguments.storage_url, process.on_termination()))


if __name__ == "__main__":
    main()
