"""An Android device made of samples: what it is, how warm it is, what changes."""

from __future__ import annotations

import pytest

from edgebench.catalog import resolve_target
from edgebench.device.android.device import AndroidDevice
from edgebench.device.base import Device
from edgebench.errors import DeviceLost, DeviceRefused, UsageError
from edgebench.measure.opening import wrong_model
from edgebench.records import DeviceState
from tests.device.sample_phone import SamplePhone, cpufreq_listing, sample, zone_listing

OCTA = cpufreq_listing([1800000] * 4 + [2400000] * 3 + [2900000])
PIXEL = {
    "getprop": sample("getprop_pixel8pro_a14.txt") + "[ro.serialno]: [3A1B2C]\n[ro.product.cpu.abi]: [arm64-v8a]\n",
    "cat /sys/devices/system/cpu/online": "0-7\n",
    "grep Cpus_allowed_list": "Cpus_allowed_list:\t0-7\n",
    "grep -H '' /sys/devices": OCTA,
    "grep -H '' /sys/class/thermal": zone_listing([("BIG", "61000"), ("VIRTUAL-SKIN", "36500"), ("battery", "31200")]),
    "uname -m": "aarch64\n",
    "cat /proc/meminfo": "MemTotal:       11780000 kB\n",
    "dumpsys battery": sample("battery_miui_a14plus.txt"),
    "dumpsys thermalservice": sample("thermalservice_a16_xiaomi13tpro_cached_vs_current.txt"),
    "dumpsys power": "  mWakefulness=Asleep\n",
    "settings get global low_power": "1\n",
}


def device(answers: dict[str, str] | None = None, serial: str = "usb-1") -> AndroidDevice:
    return AndroidDevice(SamplePhone(PIXEL if answers is None else answers), serial)


def test_a_pixel_in_one_round_trip():
    phone = SamplePhone(PIXEL)
    platform: Device = AndroidDevice(phone, "usb-1")
    facts = platform.facts()
    assert len(phone.scripts) == 1
    assert facts.model == "Google Pixel 8 Pro"
    assert facts.soc == "Google Tensor G3"
    assert (facts.os_build, facts.machine, facts.abi) == ("Android 14", "aarch64", "arm64-v8a")
    assert facts.clusters == ((7,), (4, 5, 6), (0, 1, 2, 3))
    assert (facts.memory_bytes, facts.governor, facts.power_source) == (11_780_000 * 1024, "schedutil", "usb")
    assert facts.virtual is False
    assert "3A1B2C" not in facts.id


def test_the_id_is_the_phones_own_and_not_the_way_to_it():
    other = PIXEL | {"getprop": PIXEL["getprop"].replace("3A1B2C", "3A1B2D")}
    updated = PIXEL | {"getprop": PIXEL["getprop"].replace("[14]", "[15]")}
    over_wifi = device(serial="192.0.2.7:5555").facts().id
    assert device().facts().id == over_wifi == device(updated).facts().id != device(other).facts().id


def test_a_phone_that_hides_its_serial_number_is_told_by_build_and_address():
    hidden = {"getprop": sample("getprop_redmi_a13.txt")}
    assert device(hidden, "a").facts().id != device(hidden, "b").facts().id


def test_the_model_and_the_build_of_a_phone_without_a_market_name():
    facts = device({"getprop": sample("getprop_redmi_a13.txt")}).facts()
    assert (facts.model, facts.soc) == ("Xiaomi M2101K9C", "MT6893")
    assert facts.os_build.startswith("Android 13, Redmi/ares/ares:13/")
    assert facts.machine == "aarch64", "by its ABI, as uname said nothing"


@pytest.mark.parametrize(
    ("target", "properties"),
    [
        ("redmi-k50", {"ro.product.manufacturer": "Xiaomi", "ro.product.model": "22041211AC"}),
        (
            "redmi-k50",
            {
                "ro.product.manufacturer": "Xiaomi",
                "ro.product.model": "22041211AC",
                "ro.product.marketname": "Redmi K50",
            },
        ),
        ("galaxy-s24", {"ro.product.manufacturer": "samsung", "ro.product.model": "SM-S928B"}),
        ("pixel-8-pro", {"ro.product.manufacturer": "Google", "ro.product.model": "Pixel 8 Pro"}),
        ("pixel", {"ro.product.manufacturer": "Google", "ro.product.model": "Pixel 9a"}),
    ],
)
def test_a_shipped_target_knows_its_phone_with_and_without_a_market_name(target, properties):
    listing = "".join(f"[{name}]: [{value}]\n" for name, value in properties.items())
    facts = device({"getprop": f"[ro.serialno]: [8A2X]\n{listing}"}).facts()
    assert wrong_model(resolve_target(target), facts) is None, facts.model


