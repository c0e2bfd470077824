"""How fast is a file pushed to a simulated device, against plain ``adb push`` of the same file to the same daemon?

100 MB of random bytes, each way once a round in an order drawn anew, ten rounds or more, what was pushed removed between. The
hash is known or computed first, the progress told (for which adb writes to a terminal) or not. Bars, on the medians of the
rounds' ratios: at least 0.9 of adb's speed without verification on the device, 0.5 with it, the hash known and nothing told; a
second push of the same file within 0.15 s. Exits with 1 where one is missed. *As a run pushes* is all that a run does
(runtime.remote_launcher): it computes the hash, tells the progress, and has what it sent hashed on the device; it has no bar.

The daemons are the simulated one (tests/virtual_phone/adbd.py) and, where it can be built, Android's own adbd. Rounds are
appended to the record; --report prints without measuring. No real phone and no cable is in it: both daemons listen on this
machine's loopback, which is faster than USB, so that edgebench's own part weighs more here than it would there.

    python -m benchmarks.phone_push --rounds 12
    python -m benchmarks.phone_push --report
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pytest
from tabulate import tabulate

from benchmarks.raw_rows import append_row, read_rows
from edgebench.files import sha256_file
from edgebench.transport.adb import AdbChannel
from edgebench.transport.remote import Remote
from tests.virtual_phone.fixtures import AdbServer, adb_daemon, adb_server, eventually
from tests.virtual_phone.real_adbd import real_adbd

CHECKOUT = Path(__file__).resolve().parents[1]
RECORD = CHECKOUT / "reports" / "benchmarks" / "phone_push.jsonl"
SIZE_BYTES = 100_000_000
ROUNDS_LEAST = 10
PLAIN = "adb push"
AS_A_RUN = "as a run pushes"
RATIO_BARS = {
    "hash known": 0.9,
    "hash known, progress told": None,
    "hash computed": None,
    "hash known, verified": 0.5,
    "hash computed, verified": None,
    AS_A_RUN: None,
}
AGAIN_BARS = {"pushed again, hash known": 0.15, "pushed again, hash computed": None}
TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Device:
    """A daemon that adb is connected to. ``folder`` is where the files go, as the device and as this machine name it."""

    name: str
    serial: str
    folder: str
    folder_here: Path


@contextmanager
def simulated(server: AdbServer, work: Path) -> Iterator[Device]:
    """The daemon of the virtual phone. It sees this machine's files."""
    with adb_daemon(work / "simulated") as daemon:
        server.connect(daemon)
        yield Device("simulated device, simulated adbd", daemon.address, str(work / "there"), work / "there")
        server.adb("disconnect", daemon.address)


@contextmanager
def real(server: AdbServer, work: Path) -> Iterator[Device]:
    """Android's adbd, in a world of its own. Raises pytest's Skipped where this machine cannot have it."""
    key = Path(server.env["HOME"]) / ".android" / "adbkey.pub"
    eventually(key.is_file, "the adb server makes its key")
    with real_adbd(work / "real", trusts=[key]) as daemon:
        server.connect(daemon)
        yield Device(
            "simulated device, Android's adbd", daemon.address, "/data/local/tmp/there", daemon.data / "local/tmp/there"
        )
        server.adb("disconnect", daemon.address)


DAEMONS = {"simulated": simulated, "real": real}


def ways(device: Device, file: Path, sha256: str) -> dict[str, Callable[[], object]]:
    """Every way to push ``file``; each leaves it on the device."""
    remote = Remote(AdbChannel(device.serial))
    push = remote.push

    def plain() -> None:
        command = ["adb", "-s", device.serial, "push", str(file), f"{device.folder}/{sha256}"]
        subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)

    def as_a_run() -> None:
        found = sha256_file(file)
        for verify in (False, True):
            push(file, device.folder, sha256=found, on_progress=lambda _bytes: None, verify=verify)

    return {
        PLAIN: plain,
        "hash known": lambda: push(file, device.folder, sha256=sha256),
        "hash known, progress told": lambda: push(file, device.folder, sha256=sha256, on_progress=lambda _bytes: None),
        "hash computed": lambda: push(file, device.folder),
        "hash known, verified": lambda: push(file, device.folder, sha256=sha256, verify=True),
        "hash computed, verified": lambda: push(file, device.folder, verify=True),
        AS_A_RUN: as_a_run,
    }


