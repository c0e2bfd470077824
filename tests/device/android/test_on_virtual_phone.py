"""The same on virtual phones, over the real adb client: what samples cannot show is how commands travel and end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgebench.device.android import FOLDER
from edgebench.device.android.device import AndroidDevice
from edgebench.device.android.doctor import examine
from edgebench.device.android.settings import settings_named
from edgebench.device.guard import Guard
from edgebench.device.settings import changed, restore_left_over
from edgebench.errors import DeviceError, DeviceRefused
from edgebench.transport.adb import AdbChannel
from edgebench.transport.remote import Remote
from tests.device.folder_phone import STAY, eventually
from tests.transport.rigs import use_server
from tests.virtual_phone.fixtures import AdbServer, adb_server
from tests.virtual_phone.phone import VirtualPhone, virtual_phone

GUARD = Guard(FOLDER, tick_s=0.1)
FIXED, STAY_AWAKE = settings_named(("fixed_performance",)), settings_named(("stay_awake",))
BOTH = (*FIXED, *STAY_AWAKE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AdbServer]:
    with adb_server(tmp_path_factory.mktemp("host")) as server, pytest.MonkeyPatch.context() as patch:
        use_server(patch, server)
        yield server


@contextmanager
def connected(profile: str, folder: Path, server: AdbServer) -> Iterator[tuple[VirtualPhone, Remote, AndroidDevice]]:
    with virtual_phone(profile, folder) as phone:
        server.connect(phone)
        remote = Remote(AdbChannel.open(phone.serial))
        try:
            yield phone, remote, AndroidDevice(remote, phone.serial)
        finally:
            remote.close()


@pytest.fixture
def pixel(tmp_path, server) -> Iterator[tuple[VirtualPhone, Remote, AndroidDevice]]:
    with connected("pixel_8_pro", tmp_path / "phone", server) as all_three:
        yield all_three


@pytest.mark.parametrize(
    ("profile", "model", "soc", "sources", "virtual"),
    [
        ("pixel_8_pro", "Google Pixel 8 Pro", "Google Tensor G3", {"thermalservice", "zones", "battery"}, False),
        ("redmi", "Xiaomi M2101K9C", "MT6893", {"zones", "battery"}, False),
        ("samsung_a52", "samsung SM-A525F", "QTI SM7125", {"thermalservice", "zones", "battery"}, False),
        ("emulator", "Google sdk_gphone64_x86_64", "ranchu", {"battery"}, True),
    ],
)
def test_phones_of_several_makers_are_read(tmp_path, server, profile, model, soc, sources, virtual):
    with connected(profile, tmp_path / "phone", server) as (_, _, device):
        facts = device.facts()
        assert (facts.model, facts.soc, facts.virtual) == (model, soc, virtual)
        assert facts.clusters and facts.memory_bytes and "Android 1" in facts.os_build
        kinds = {
            "zones" if each.source.startswith("thermal_zone") else each.source
            for each in device.thermal_state().readings
        }
        assert {kind.removesuffix(" service") for kind in kinds} == sources
        assert bool(device.thermal_zones()) == ("zones" in sources)
        state = device.state()
        assert None not in (state.battery_percent, state.charging, state.power_saving, state.screen_on)


def test_settings_are_changed_and_restored_over_adb(pixel):
    phone, remote, device = pixel
    with changed(remote, BOTH, GUARD) as held:
        assert (phone.read_state("fixed_performance"), phone.setting("global", STAY)) == ("true", "7")
        held.renew(300)
        assert device.state().screen_on is not None, "the guard in the background holds no channel"
    assert (phone.read_state("fixed_performance"), phone.setting("global", STAY)) == ("false", "0")
    assert eventually(lambda: not phone.processes()), "the guard ends once there is nothing to restore"


def test_the_phone_restores_by_itself_what_a_lost_session_left(pixel):
    phone, remote, _ = pixel
    guard = Guard(FOLDER, lease_s=1.0, tick_s=0.1)
    with (
        pytest.raises(DeviceRefused, match="has put its settings back"),
        changed(remote, STAY_AWAKE, guard) as held,
    ):
        assert eventually(lambda: phone.setting("global", STAY) == "0")
        assert eventually(lambda: not phone.processes())
        held.renew()


def test_a_restart_of_the_phone_leaves_the_journal_for_the_next_session(pixel, server):
    phone, remote, _ = pixel
    # Nobody is there to restore: the session's own attempt finds no phone.
    with pytest.raises(DeviceError), changed(_Deserted(remote), STAY_AWAKE, GUARD):
        phone.reboot()
        raise DeviceError("the session dies", hint="")
    server.connect(phone)
    assert phone.setting("global", STAY) == "7"
    assert restore_left_over(remote, GUARD) is True
    assert phone.setting("global", STAY) == "0"


def test_a_phone_that_restarts_under_a_session_is_set_anew(pixel, server):
    phone, remote, _ = pixel
    with changed(remote, BOTH, GUARD) as held:
        phone.reboot()
        server.connect(phone)
        phone.put_state("fixed_performance", "false")
        held.renew(300)
        assert (phone.read_state("fixed_performance"), phone.setting("global", STAY)) == ("true", "7")
    assert (phone.read_state("fixed_performance"), phone.setting("global", STAY)) == ("false", "0")
    assert eventually(lambda: not phone.processes())


def test_a_phone_of_an_older_android_refuses_fixed_performance(tmp_path, server):
    with connected("redmi", tmp_path / "phone", server) as (phone, remote, _):
        with pytest.raises(DeviceRefused, match="Unknown command"), changed(remote, FIXED, GUARD):
            pytest.fail("it must not be believed")
        assert not phone.processes()


def test_the_doctor_finds_what_the_user_did(pixel):
    phone, remote, device = pixel
    phone.put_state("screen", "off")
    phone.put_setting("global", "low_power", "1")
    found = {check.name: check for check in examine(device, remote)}
    assert [found[name].ok for name in ("screen", "power saving", "stay awake")] == [False, False, None]
    assert found["folder"].ok and found["space"].ok is not None and found["clock"].ok
    assert found["zones"].ok and "cores busy" in found["load"].found


class _Deserted:
    """A session's way to the phone that is gone as soon as something is to be restored."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._asked = 0

    def run(self, argv, /, *, timeout_s=10.0):
        return self._remote.run(argv, timeout_s=timeout_s)

    def run_script(self, text, /, *, timeout_s=10.0):
        self._asked += "echo restored" in text
        if self._asked > 1:
            raise DeviceError("nobody is there", hint="")
        return self._remote.run_script(text, timeout_s=timeout_s)

    def wait(self, timeout_s, /):
        return False
