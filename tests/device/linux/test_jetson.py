"""A Jetson's release, power mode and clocks are told; what is changed is put back. Its programs are stand-ins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgebench.device.linux.jetson import JetsonDevice, is_jetson, settings_named
from edgebench.device.settings import changed
from edgebench.errors import DeviceRefused, UsageError
from tests.device.folder_phone import FolderPhone, eventually
from tests.device.sample_phone import Ran
from tests.virtual_board.jetson_programs import PROGRAMS, lay_out_jetson


class FolderJetson(FolderPhone):
    """A Jetson that is a folder: its /etc lies there, its programs keep their state there."""

    programs = PROGRAMS

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        lay_out_jetson(folder)
        self._env["JETSON"] = str(folder)

    def run_script(self, text: str, /, *, timeout_s: float = 10.0) -> Ran:
        here = f"{self.folder}/etc/n"
        ran = super().run_script(text.replace("/etc/n", here), timeout_s=timeout_s)
        return Ran(ran.status, ran.output.replace(here, "/etc/n"))

    @property
    def mode(self) -> str | None:
        return self.value("mode")

    @property
    def locked(self) -> bool:
        return (self.folder / "locked").exists()


@pytest.fixture
def jetson(tmp_path: Path) -> Iterator[FolderJetson]:
    found = FolderJetson(tmp_path / "jetson")
    yield found
    assert eventually(lambda: not found.guards()), "a guard without a journal ends by itself"


def settings(jetson: FolderJetson, *names: str):
    return settings_named(names, jetson.guard.folder)


def test_a_jetson_is_known_by_its_release(jetson, tmp_path):
    assert is_jetson(jetson)
    assert not is_jetson(FolderPhone(tmp_path / "another"))


def test_the_release_and_tensorrt_are_part_of_the_build(jetson):
    assert (
        JetsonDevice(jetson, "orin").facts().os_build.endswith("L4T 36.4.3 (JetPack 6), TensorRT 10.3.0.30-1+cuda12.5")
    )
    jetson.set("jetpack", "6.2+b77")
    assert "L4T 36.4.3 (JetPack 6.2+b77), TensorRT" in JetsonDevice(jetson, "orin").facts().os_build
    (jetson.folder / "bin" / "dpkg-query").unlink()
    assert JetsonDevice(jetson, "orin").facts().os_build.endswith("no TensorRT")


def test_the_state_says_in_which_mode_and_whether_the_clocks_are_free(jetson):
    state = JetsonDevice(jetson, "orin").state()
    assert (state.power_mode, state.clocks_locked) == ("25W", False)
    jetson.set("asks_for_password", "")
    assert JetsonDevice(jetson, "orin").state().clocks_locked is None, "root alone may read them"


@pytest.mark.parametrize("mode", ["15W", "15w", "0"])
def test_mode_and_clocks_hold_inside_and_are_put_back(jetson, mode):
    with changed(jetson, settings(jetson, f"power_mode={mode}", "lock_clocks"), jetson.guard) as held:
        assert (jetson.mode, jetson.locked) == ("0", True)
        assert JetsonDevice(jetson, "orin").state().power_mode == "15W"
        assert "before: 1, 25W" in held.said[0]
        restoring = jetson.journal.read_text()
        assert restoring.index("jetson_clocks") < restoring.index("nvpmodel"), "the last change first"
    assert (jetson.mode, jetson.locked) == ("1", False)


def test_clocks_that_were_locked_before_stay_so(jetson):
    jetson.set("locked", "")
    with changed(jetson, settings(jetson, "lock_clocks"), jetson.guard):
        pass
    assert jetson.locked


def test_mode_is_put_back_after_ctrl_c(jetson):
    with pytest.raises(KeyboardInterrupt), changed(jetson, settings(jetson, "power_mode=0"), jetson.guard):
        raise KeyboardInterrupt
    assert jetson.mode == "1"


def test_a_mode_that_needs_a_restart_is_not_taken_for_set(jetson):
    largest = settings(jetson, "power_mode=MAXN_SUPER")
    with (
        pytest.raises(DeviceRefused, match="does not take power mode 2") as caught,
        changed(jetson, largest, jetson.guard),
    ):
        pytest.fail("it must not be believed")
    assert "needs a restart" in caught.value.hint and jetson.mode == "1"


def test_a_mode_that_the_board_lacks_is_told_with_those_it_has(jetson):
    for mode in ("MAXN", "7"):
        wanted = settings(jetson, f"power_mode={mode}")
        with pytest.raises(UsageError, match=f"no power mode {mode}") as caught, changed(jetson, wanted, jetson.guard):
            pytest.fail("there is none")
        assert "15W (0), 25W (1), MAXN_SUPER (2)" in caught.value.hint


@pytest.mark.parametrize("name", ["power_mode=0", "lock_clocks"])
def test_a_board_whose_sudo_asks_for_a_password_says_what_to_allow(jetson, name):
    jetson.set("asks_for_password", "")
    with pytest.raises(DeviceRefused) as caught, changed(jetson, settings(jetson, name), jetson.guard):
        pytest.fail("nothing was changed")
    assert "visudo" in caught.value.hint
    assert not jetson.journal.exists(), "the next run is not told of settings that nobody changed"


def test_settings_of_other_devices_are_refused(jetson):
    with pytest.raises(UsageError, match="no --stay-awake"):
        settings(jetson, "stay_awake")
