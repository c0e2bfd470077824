"""What does reading sensors take of a core on a board? Runs over a real sshd against the tests' virtual Jetson.

Each launch of a run says it itself: the harness's own readings, in its telemetry rows, and the CPU time of the ``tegrastats``
beside it, which on the virtual board is a shell script. The goal: under 1 % of a core, both together, in every launch.

Launches are appended to the record; --report prints without measuring.

    python -m benchmarks.board_telemetry --runs 10
    python -m benchmarks.board_telemetry --report
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from tabulate import tabulate

from benchmarks.raw_rows import append_row, read_rows
from edgebench.analyze.telemetry import sensors_share
from edgebench.files import write_atomic
from edgebench.measure.store import RunStore
from edgebench.records import MonitorRow
from edgebench.transport.ssh_client import CONFIGURATION
from tests.virtual_board.board import virtual_board
from tests.virtual_board.sshd import NAME

CHECKOUT = Path(__file__).resolve().parents[1]
RECORD = CHECKOUT / "reports" / "benchmarks" / "board_telemetry.jsonl"
GOAL = 0.01
LAUNCHES = 6
TIMEOUT_S = 300.0


def measure(model: str, runs: int, record: Path) -> None:
    """Appends a row a launch."""
    with tempfile.TemporaryDirectory(prefix="edgebench-") as name, virtual_board(Path(name, "board")) as board:
        environment = os.environ | {CONFIGURATION: str(board.sshd.config), "PYTHONPATH": str(CHECKOUT)}
        for run in range(runs):
            store = RunStore(Path(name, "runs", str(run)))
            where = ("--target", "orin-nano", "--serial", NAME, "--runtime", "ncnn", "--runs-dir", str(store.folder))
            how = ("--launches", str(LAUNCHES), "--no-gate", "--no-profile")
            command = [sys.executable, "-m", "edgebench", "run", model, *where, *how]
            subprocess.run(command, cwd=name, env=environment, stdout=subprocess.DEVNULL, timeout=TIMEOUT_S, check=True)
            [folder] = (each.parent for each in store.folder.glob("*/run.json"))
            for row in launches(RunStore(folder), model):
                append_row(record, **row)


def launches(store: RunStore, model: str) -> list[dict[str, Any]]:
    """What each used launch of a stored run says."""
    traces = store.traces(store.load().series[0]).values()
    rows = []
    for trace in traces:
        [monitor] = trace.of(MonitorRow)
        rows.append(
            {
                "model": model,
                "harness": sensors_share(trace),
                "monitor": monitor.name,
                "monitor_cost": monitor.cost_share,
            }
        )
    return rows


def report(record: Path) -> tuple[str, bool]:
    """The table as Markdown, and whether every launch keeps to the goal."""
    rows = read_rows(record)
    shares = {
        "the harness's readings": [row["harness"] for row in rows],
        "tegrastats (a stand-in)": [row["monitor_cost"] for row in rows],
        "both": [row["harness"] + row["monitor_cost"] for row in rows],
    }
    table = [[what, len(each), f"{median(each):.3%}", f"{max(each):.3%}"] for what, each in shares.items()]
    headers = ("of a core", "launches", "median", "worst launch")
    return tabulate(table, headers=headers, tablefmt="github", disable_numparse=True), max(shares["both"]) < GOAL


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mobileone_s0")
    parser.add_argument("--runs", type=int, default=10, help=f"of {LAUNCHES} launches each")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--report", action="store_true", help="only print what is recorded")
    flags = parser.parse_args()
    if not flags.report:
        measure(flags.model, flags.runs, flags.record)
    table, kept = report(flags.record)
    print(table)
    about = (
        "What telemetry takes of a core on the virtual board, in launches of a model of some 6 ms."
        " Made by `python -m benchmarks.board_telemetry`; raw: the .jsonl beside."
    )
    write_atomic(flags.record.with_suffix(".md"), f"{about}\n\n{table}\n".encode())
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
