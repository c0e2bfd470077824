"""``edgebench`` on a machine that may be busy: disturbances are judged by limits that nothing reaches, and launches are short.

Placement, crashes and the rest are judged as ever. Whether a disturbance is seen is tested in tests/measure/test_validity.py.
"""

from __future__ import annotations

import sys
from dataclasses import fields
from functools import partial

from edgebench.cli import main
from edgebench.cli import measuring as cli_measuring
from edgebench.measure import launching
from edgebench.measure.limits import Limits
from edgebench.measure.validity import judge, judge_held
from edgebench.records import Schedule

if __name__ == "__main__":
    limits = Limits(**{field.name: 1e9 for field in fields(Limits)})
    # Launches alone: the gate still waits for a calm device.
    launching.judge = lambda trace, plan, reference, _: judge(trace, plan, reference, limits)
    launching.judge_held = lambda trace, plan, reference, _: judge_held(trace, plan, reference, limits)
    # What is tested is what happens and what is said, never how long a network took.
    cli_measuring.Schedule = partial(  # type: ignore[misc, assignment]
        Schedule, warmup_tolerance=1e9, measure_ms=200, canary_every_ms=100
    )
    sys.exit(main())
