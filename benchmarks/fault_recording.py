"""Records what faults at random moments leave behind on a simulated device: what phone_faults and board_faults share.

Real ``edgebench run`` processes measure a tiny network there; into each one fault is injected at a random moment. Afterwards:
(a) nothing of edgebench runs on the device once its own bounds have passed; (b) the next ``edgebench run --no-wait`` gets the
device; (c) no setting is left changed after the guard's time or after the next run, whichever the case waits for; (d) every
launch that was told as finished can still be read, the exit status is a documented one, and stderr says what and how to mend
it, without a traceback; (e) no launch's folder and no other lock is left after that next run. Exits with 1 where a check
failed.

A row a fault is appended to the record, and a later call goes on where it ends. Faults that came too late, or whose event
never came, are recorded and not counted.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path

from tabulate import tabulate

from benchmarks.fault_kinds import Case
from benchmarks.fault_rig import CHECKOUT, Row, Simulated, rig
from benchmarks.raw_rows import read_rows

__all__ = ["CHECKOUT", "main"]
OpenDevice = Callable[[Path], AbstractContextManager[Simulated]]


class Record:
    """The rows so far, and which number comes next; for several workers."""

    def __init__(
        self, path: Path, seed: int, wanted: int, draw: Callable[[int, int], Case], only: str | None = None
    ) -> None:
        self._draw = draw
        self._path = path
        self._seed = seed
        self._wanted = wanted
        self._only = only
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = read_rows(path)
        self._counted = sum(row["struck"] for row in rows)
        self._done = {row["number"] for row in rows}
        self._next = 0

    def take(self) -> tuple[int, Case] | None:
        """The next case, None where enough struck."""
        with self._lock:
            if self._counted >= self._wanted:
                return None
            while self._next in self._done or self._only not in (None, self._draw(self._seed, self._next).kind):
                self._next += 1
            self._next += 1
            return self._next - 1, self._draw(self._seed, self._next - 1)

    def stop(self) -> None:
        """No more cases."""
        with self._lock:
            self._wanted = 0

    def add(self, row: Row) -> None:
        with self._lock:
            self._counted += row.struck
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"seed": self._seed, **asdict(row)}) + "\n")
            told = "; ".join(row.failures) or "ok"
            late = "" if row.struck else " (did not strike)"
            print(f"{row.number:4} {row.kind}{late}, status {row.exit_status}: {told}", file=sys.stderr)


def work(record: Record, open_device: OpenDevice, folder: Path, errors: list[BaseException]) -> None:
    """One worker: one device, case after case."""
    try:
        with rig(open_device, folder) as ready:
            while taken := record.take():
                record.add(ready.play(*taken))
    except Exception as error:  # noqa: BLE001  (told by the main thread)
        errors.append(error)


def report(path: Path) -> int:
    """Prints the counts; 1 where a check failed."""
    rows = [row for row in read_rows(path) if row["struck"]]
    lines = []
    for kind in sorted({row["kind"] for row in rows}):
        mine = [row for row in rows if row["kind"] == kind]
        statuses = Counter(row["exit_status"] for row in mine)
        by = Counter(row["restored_by"] or "nobody" for row in mine)
        told = [", ".join(f"{count} x {name}" for name, count in counts.most_common()) for counts in (statuses, by)]
        lines.append([kind, len(mine), *told, sum(bool(row["failures"]) for row in mine)])
    print(
        tabulate(lines, headers=("fault", "struck", "exit status", "settings restored by", "failed"), tablefmt="github")
    )
    gone = [row["gone_s"] for row in rows if row["gone_s"] is not None]
    read_ = sum(row["launches_read"] for row in rows)
    failed = [row for row in rows if row["failures"]]
    print(
        f"simulated device, {len(rows)} faults: {len(failed)} with a failed check; nothing ran on the device any more after at"
        f" most {max(gone, default=0.0):.0f} s; {read_} finished launches, all readable unless told above"
    )
    return 1 if failed or not rows else 0


def main(about: str, default: Path, open_device: OpenDevice, draw: Callable[[int, int], Case]) -> int:
    """The command line of a recording: ``default`` is its file, ``draw`` gives the case of a seed and a number."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=200, help="how many that struck")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="KIND", help="faults of this kind alone")
    parser.add_argument("--workers", type=int, default=1, help="devices at once")
    parser.add_argument("--record", type=Path, default=default)
    parser.add_argument("--report", action="store_true", help="only print what is recorded")
    flags = parser.parse_args()
    kinds = sorted({draw(0, number).kind for number in range(200)})
    if flags.only not in (None, *kinds):
        parser.error(f"--only {flags.only!r} is none of: {', '.join(kinds)}")
    errors: list[BaseException] = []
    if not flags.report:
        # A shell starts its background jobs deaf to Ctrl-C, and what they start inherits that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        record = Record(flags.record, flags.seed, flags.faults, draw, flags.only)
        with tempfile.TemporaryDirectory(prefix="edgebench-faults-") as name:
            places = [Path(name, str(index)) for index in range(flags.workers)]
            workers = [threading.Thread(target=work, args=(record, open_device, place, errors)) for place in places]
            for worker in workers:
                worker.start()
            try:
                for worker in workers:
                    worker.join()
            except KeyboardInterrupt:
                print("ending with the faults under way", file=sys.stderr)
                record.stop()
                for worker in workers:
                    worker.join()
    status = report(flags.record)
    if errors:
        raise errors[0]
    return status
