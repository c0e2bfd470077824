"""What edgebench itself adds before the first timed iteration of a run whose artifact is in the cache.

From the start of the process to the first timed iteration, less what is the runtime's (import and session load) and what is
measuring (reference, gate, canaries, warm-up: all recorded in the run). The goal: at most 2 s.

    python -m benchmarks.cached_start
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from edgebench.measure.store import RunStore
from edgebench.records import IterationsRow, LoadRow

GOAL_S = 2.0


def once(model: str, runs_dir: Path) -> dict[str, float]:
    """Seconds of each part of one run of one launch."""
    command = [sys.executable, "-m", "edgebench", "run", model, "--runtime", "onnxruntime", "--launches", "1"]
    begin_s = time.monotonic()
    subprocess.run(
        [*command, "--no-profile", "--runs-dir", str(runs_dir)], check=True, capture_output=True, timeout=600
    )
    (folder,) = runs_dir.iterdir()
    store = RunStore(folder)
    record = store.load()
    trace = store.traces(record.series[0])[0]
    load, first = trace.of(LoadRow)[0], trace.of(IterationsRow)[0]
    total = first.t_ns / 1e9 - begin_s
    parts = {
        "runtime import and load": (load.import_ns + load.load_ns) / 1e9,
        "reference": record.reference_ms / 1e3,
        "gate": record.series[0].launches[0].gate_wait_ms / 1e3,
        "canaries and warm-up": (first.t_ns - load.t_ns - load.import_ns - load.load_ns) / 1e9,
    }
    return {"total": total, **parts, "edgebench itself": total - sum(parts.values())}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobileone_s0")
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    rows = []
    for _ in range(arguments.repeat + 1):
        with tempfile.TemporaryDirectory() as folder:
            rows.append(once(arguments.model, Path(folder)))
    # The first run exports, or fills the file cache.
    medians = {name: median(row[name] for row in rows[1:]) for name in rows[0]}
    for name, seconds in medians.items():
        print(f"{name:24} {seconds:6.2f} s")
    print(f"goal: edgebench itself at most {GOAL_S:g} s (median of {arguments.repeat} runs)")
    return 0 if medians["edgebench itself"] <= GOAL_S else 1


if __name__ == "__main__":
    sys.exit(main())
