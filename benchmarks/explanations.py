"""Does ``edgebench explain`` find why two results differ, and find nothing where nothing is? On a simulated device.

Each case is two results of the same network: the first measured on a twin that nothing happens to, the second on the phone,
with a change planted (``explanation_cases``). Their launches take turns on the same core of this machine, whose own clock
moves by several percent within seconds: what it does falls on both. The results are then explained as any two are.

    single   60 planted causes; named first, by mechanism and cause, in at least 54. Of 20 the telemetry is taken away: then
             the mechanism is to be named, and the cause where the identity card tells it
    double   20 pairs of causes; both named in at least 14
    decoy    20 results that differ on the identity card, which has no effect; anything named in at most 1
    same     60 results that differ in nothing; anything named in none

    python -m benchmarks.explanations                      # about 40 minutes; needs root or user namespaces
    python -m benchmarks.explanations --report             # only explains anew what is recorded, and prints

Goes on where the recording stands. The core of another kind is one with a lower clock: multiply-adds a cycle are the same on
both cores of this machine. The build flag is ncnn's Winograd convolution, switched off when it is loaded. A second thread is
one too many: the layers are small, and the threads of both devices sleep where they wait.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from benchmarks.explanation_cases import CORES, NUMBERS, SLOW_CORE, Case, Change, cases
from benchmarks.explanation_report import CaseRow, Side, report, rows_of, told
from benchmarks.raw_rows import placeless
from benchmarks.resident import INPUT_SIZE
from benchmarks.simulated_phone import CORE, SCHEDULE, Pair, SimulatedPhone, simulated_pair
from benchmarks.throttling_cases import RATIOS
from edgebench import __version__
from edgebench.catalog import resolve_model, resolve_target
from edgebench.export.pipeline import obtain
from edgebench.measure.launching import Launched, Subject, completed_identity, launch, with_conditions
from edgebench.measure.prepare import Request, prepare
from edgebench.records import LaunchRecord, RunPolicy, RunRecord
from edgebench.runtime.launcher import plan_artifact
from tests.virtual_phone.profiles import PIXEL_8_PRO
from tests.virtual_phone.thermal_sets import PIXEL

MODEL = "benchmarks.resident:shallow"
LAUNCHES = 5
THERMAL = replace(PIXEL, ratios=RATIOS)
PHONE = replace(PIXEL_8_PRO, cores=CORES, properties={**PIXEL_8_PRO.properties, "ro.serialno": "SIMULATED"})
STATUS_FROM_C = (39.0, 43.0, 45.0, 46.5, 52.0, 55.0)
# What two threads that look out for each other take depends on whose hyperthreads the two cores are: of the 14 ms network 1.4
# to 2.6 times as long as one thread on one machine (2026-11-29), and 0.8 to 1.3 times on another (2026-11-30), where nothing
# was planted therefore. Threads that sleep where they wait are slower everywhere, where layers take less than waking one up.
ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
SMALL_INPUT_SIZE = 8
COOL_SKIN_C, CHIP_ABOVE_SKIN_C = 30.0, 6.0
# An interval of 10 ms, of which it computes a share.
_BUSY = (
    "import os, sys, time\n"
    "os.sched_setaffinity(0, {{{core}}})\n"
    "while True:\n"
    "    until = time.perf_counter() + {busy}\n"
    "    while time.perf_counter() < until: pass\n"
    "    time.sleep({rest})"
)
_PERIOD_S = 0.010


def measure(path: Path, most: int) -> None:
    """Appends a row a case, where it is not there yet, to at most so many of them."""
    done = {row.number for row in rows_of(path)}
    with (
        tempfile.TemporaryDirectory(prefix="edgebench-") as scratch,
        simulated_pair(
            THERMAL, Path(scratch), rate=1.0, status_from_c=STATUS_FROM_C, of=PHONE, environment=ENVIRONMENT
        ) as pair,
    ):
        renamed = _renamed(Path(scratch))
        for case in [each for each in cases() if each.number not in done][:most]:
            row = measured(pair, case, renamed)
            with path.open("a", encoding="utf-8") as file:
                file.write(placeless(msgspec.json.encode(row).decode(), scratch) + "\n")
            print(told(row), flush=True)


def measured(pair: Pair, case: Case, renamed: Path) -> CaseRow:
    """Both results, their launches in turns."""
    with _planted(pair.phone, case.change):
        size = SMALL_INPUT_SIZE if case.change.threads > 1 else INPUT_SIZE
        first, second = _Result(pair.twin, Change(), renamed, size), _Result(pair.phone, case.change, renamed, size)
        for index in range(LAUNCHES):
            for result in (first, second) if index % 2 == 0 else (second, first):
                result.launch(index, f"{case.number}")
        sides = first.side(), second.side()
    return CaseRow(number=case.number, group=case.group, planted=case.planted, untold=case.untold, sides=sides)


class _Result:
    """One of the two while it is measured."""

    def __init__(self, on: SimulatedPhone, change: Change, renamed: Path, size: int) -> None:
        self._on, self._busy, self._core = on, change.busy, SLOW_CORE if change.slow_core else CORE
        # All but what is measured stays on core 0 of this machine, which is all that a shell of the phone sees therefore.
        facts = msgspec.structs.replace(on.bench.device.facts(), clusters=((CORE,), (SLOW_CORE,)))
        bench = replace(on.bench, facts=facts, settings=(change.setting,) if change.setting else ())
        cores = (SLOW_CORE, CORE) if change.threads == 2 else (SLOW_CORE,) if change.slow_core else (CORE,)
        request = Request(
            models=(str(renamed) if change.renamed else MODEL,),
            runtimes=("ncnn",),
            asked_runtimes=True,
            precisions=("fp32",),
            threads=change.threads,
            cores=cores,
            input_size=None if change.renamed else (size,),
        )
        ready = prepare(request, bench)
        subject = ready.subjects[0]
        self._subject: Subject = replace(subject, options={**subject.options, **change.options})
        self._series, self._facts = ready.series[0], facts
        self._launched: list[Launched] = []

    def launch(self, index: int, name: str) -> None:
        """One more, with what computes beside it. Raises RuntimeError where it times nothing."""
        with _busy_core(self._core, self._busy):
            made = launch(self._subject, self._on.at, SCHEDULE, kind="measure", lane=name, index=index, session=0)
        if made.trace is None:
            raise RuntimeError(f"launch {name}-{index} failed: {made.record.reasons}")
        self._launched.append(made)

    def side(self) -> Side:
        """What is recorded of it."""
        launches: Sequence[LaunchRecord] = [each.record for each in self._launched]
        traces = tuple(each.trace for each in self._launched if each.trace is not None)
        card = with_conditions(completed_identity(self._series.identity, traces[0]), launches)
        series = msgspec.structs.replace(self._series, identity=card, launches=tuple(launches))
        return Side(
            run=RunRecord(
                run_id=self._on.phone.folder.name,
                tool_version=__version__,
                command=("python", "-m", "benchmarks.explanations"),
                started_utc=launches[0].started_utc,
                state="complete",
                target=resolve_target("android"),
                device=self._facts,
                reference=self._on.reference,
                policy=RunPolicy(looks=(LAUNCHES,), profile=False, gate=False),
                schedule=SCHEDULE,
                series=(series,),
            ),
            traces=traces,
        )


@contextmanager
def _planted(on: SimulatedPhone, change: Change) -> Iterator[None]:
    """The phone as the change has it, and then as before."""
    phone, files = on.phone, on.phone.files
    skin_c = change.skin_c or COOL_SKIN_C
    phone.set(
        level=change.level,
        skin_c=skin_c,
        soc_c=skin_c + CHIP_ABOVE_SKIN_C,
        status_stuck=change.status_stuck,
        base_slowdown=replace(change, level=0).slowdown,
    )
    with ExitStack() as after:

        def put(path: Path, text: str) -> None:
            before = path.read_text(encoding="utf-8")
            after.callback(path.write_text, before, encoding="utf-8")
            path.write_text(text, encoding="utf-8")

        if change.power_saving:
            put(files.phone / "settings" / "global" / "low_power", "1\n")
        if change.setting:
            put(files.phone / "settings" / "global" / "stay_on_while_plugged_in", "2\n")
        if change.unplugged:
            put(files.phone / "state" / "usb_powered", "false\n")
        if change.screen_off:
            put(files.phone / "state" / "screen", "off\n")
        if change.governor:
            for core in range(len(CORES)):
                put(files.cpu / f"cpu{core}" / "cpufreq" / "scaling_governor", change.governor + "\n")
        if change.os_build:
            said = (files.phone / "properties").read_text(encoding="utf-8")
            own = PHONE.properties["ro.build.fingerprint"]
            put(files.phone / "properties", said.replace(own, change.os_build))
        yield


@contextmanager
def _busy_core(core: int, share: float) -> Iterator[None]:
    """Another process computes for a share of the measured core's time; for none of it there is no such process."""
    if not share:
        yield
        return
    program = _BUSY.format(core=core, busy=share * _PERIOD_S, rest=(1.0 - share) * _PERIOD_S)
    process = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
    finally:
        process.kill()
        process.wait(timeout=10)


