"""Runs a Pulumi program, in a process of its own, against the engine that started it.

What `pulumi-language-python-exec` is to the `pulumi` command. The first argument is a JSON object with the
settings; the configuration comes in PULUMI_CONFIG and PULUMI_CONFIG_SECRET_KEYS, as the SDK reads it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pulumi
import pulumi.runtime


def _user_traceback(program: str) -> str:
    """The traceback from the program's own frame on."""
    frames = traceback.extract_tb(sys.exc_info()[2])
    for index, frame in enumerate(frames):
        if frame.filename == program:
            return traceback.format_exc(limit=index - len(frames))
    return traceback.format_exc()


def _run(settings: dict[str, str | int | bool]) -> int:
    root = Path(str(settings["root_directory"]))
    program = str(root / "__main__.py")
    sys.path.insert(0, str(root))
    sys.argv = [program]
    pulumi.runtime.set_all_config(pulumi.runtime.get_config_env(), pulumi.runtime.get_config_secret_keys_env())
    pulumi.runtime.configure(pulumi.runtime.Settings(**settings))  # pyright: ignore[reportArgumentType]
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.set_default_executor(ThreadPoolExecutor(max_workers=4 * max(1, int(settings["parallel"]))))
    # A program that fails leaves futures behind that asyncio would complain of.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)

    def main() -> None:
        runpy.run_path(program, run_name="__main__")

    try:
        loop.run_until_complete(pulumi.runtime.run_in_stack(main))
    except pulumi.RunError as error:
        pulumi.log.error(str(error))
        return 1
    except Exception:
        pulumi.log.error("Program failed with an unhandled exception:\n" + _user_traceback(program))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_run(json.loads(sys.argv[1])))
