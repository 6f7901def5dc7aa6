"""What a preview does itself with 10,000 small models: load, validate, digest; cold and with a warm cache.

The alternative is `sha256sum` of the same files: reading and hashing each once, and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import report
from bench.catalogs import many

COUNT = 10_000
COLD_SECONDS, WARM_SECONDS, MIB = 20.0, 2.0, 500.0


def preview(catalog: Path) -> None:
    """Does a preview's own work, in a process of its own, and prints what it took."""
    begin = time.perf_counter()
    from cohost import artifact
    from cohost import catalog as catalogs
    from cohost.validation import validate

    cache = artifact.DigestCache.of_project(catalog.parent)
    models = catalogs.load(catalog)
    assert validate(models, max_bytes=10**11, cache=cache) == []
    found = artifact.digests(models, cache=cache)
    print(json.dumps({"seconds": time.perf_counter() - begin, "mib": report.peak_mib(), "models": len(found)}))


def run(catalog: Path) -> dict[str, float]:
    """One preview."""
    command = [sys.executable, "-m", "bench.catalog_10000", str(catalog)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        catalog = many(Path(scratch) / "models", COUNT)
        time.sleep(2.5)  # the cache trusts only files that are older than a tick of the clock
        hashing = "find . -type f -name '*.[op][nb]*' -print0 | sort -z | xargs -0 sha256sum"
        alternative = report.seconds(lambda: report.shell(hashing, catalog.parent))
        cold = run(catalog)
        warm = min((run(catalog) for _ in range(3)), key=lambda result: result["seconds"])
    print(report.machine())
    base = f"sha256sum of the same files {alternative:.2f} s"
    results = []
    for name, result, limit in (("cold", cold, COLD_SECONDS), ("warm", warm, WARM_SECONDS)):
        measured = f"{result['seconds']:.2f} s, {result['mib']:.0f} MiB"
        good = result["seconds"] <= limit and result["mib"] <= MIB
        what = f"load, validate and digest {COUNT:,} models, {name}"
        ratio = result["seconds"] / alternative
        results.append(report.line(what, measured, base, ratio, f"<= {limit:g} s, {MIB:g} MiB", good=good))
    report.finish(*results)


if __name__ == "__main__":
    preview(Path(sys.argv[1])) if len(sys.argv) > 1 else main()
