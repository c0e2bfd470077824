"""How much longer ``edgebench --help`` takes than ``python -c pass``, and which heavy packages it imports.

    .venv/bin/python benchmarks/startup.py

Both commands run alternately in one session, so that a busy machine slows them alike. The goal: a ratio of at most 8.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time

GOAL = 8.0
HEAVY = ("torch", "torchvision", "timm", "onnx", "onnxruntime", "ncnn", "numpy", "msgspec", "rich", "tabulate", "yaml")
LIST_IMPORTED = """
import sys
from edgebench.cli import main
main(["--help"])
print("\\n".join(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def once_ms(arguments: list[str]) -> float:
    """Wall time of one fresh process."""
    begin = time.perf_counter_ns()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, env=environment())
    # A wait with a timeout polls with pauses of up to 50 ms, longer than what is measured: a timer bounds it instead.
    bound = threading.Timer(60, process.kill)
    bound.start()
    status = process.wait()
    elapsed_ms = (time.perf_counter_ns() - begin) / 1e6
    bound.cancel()
    if status != 0:
        raise SystemExit(f"{' '.join(arguments)} ended with status {status}")
    return elapsed_ms


def environment() -> dict[str, str]:
    """Ours, with compiled modules being kept: the first start after an installation is not what is measured."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def imported() -> set[str]:
    """Top-level packages that ``edgebench --help`` loads."""
    done = subprocess.run(
        [sys.executable, "-c", LIST_IMPORTED], check=True, capture_output=True, text=True, timeout=60, env=environment()
    )
    return set(done.stderr.split())


def main() -> int:
    """Prints both times, their ratio, and the heavy packages; exit status 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=30, help="processes of each kind (default 30)")
    repeat = parser.parse_args().repeat
    commands = {"python -c pass": ["-c", "pass"], "edgebench --help": ["-m", "edgebench", "--help"]}
    for arguments in commands.values():
        once_ms(arguments)
    times_ms: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeat):
        for name, arguments in commands.items():
            times_ms[name].append(once_ms(arguments))
    for name, times in times_ms.items():
        print(f"{name:18} median {statistics.median(times):6.1f} ms   min {min(times):6.1f} ms   n {len(times)}")
    bare, ours = (statistics.median(times) for times in times_ms.values())
    heavy = sorted(imported() & set(HEAVY))
    print(f"ratio of medians   {ours / bare:.1f}   (goal: at most {GOAL:g})")
    print(f"heavy packages     {len(heavy)} of {len(HEAVY)}: {', '.join(heavy) or 'none'}")
    return 0 if ours / bare <= GOAL and not heavy else 1


if __name__ == "__main__":
    sys.exit(main())
