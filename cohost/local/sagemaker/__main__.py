"""Runs the emulator: `python -m cohost.local.sagemaker --state DIR --port 0 --aws-url URL`."""

from __future__ import annotations

from cohost.local import process
from cohost.local.sagemaker.server import serve


def main() -> None:
    """Serves until SIGTERM."""
    parser = process.parser("SageMaker in front of real Triton, on the loopback interface")
    parser.add_argument("--aws-url", required=True, metavar="URL", help="where the other AWS services answer")
    arguments = parser.parse_args()
    process.run(lambda: serve(arguments.state, arguments.port, arguments.aws_url, process.on_termination()))


if __name__ == "__main__":
    main()
