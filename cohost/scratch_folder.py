"""A folder for what is packed before it is sent; what a killed process has left of one is found and removed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cohost.errors import CohostError
from cohost.folder_lock import held

_PREFIX: Final = "cohost-packing-"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Makes a folder in the system's place for temporary files and removes it after the block.

    Archives are as large as their models, so a folder that a killed process has left there is removed first.

    Raises:
        CohostError: There is no place for one.
    """
    _sweep()
    while True:
        folder = _made()
        with held(folder):
            # Between the two lines above another process may have taken it for a dead one's.
            if not folder.is_dir():
                continue
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            return


def _made() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=_PREFIX))
    except OSError as error:
        raise CohostError(f"cannot make a folder for archives: {error}; TMPDIR may name a place") from error


def _sweep() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with held(folder, wait=False) as dead:
            if dead:
                shutil.rmtree(folder, ignore_errors=True)