def one_round(device: Device, file: Path, order: random.Random) -> dict[str, float]:
    """Seconds of each way, once."""
    sha256 = sha256_file(file)
    seconds = {}
    every = list(ways(device, file, sha256).items())
    order.shuffle(every)
    for name, way in every:
        (device.folder_here / sha256).unlink(missing_ok=True)
        # What the last push wrote must not be written out at this one's cost.
        os.sync()
        seconds[name] = timed(way)
        if (device.folder_here / sha256).stat().st_size != SIZE_BYTES:
            raise RuntimeError(f"{name} did not bring the file")
    remote = Remote(AdbChannel(device.serial))
    seconds["pushed again, hash known"] = timed(lambda: remote.push(file, device.folder, sha256=sha256))
    seconds["pushed again, hash computed"] = timed(lambda: remote.push(file, device.folder))
    (device.folder_here / sha256).unlink()
    return seconds


def timed(way: Callable[[], object]) -> float:
    begin_ns = time.monotonic_ns()
    way()
    return (time.monotonic_ns() - begin_ns) / 1e9


def measure(daemons: list[str], rounds: int, record: Path) -> None:
    """Appends a row a round and daemon; goes on where the record ends."""
    record.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="edgebench-push-") as name:
        work = Path(name)
        file = work / "harness"
        file.write_bytes(random.Random(0).randbytes(SIZE_BYTES))  # noqa: S311  (content that does not compress)
        with adb_server(work / "host") as server:
            os.environ.update({key: server.env[key] for key in ("HOME", "ANDROID_ADB_SERVER_PORT", "ADB_MDNS")})
            for daemon in daemons:
                try:
                    rounds_on(daemon, server, work, file, rounds, record)
                except pytest.skip.Exception as skipped:
                    print(f"{daemon}: left out: {skipped}")


def rounds_on(daemon: str, server: AdbServer, work: Path, file: Path, rounds: int, record: Path) -> None:
    with DAEMONS[daemon](server, work) as device:
        device.folder_here.mkdir(parents=True)
        done = sum(row["device"] == device.name for row in read_rows(record))
        if done < rounds:
            # The first pays for what later ones find: folders, caches, the server's first connection.
            one_round(device, file, random.Random(0))  # noqa: S311  (an order)
        for number in range(done, rounds):
            seconds = one_round(device, file, random.Random(number))  # noqa: S311  (an order)
            append_row(record, device=device.name, round=number, size_bytes=SIZE_BYTES, seconds=seconds)


def report(record: Path) -> tuple[str, bool]:
    """The table as Markdown, and whether every bar is kept."""
    rows = read_rows(record)
    lines, kept = [], bool(rows)
    for device in dict.fromkeys(row["device"] for row in rows):
        mine = [row["seconds"] for row in rows if row["device"] == device]
        kept &= len(mine) >= ROUNDS_LEAST
        speed = SIZE_BYTES / 1e6 / median(each[PLAIN] for each in mine)
        lines.append([device, PLAIN, len(mine), f"{speed:.0f} MB/s", "", ""])
        for name, bar in RATIO_BARS.items():
            # Rounds of before a way was thought of lack it.
            ratios = [each[PLAIN] / each[name] for each in mine if name in each]
            if not ratios:
                continue
            kept &= bar is None or median(ratios) >= bar
            lines.append([device, name, len(ratios), spread(ratios), *judged(median(ratios), bar, at_least=True)])
        for name, limit in AGAIN_BARS.items():
            again = [each[name] for each in mine]
            kept &= limit is None or median(again) < limit
            lines.append([device, name, len(mine), f"{spread(again)} s", *judged(median(again), limit, at_least=False)])
    headers = ("device", "way", "rounds", "median (least to most)", "bar", "")
    return tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True), kept


def spread(values: list[float]) -> str:
    return f"{median(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def judged(value: float, bar: float | None, *, at_least: bool) -> tuple[str, str]:
    if bar is None:
        return "none", ""
    ok = value >= bar if at_least else value < bar
    return f"{'at least' if at_least else 'below'} {bar:g}{'' if at_least else ' s'}", "ok" if ok else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--daemon", choices=list(DAEMONS), action="append", help="default: all")
    parser.add_argument("--record", type=Path, default=RECORD)
    parser.add_argument("--report", action="store_true", help="only print what is recorded")
    flags = parser.parse_args()
    if not flags.report:
        measure(flags.daemon or list(DAEMONS), flags.rounds, flags.record)
    table, kept = report(flags.record)
    print(table)
    about = (
        "Push of 100 MB to a simulated device: the speed as a share of plain `adb push` to the same daemon over loopback, and"
        " the time of a push of what is there already. Made by `python -m benchmarks.phone_push`; raw: the .jsonl beside."
    )
    flags.record.with_suffix(".md").write_text(f"{about}\n\n{table}\n", encoding="utf-8")
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
