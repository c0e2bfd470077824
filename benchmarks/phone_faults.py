"""Does a run on a phone leave anything behind, whatever happens to it? On a simulated device: no real phone is in it.

What is injected stands in ``fault_kinds``, what is checked in ``fault_recording``. Changed for each run, and to be restored:
fixed performance mode and the screen that stays on.

    python -m benchmarks.phone_faults --faults 200 --workers 2
    python -m benchmarks.phone_faults --report
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.fault_kinds import Case, draw
from benchmarks.fault_recording import CHECKOUT, main
from benchmarks.fault_rig import with_harness
from tests.virtual_phone import host
from tests.virtual_phone.faults import Faults
from tests.virtual_phone.fixtures import AdbServer, adb_server
from tests.virtual_phone.phone import VirtualPhone, virtual_phone

PROFILE = "pixel_8_pro"


class FaultyPhone:
    """One virtual phone with its adb server; see fault_rig.Simulated."""

    def __init__(self, phone: VirtualPhone, server: AdbServer) -> None:
        self._phone = phone
        self.flags = ("--target", "android", "--serial", phone.serial, "--fixed-performance", "--stay-awake")
        self.env = server.env
        self.own = phone.files.data / "local" / "tmp" / "edgebench"

    def before(self, case: Case) -> None:
        """The user's own setting of the screen."""
        self._phone.put_setting("global", "stay_on_while_plugged_in", case.stay_on)

    def inject(self, case: Case) -> None:
        """Faults of the ADB daemon, or a restart."""
        if case.faults is not None:
            self._phone.set_faults(with_harness(case.faults))
        if case.reboots:
            self._phone.reboot()

    def heal(self) -> None:
        """A sound daemon."""
        self._phone.set_faults(Faults())

    def struck(self, case: Case, since_ns: int) -> bool:
        """By the daemon's journal."""
        return case.struck([event for event in self._phone.events() if event["at_ns"] >= since_ns])

    def answers(self) -> bool:
        """Whether its daemon listens."""
        return host.answers(self._phone.port)

    def settings(self) -> object:
        """Power saving, which nobody touches, the screen, and fixed performance mode."""
        return (
            self._phone.setting("global", "low_power"),
            self._phone.setting("global", "stay_on_while_plugged_in"),
            self._phone.read_state("fixed_performance"),
        )

    def user_settings(self, case: Case) -> object:
        """As the user had them."""
        return ("0", case.stay_on, "false")

    def running(self) -> list[str]:
        """What the phone runs beside its own."""
        return [" ".join(each.argv) for each in self._phone.processes()]


@contextmanager
def faulty_phone(folder: Path) -> Iterator[FaultyPhone]:
    """A phone of its own."""
    with adb_server(folder / "host") as server, virtual_phone(PROFILE, folder / "phone", acceleration=20) as phone:
        yield FaultyPhone(phone, server)


if __name__ == "__main__":
    raise SystemExit(
        main(__doc__ or "", CHECKOUT / "reports" / "benchmarks" / "phone_faults.jsonl", faulty_phone, draw)
    )
