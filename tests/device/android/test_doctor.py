"""Each thing that stands in the way is found, named and comes with its mend; a phone in order has none."""

from __future__ import annotations

import pytest

from edgebench.device.android.device import AndroidDevice
from edgebench.device.android.doctor import examine
from edgebench.device.checks import Check
from edgebench.errors import DeviceLost
from edgebench.records import GateLimits
from tests.device.android.test_device import PIXEL
from tests.device.folder_phone import STAY, FolderPhone
from tests.device.sample_phone import SamplePhone, sample
from tests.device.test_shell import SHELLS

NOW_S = 1_795_557_600.0
IDLE = "cpu  1000 0 500 90000 100 10 20 0 0 0\ncpu  1002 0 501 90790 101 10 20 0 0 0\n"
IN_ORDER = PIXEL | {
    "mkdir -p": "written\nruns\n",
    "df -kP": "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/block/dm-9 110000000 4000 9000000 4% /data\n",
    "settings get global stay": "7\n",
    "settings get global low_power": "0\n",
    "dumpsys power": "  mWakefulness=Awake\n",
    "date": f"{NOW_S:.0f}\n",
    "grep '^cpu '": IDLE,
    "taskset 80": "Cpus_allowed_list:\t7\n",
    "taskset 70": "Cpus_allowed_list:\t4-6\n",
    "taskset f": "Cpus_allowed_list:\t0-3\n",
}


def checks(answers: dict[str, str]) -> dict[str, Check]:
    phone = SamplePhone(answers)
    found = examine(AndroidDevice(phone, "usb-1"), phone, now_s=NOW_S)
    assert len({check.name for check in found}) == len(found)
    return {check.name: check for check in found}


def test_a_phone_in_order_has_nothing_to_mend():
    found = checks(IN_ORDER)
    assert {name for name, check in found.items() if check.ok is not True} == set()
    assert found["cores"].found == "prime 7; big 4,5,6; little 0,1,2,3; pinning holds"
    assert found["space"].found == "9216 MB free"
    assert found["load"].found == "0.03 of 8 cores busy with other work"


SERVICE = IN_ORDER["dumpsys thermalservice"]
BATTERY = IN_ORDER["dumpsys battery"]
UNPLUGGED = sample("battery_honor_unplugged.txt")


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("processor", {"getprop": "[ro.product.cpu.abi]: [x86]\n"}, "x86"),
        ("own hardware", {"getprop": IN_ORDER["getprop"] + "[ro.boot.qemu]: [1]\n"}, "an emulator"),
        ("cores", {"taskset 80": "Cpus_allowed_list:\t0-3\n"}, "pinning to 7 did not hold"),
        ("folder", {"mkdir -p": "written\n"}, "not executed"),
        ("folder", {"mkdir -p": ""}, "cannot be written"),
        ("space", {"df -kP": "/dev/block/dm-9 110000000 4000 90000 99% /data\n"}, "92 MB free"),
        ("settings", {"[ ! -f": "there\n"}, "has changed some"),
        ("clock", {"date": "1000000\n"}, "-1794557600 s"),
        ("temperature", {"dumpsys thermalservice": SERVICE.replace("Status: 0", "Status: 2")}, "status 2"),
        ("temperature", {"dumpsys thermalservice": SERVICE.replace("34.351", "51.5")}, "SKIN 51.5 °C, limit 50.0"),
        ("temperature", {"dumpsys thermalservice": SERVICE.replace("Override: false", "Override: true")}, "made up"),
        ("battery", {"dumpsys battery": BATTERY.replace("level: 100", "level: 29")}, "29 %"),
        ("battery", {"dumpsys battery": BATTERY + "(UPDATES STOPPED -- use 'reset' to restart)\n"}, "made up"),
        ("charger", {"dumpsys battery": UNPLUGGED}, "battery"),
        ("power saving", {"dumpsys power": "Battery Saver is currently: ON\nmWakefulness=Awake\n"}, "on"),
        ("screen", {"dumpsys power": "mWakefulness=Dozing\n"}, "off"),
        ("load", {"grep '^cpu '": IDLE.replace("1002 0", "1202 0").replace("90790", "90590")}, "2.05 of 8"),
    ],
)
def test_one_fault_is_found_with_its_mend_and_nothing_else_is(name, change, found):
    after = checks(IN_ORDER | change)
    assert {each for each, check in after.items() if check.ok is False} == {name}
    assert found in after[name].found and after[name].mend


@pytest.mark.parametrize(("start_max_c", "ok"), [(34.0, False), (45.0, True)])
def test_a_phone_in_order_that_is_warmer_than_its_target_allows_is_told_so(start_max_c, ok):
    phone = SamplePhone(IN_ORDER)
    gate = GateLimits(start_max_c=start_max_c, max_wait_s=600.0)
    found = {each.name: each for each in examine(AndroidDevice(phone, "usb-1"), phone, gate=gate, now_s=NOW_S)}
    assert found["temperature"].ok is True, "the phone itself does not mind"
    assert found["start temperature"].ok is ok
    assert f"a launch starts at {start_max_c} °C" in found["start temperature"].found


def test_a_screen_that_may_go_dark_is_told_and_stands_in_nobodys_way():
    check = checks(IN_ORDER | {"settings get global stay": "null\n"})["stay awake"]
    assert (check.ok, check.found) == (None, "off") and "--stay-awake" in check.mend


def test_a_device_that_tells_almost_nothing_is_not_called_in_order_or_out_of_order():
    found = checks({"getprop": "[ro.serialno]: [8A2X]"})
    assert {name for name, check in found.items() if check.ok is False} == {"folder"}
    assert {name for name, check in found.items() if check.ok} == {"device", "own hardware"}
    assert all(check.mend for check in found.values() if check.ok is not True)


def test_a_device_that_is_not_there_is_no_list_of_checks():
    phone = SamplePhone(IN_ORDER, lost=True)
    with pytest.raises(DeviceLost):
        examine(AndroidDevice(phone, "usb-1"), phone)


@pytest.mark.parametrize("shell", SHELLS)
def test_its_questions_are_understood_by_a_real_shell(tmp_path, shell):
    phone = FolderPhone(tmp_path / "phone", shell)
    phone.set(STAY, "3")
    folder = tmp_path / "a place"
    found = {check.name: check for check in examine(AndroidDevice(phone, "here"), phone, folder=str(folder))}
    assert found["folder"].ok is True
    assert list(folder.iterdir()) == [], "its script is gone"
    assert found["space"].found.endswith("MB free")
    assert found["clock"].ok is True
    assert found["stay awake"].found == "on while charging"
    assert "cores busy" in found["load"].found
    assert "settings" not in found
