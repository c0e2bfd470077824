"""``edgebench`` on a machine that may be busy: disturbances are judged by limits that nothing reaches.

Placement, crashes and the rest are judged as ever. Whether a disturbance is seen is tested in tests/measure/test_validity.py.
"""

from __future__ import annotations

import sys
from dataclasses import fields

from edgebench.cli import main
from edgebench.measure import launching
from edgebench.measure.validity import Limits, judge

if __name__ == "__main__":
    limits = Limits(**{field.name: 1e9 for field in fields(Limits)})
    # Launches alone: the gate still waits for a calm device.
    launching.judge = lambda trace, plan, reference, _: judge(trace, plan, reference, limits)
    sys.exit(main())