def _renamed(folder: Path) -> Path:
    """The same network in other bytes, as FILE.param: each of its layers is called something else."""
    artifact, kept = obtain(resolve_model(MODEL)[0], format="ncnn", input_size=(INPUT_SIZE,))
    files = {role: Path(path) for role, path in plan_artifact(artifact, kept).files.items()}
    param = files["param"]
    header, count, *layers = param.read_text(encoding="ascii").splitlines()
    # A file alone says how large its input is.
    sized = f"0={INPUT_SIZE} 1={INPUT_SIZE} 2=3"
    named = (line.split(maxsplit=2) for line in layers)
    lines = [f"{kind} renamed_{name} {rest} {sized if kind == 'Input' else ''}".rstrip() for kind, name, rest in named]
    path = folder / "renamed.param"
    path.write_text("\n".join([header, count, *lines]) + "\n", encoding="ascii")
    path.with_suffix(".bin").write_bytes(files["bin"].read_bytes())
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("reports/benchmarks"))
    parser.add_argument("--cases", type=int, default=sum(NUMBERS.values()), help="at most so many more")
    parser.add_argument("--report", action="store_true", help="only prints")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "explanations.jsonl"
    if not arguments.report:
        measure(path, arguments.cases)
    return report(path)


if __name__ == "__main__":
    raise SystemExit(main())
