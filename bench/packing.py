"""Packing and unpacking a model of 1 GB of float weights, against tar with gzip."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from bench import report
from cohost.archive import pack
from cohost.local.large_model import make_large_model
from cohost.local.sagemaker.archive import unpack

MIB = 1000
ROUNDS = 3
PACK_WANTED = 10.0
# Both run at the disk's speed: what is within the noise of the rounds counts as no slower.
UNPACK_WANTED = 1.0


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder = Path(scratch)
        make_large_model(folder / "large", "large", MIB, seed=1)
        ours, theirs = folder / "ours.tar.gz", folder / "theirs.tar.gz"

        def pack_ours() -> None:
            with ours.open("wb") as out:
                pack(folder / "large", "large", out)

        packing = statistics.median(report.seconds(pack_ours) for _ in range(ROUNDS))
        tar = report.seconds(lambda: report.shell(f"tar -czf {theirs} large", folder))
        numbers = iter(range(100))

        def unpack_ours() -> None:
            with ours.open("rb") as stream:
                unpack(stream, folder / f"unpacked-{next(numbers)}", lambda _: None)

        def untar_theirs() -> None:
            target = folder / f"unpacked-{next(numbers)}"
            target.mkdir()
            report.shell(f"tar -xzf {theirs} -C {target}", folder)

        unpacking, untar = report.median_of_pairs(unpack_ours, untar_theirs, ROUNDS)
        share = ours.stat().st_size / theirs.stat().st_size
    print(report.machine())
    results = [
        report.line(
            f"pack {MIB} MiB of float weights",
            f"{packing:.2f} s",
            f"tar -czf {tar:.2f} s",
            tar / packing,
            f">= {PACK_WANTED:g} x faster",
            good=tar / packing >= PACK_WANTED,
        ),
        report.line(
            "unpack it by the reader",
            f"{unpacking:.2f} s",
            f"tar -xzf of tar's own archive {untar:.2f} s",
            untar / unpacking,
            f">= {UNPACK_WANTED:g} x",
            good=untar / unpacking >= UNPACK_WANTED,
        ),
    ]
    print(f"      size of ours / theirs: {share:.3f}")
    report.finish(*results)


if __name__ == "__main__":
    main()
