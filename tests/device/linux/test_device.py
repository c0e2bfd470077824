"""Other people's machines, as files: what is there is read, what is not is None."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgebench.device.host import HostDevice
from edgebench.records import DeviceFacts, DeviceState, Reading, ThermalState

X86 = """\
processor\t: 0
model name\t: Intel(R) Core(TM) i7-1185G7
flags\t\t: fpu vme avx2

processor\t: 1
model name\t: other
"""


def machine(root: Path, files: dict[str, str], cores: range | tuple[int, ...] = (0,)) -> HostDevice:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return HostDevice(root, cores)


def cpufreq(core: int, khz: int, governor: str = "schedutil") -> dict[str, str]:
    folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
    return {f"{folder}/cpuinfo_max_freq": f"{khz}\n", f"{folder}/scaling_governor": f"{governor}\n"}


def zone(number: int, kind: str, reading: str) -> dict[str, str]:
    folder = f"sys/class/thermal/thermal_zone{number}"
    return {f"{folder}/type": f"{kind}\n", f"{folder}/temp": reading}


def test_this_machine_can_be_read():
    facts = HostDevice().facts()
    assert isinstance(facts, DeviceFacts)
    assert facts.id == HostDevice().facts().id
    assert facts.clusters[0] and facts.memory_bytes


def test_a_machine_that_tells_nothing_still_has_facts(tmp_path):
    device = machine(tmp_path, {}, (0, 1))
    facts = device.facts()
    assert (facts.soc, facts.memory_bytes, facts.governor, facts.power_source, facts.virtual) == (None,) * 5
    assert facts.clusters == ((0, 1),)
    assert device.thermal_zones() == {} and device.thermal_state() == ThermalState()


def test_a_pc_is_described_by_proc_and_os_release(tmp_path):
    files = {
        "proc/cpuinfo": X86,
        "proc/meminfo": "MemFree: 1 kB\nMemTotal:       16000000 kB\n",
        "etc/os-release": 'NAME="x"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "proc/sys/kernel/osrelease": "6.1.0-18-amd64\n",
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    }
    facts = machine(tmp_path, files).facts()
    assert facts.model == "Intel(R) Core(TM) i7-1185G7"
    assert facts.os_build == "Debian GNU/Linux 12 (bookworm), kernel 6.1.0-18-amd64"
    assert facts.memory_bytes == 16_000_000 * 1024
    assert facts.virtual is False
    assert "0123" not in facts.id, "the machine's own id stays private"


def test_the_id_follows_the_machine_id_and_not_the_kernel(tmp_path):
    base = {"etc/machine-id": "aaab\n", "proc/cpuinfo": X86}
    first = machine(tmp_path / "a", base | {"proc/sys/kernel/osrelease": "6.1"}).facts()
    updated = machine(tmp_path / "b", base | {"proc/sys/kernel/osrelease": "6.2"}).facts()
    other = machine(tmp_path / "c", base | {"etc/machine-id": "bbbc\n"}).facts()
    assert first.id == updated.id != other.id


def test_a_placeholder_of_a_serial_number_tells_no_two_boards_apart(tmp_path):
    placeholder = {"sys/firmware/devicetree/base/serial-number": "0000000000000000\0"}
    a = machine(tmp_path / "a", placeholder | {"etc/machine-id": "abcd\n"}).facts()
    b = machine(tmp_path / "b", placeholder | {"etc/machine-id": "abce\n"}).facts()
    cloned = {"etc/machine-id": "abcd\n"}
    c = machine(tmp_path / "c", cloned | {"sys/firmware/devicetree/base/serial-number": "100000003d1d1c36\0"}).facts()
    d = machine(tmp_path / "d", cloned | {"sys/firmware/devicetree/base/serial-number": "100000003d1d1c37\0"}).facts()
    assert len({each.id for each in (a, b, c, d)}) == 4


def test_a_hypervisor_shows_among_the_flags(tmp_path):
    assert machine(tmp_path, {"proc/cpuinfo": X86.replace("vme", "hypervisor")}).facts().virtual is True


def test_a_board_is_named_by_its_device_tree(tmp_path):
    files = {
        "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0",
        "sys/firmware/devicetree/base/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    }
    facts = machine(tmp_path, files).facts()
    assert (facts.model, facts.soc) == ("Raspberry Pi 5 Model B Rev 1.0", "brcm,bcm2712")


def test_clusters_are_by_maximum_frequency_fastest_first_and_only_of_allowed_cores(tmp_path):
    files: dict[str, str] = {}
    for core, khz in enumerate([1800000] * 4 + [2400000] * 3 + [2900000]):
        files |= cpufreq(core, khz)
    assert machine(tmp_path, files, range(8)).clusters().clusters == ((7,), (4, 5, 6), (0, 1, 2, 3))
    assert HostDevice(tmp_path, (1, 2, 5)).clusters().clusters == ((5,), (1, 2))
    assert HostDevice(tmp_path, (1, 2, 5)).default_cores(1) == (1,), "a single fast core counts as prime"


def test_one_unknown_frequency_makes_one_cluster(tmp_path):
    assert machine(tmp_path, cpufreq(0, 1800000) | cpufreq(1, 2400000), range(3)).clusters().clusters == ((0, 1, 2),)


def test_governors_that_differ_are_both_told(tmp_path):
    files = cpufreq(0, 1, "powersave") | cpufreq(1, 1, "performance") | cpufreq(2, 1, "ondemand")
    assert machine(tmp_path, files, (0, 1)).facts().governor == "performance+powersave"


@pytest.mark.parametrize(
    ("supplies", "source"),
    [
        ({"AC": ("Mains", "1"), "BAT0": ("Battery", None)}, "mains"),
        ({"AC": ("Mains", "0"), "BAT0": ("Battery", None)}, "battery"),
        ({"usb": ("USB", "1"), "battery": ("Battery", None)}, "mains"),
        ({"BAT0": ("Battery", None)}, "battery"),
        ({"AC": ("Mains", "1")}, "mains"),
        ({}, None),
    ],
)
def test_the_power_source(tmp_path, supplies, source):
    files = {}
    for name, (kind, online) in supplies.items():
        files[f"sys/class/power_supply/{name}/type"] = f"{kind}\n"
        if online is not None:
            files[f"sys/class/power_supply/{name}/online"] = f"{online}\n"
    assert machine(tmp_path, files).facts().power_source == source


def test_zones_in_every_unit_are_read_and_nonsense_is_left_out(tmp_path):
    files = (
        zone(0, "cpu", "45000\n")
        | zone(1, "skin", "38\n")
        | zone(2, "battery", "312\n")
        | zone(3, "modem", "-273000\n")
        | zone(4, "gpu", "\n")
        | zone(5, "cpu", "52500\n")
        | zone(10, "cv0", "200000\n")
    )
    device = machine(tmp_path, files)
    assert list(device.thermal_zones()) == ["cpu thermal_zone5", "cpu", "skin", "battery"]
    assert device.thermal_zones()["cpu"] == "/sys/class/thermal/thermal_zone0/temp"
    state = device.thermal_state()
    assert state.hottest() == Reading(name="cpu thermal_zone5", place="soc", celsius=52.5, source="thermal_zone5")
    assert [(reading.name, reading.place) for reading in state.readings[:3]] == [
        ("cpu", "soc"),
        ("skin", "skin"),
        ("battery", "battery"),
    ]


def test_a_zone_that_refuses_to_be_read_is_no_zone(tmp_path):
    device = machine(tmp_path, zone(0, "cpu", "45000\n"))
    (tmp_path / "sys/class/thermal/thermal_zone1/temp").mkdir(
        parents=True
    )  # reading it is an OSError, as on Orin's cv zones
    assert list(device.thermal_zones()) == ["cpu"]


def test_a_laptop_tells_its_battery_and_a_server_nothing(tmp_path):
    laptop = machine(
        tmp_path / "laptop",
        {
            "sys/class/power_supply/BAT0/type": "Battery\n",
            "sys/class/power_supply/BAT0/capacity": "57\n",
            "sys/class/power_supply/AC/type": "Mains\n",
            "sys/class/power_supply/AC/online": "0\n",
        },
    )
    assert laptop.state() == DeviceState(battery_percent=57.0, charging=False)
    assert machine(tmp_path / "server", {}).state() == DeviceState()
