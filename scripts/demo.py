"""`make demo`: the whole life cycle on both clouds, on this machine, in a scratch copy; every step is checked."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))


def main() -> int:
    """Runs the demonstration; 0 when everything was as promised."""
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # Takes a second, in which Ctrl-C must end as well as later.
        from scripts import demo_story

        code = demo_story.tell()
    except KeyboardInterrupt:
        print("\ninterrupted; `make demo` begins anew", file=sys.stderr)
        code = 130
    finally:
        end()
    if code == 0:
        print(f"\nThat was the whole life cycle, in {time.monotonic() - begin:.0f} s, and nothing of it runs any more.")
        print("Next: your own model, in README.md.")
    return code


def end() -> None:
    """Ends every process, whatever is pressed meanwhile."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    from scripts import demo_steps

    demo_steps.end()


if __name__ == "__main__":
    sys.exit(main())
