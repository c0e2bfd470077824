"""What the recorded checks say, case by case, and what other rules would have said of the same launches.

python -m benchmarks.statistics.report
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

import numpy as np
from tabulate import tabulate

from benchmarks.raw_rows import read_rows
from edgebench.files import write_atomic

from .checks import CASES, RECORD, Sizing, sizings
from .noise import pair_groups, residuals_of
from .rules import RULES


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", type=Path, default=RECORD)
    flags = parser.parse_args()
    rows = read_rows(flags.record)
    checks = [row for row in rows if row["what"] == "check"]
    lines, rules = [], []
    for case in CASES:
        mine = [row for row in checks if row["case"] == case]
        if not mine:
            continue
        verdicts = [row["verdict"] for row in mine]
        fine = verdicts.count("pass") + verdicts.count("improved")
        scatter = np.concatenate(residuals_of(pair_groups(mine))[0]).std()
        lines.append(
            [
                case,
                f"{len(mine)} of {CASES[case][0]}",
                f"{mine[-1]['budget']:.2%}",
                verdicts.count("regressed"),
                fine,
                verdicts.count("inconclusive"),
                verdicts.count("failed"),
                f"{median(row['seconds'] for row in mine):.1f} s",
                f"{median(len(row['launches']) for row in mine):g}",
                f"{scatter:.2%}",
            ]
        )
        solo = [row["solo_us"] for row in mine if all(row["solo_us"])]
        said = [sum(rule(*each) for each in solo) for rule in RULES.values()]
        rules.append([case, len(mine), verdicts.count("regressed"), *said])
    headers = [
        "case",
        "checks",
        "budget",
        "regressed",
        "pass",
        "inconclusive",
        "failed",
        "median time",
        "launches",
        "SD of a log ratio",
    ]
    parts = [
        "Real checks on this machine by `python -m benchmarks.statistics.checks`; raw: the .jsonl beside.",
        tabulate(lines, headers=headers, tablefmt="github", disable_numparse=True),
        "Layers were sized by launches in turns:",
        tabulate(
            [_sizing(each) for each in sizings(rows)],
            headers=["processor", "wanted", "inner channels", "launches", "ratio - 1", "95 % interval", "taken"],
            tablefmt="github",
            disable_numparse=True,
        ),
        "How many of the same checks other rules would have called slower, by one launch of each file by itself:",
        tabulate(rules, headers=["case", "checks", "edgebench", *RULES], tablefmt="github", disable_numparse=True),
    ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    write_atomic(flags.record.with_suffix(".md"), text.encode())
    return 0


def _sizing(each: Sizing) -> list[str]:
    low, high = each.interval
    return [
        each.processor,
        f"{each.slower:.1%}",
        str(each.inner),
        str(each.launches),
        f"{each.ratio - 1:.2%}",
        f"{low - 1:.2%} to {high - 1:.2%}",
        "yes" if each.taken else "no",
    ]


if __name__ == "__main__":
    raise SystemExit(main())