@pytest.mark.parametrize(
    ("without", "soc"),
    [
        ((), "exynos2400"),
        (("ro.board.platform",), "exynos2400"),
        (("ro.board.platform", "ro.chipname", "ro.hardware.chipname"), "samsungexynos2400"),
        (("ro.board.platform", "ro.chipname", "ro.hardware.chipname", "ro.hardware"), "Samsung Exynos 2400"),
    ],
)
def test_the_soc_without_its_own_property(without, soc):
    listing = sample("getprop_samsung_s24ultra_no_soc_model.txt").splitlines()
    kept = [line for line in listing if not any(line.startswith(f"[{name}]") for name in without)]
    answers = {"getprop": "\n".join(kept), "cat /proc/cpuinfo": "processor\t: 0\nHardware\t: Samsung Exynos 2400\n"}
    assert device(answers).facts().soc == soc


def test_a_device_that_tells_no_property_is_refused_as_its_lock_would_be_anothers():
    with pytest.raises(DeviceRefused, match="getprop"):
        device({}).facts()


def test_a_device_that_tells_almost_nothing_still_has_facts():
    facts = device({"getprop": "[ro.serialno]: [8A2X]"}).facts()
    assert (facts.soc, facts.memory_bytes, facts.governor, facts.power_source, facts.abi) == (None,) * 5
    assert (facts.clusters, facts.machine, facts.os_build) == (((0,),), "unknown", "Android")
    assert device({}).thermal_zones() == {}
    assert device({}).thermal_state().readings == ()
    assert device({}).state() == DeviceState()


@pytest.mark.parametrize("line", ["[ro.kernel.qemu]: [1]", "[ro.boot.qemu]: [1]", "[ro.hardware]: [ranchu]"])
def test_an_emulator_is_known_as_one(line):
    assert device({"getprop": f"{line}\n"}).facts().virtual is True


def test_only_cores_that_are_online_and_allowed_count():
    answers = PIXEL | {
        "cat /sys/devices/system/cpu/online": "0-3,6-7\n",
        "grep Cpus_allowed_list": "Cpus_allowed_list:\t0-6\n",
    }
    assert device(answers).clusters().clusters == ((6,), (0, 1, 2, 3))
    assert device(answers).default_cores(2) == (1, 2)
    with pytest.raises(UsageError):
        device(answers).parse_cores("7", 1)


def test_cores_without_frequencies_make_one_cluster():
    answers = {"cat /proc/cpuinfo": "".join(f"processor\t: {core}\n" for core in range(4))}
    assert device(answers).clusters().clusters == ((0, 1, 2, 3),)


def test_the_zones_to_sample_are_files_on_the_phone():
    assert device().thermal_zones() == {
        "BIG": "/sys/class/thermal/thermal_zone0/temp",
        "VIRTUAL-SKIN": "/sys/class/thermal/thermal_zone1/temp",
        "battery": "/sys/class/thermal/thermal_zone2/temp",
    }


def test_every_source_of_temperatures_is_named():
    state = device().thermal_state()
    assert [(each.name, each.place, each.celsius, each.source) for each in state.readings] == [
        ("CPU", "soc", 57.9, "thermalservice"),
        ("SKIN", "skin", 34.351, "thermalservice"),
        ("BIG", "soc", 61.0, "thermal_zone0"),
        ("VIRTUAL-SKIN", "skin", 36.5, "thermal_zone1"),
        ("battery", "battery", 31.2, "thermal_zone2"),
        ("battery", "battery", 30.1, "battery service"),
    ]
    assert state.status == 0
    hottest = state.hottest("skin", "battery")
    assert hottest is not None and hottest.name == "VIRTUAL-SKIN"


def test_the_state_is_read_in_one_round_trip():
    phone = SamplePhone(PIXEL)
    state = AndroidDevice(phone, "usb-1").state()
    assert state == DeviceState(battery_percent=100, charging=True, power_saving=True, screen_on=False)
    assert len(phone.scripts) == 1


def test_a_lost_device_is_said_and_not_taken_for_an_empty_answer():
    lost = AndroidDevice(SamplePhone(PIXEL, lost=True), "usb-1")
    for ask in (lost.facts, lost.clusters, lost.thermal_zones, lost.thermal_state, lost.state):
        with pytest.raises(DeviceLost):
            ask()
