"""Runs the emulator: `python -m cohost.local.sagemaker --state DIR --port 0 --aws-url URL`."""

from __future__ import annotations

import sys

from cohost.errors import CohostError
from cohost.local import process
from cohost.local.sagemaker.server import serve


def main() -> None:
    """Serves until SIGTERM."""
    parser = process.parser("SageMaker in front of real Triton, on the loopback interface")
    parser.add_argument("--aws-url", required=True, metavar="URL", help="where the other AWS services answer")
    arguments = parser.parse_args()
    process.log_to_stderr()
    try:
        serve(arguments.state, arguments.port, arguments.aws_url, process.on_termination())
    except (CohostError, OSError, ValueError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
