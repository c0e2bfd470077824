"""Real phones' words, whole and mangled."""

from __future__ import annotations

import pytest
from hypothesis import given

from edgebench.device.android import parse
from edgebench.device.temperature import plausible
from tests.device.mangling import mangled
from tests.device.sample_phone import SAMPLES, sample

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(SAMPLES.iterdir())]
POWER = ["  mWakefulness=Awake\n", "Display Power: state=ON\n", "Battery Saver is currently: OFF\n"]


def test_a_listing_of_properties_has_no_empty_ones():
    found = parse.properties(sample("getprop_redmi_a13.txt"))
    assert found["ro.soc.model"] == "MT6893"
    assert found["ro.build.fingerprint"].endswith(":user/release-keys"), "a value with colons and slashes"
    assert "persist.sys.locale" not in found


def test_a_property_of_several_lines_does_not_run_into_the_next():
    text = "[a]: [one\r\ntwo]\r\n[broken]: [never closed\r\n[b]: [unknown]\r\n[c]: [[x]]\r\n[a]: [later]\r\n"
    assert parse.properties(text) == {"a": "one\ntwo", "c": "[x]"}


def test_a_battery_among_prose_is_read():
    battery = parse.battery(sample("battery_miui_a14plus.txt"))
    assert battery == parse.Battery(percent=100, celsius=30.1, source="usb")
    assert battery.charging is True


def test_of_a_makers_repeated_battery_fields_the_first_counts():
    text = sample("battery_samsung_a8_era.txt")
    assert parse.battery(text) == parse.Battery(percent=84, celsius=32.6, source="usb")
    assert parse.battery(text + "  level: 3\n  temperature: 999\n  USB powered: false\n") == parse.battery(text)


def test_a_phone_that_hangs_on_nothing_runs_on_its_battery():
    battery = parse.battery(sample("battery_honor_unplugged.txt"))
    assert (battery.source, battery.charging, battery.percent, battery.celsius) == ("battery", False, 54, 22.0)


def test_made_up_battery_values_are_known_as_such():
    text = sample("battery_honor_unplugged.txt")
    stopped = text.replace("state:\n", "state:\n  (UPDATES STOPPED -- use 'reset' to restart)\n")
    assert parse.battery(stopped).overridden and not parse.battery(text).overridden


@pytest.mark.parametrize(
    ("change", "percent", "celsius"),
    [
        (("scale: 100", "scale: 200"), 27.0, 22.0),
        (("scale: 100", "scale: 0"), None, 22.0),
        (("level: 54", "level: 154"), None, 22.0),
        (("temperature: 220", "temperature: 2200"), 54.0, None),
        (("temperature: 220", "temperature: 0"), 54.0, None),
        (("present: true", "present: false"), None, None),
    ],
)
def test_battery_values_that_cannot_be_are_left_out(change, percent, celsius):
    battery = parse.battery(sample("battery_honor_unplugged.txt").replace(*change))
    assert (battery.percent, battery.celsius) == (percent, celsius)


@pytest.mark.parametrize(
    ("powered", "source"), [("AC", "mains"), ("USB", "usb"), ("Wireless", "wireless"), ("Dock", "mains")]
)
def test_the_kind_of_charger(powered, source):
    text = sample("battery_honor_unplugged.txt").replace(f"{powered} powered: false", f"{powered} powered: true")
    assert parse.battery(text).source == source


def test_a_box_without_a_battery_is_on_the_mains():
    text = sample("battery_honor_unplugged.txt").replace("present: true", "present: false")
    assert parse.battery(text).source == "mains"


@pytest.mark.parametrize(
    ("power", "low_power", "saving"),
    [
        ("  Battery Saver is currently: OFF\n", "1", False),  # the setting waits for the charger to go
        ("  Battery Saver is currently: ADAPTIVE\n", "0", True),
        ("  Battery Saver is currently: ON\n", "", True),
        ("  mLowPowerModeEnabled=true\n", "0", True),
        ("  mBatterySaverEnabled=false\n", "", False),
        ("", "1\n", True),
        ("", "null\n", False),
        ("  mSettingBatterySaverEnabledSticky=true\n", "", None),
        ("", "cmd: Can't find service: settings\n", None),
    ],
)
def test_power_saving_is_what_the_service_says_before_what_is_set(power, low_power, saving):
    assert parse.power_saving(power, low_power) is saving


@pytest.mark.parametrize(
    ("power", "lit"),
    [
        ("mWakefulness=Awake\nDisplay Power: state=ON\n", True),
        ("mWakefulness=Dozing\nDisplay Power: state=DOZE\n", False),
        ("Display Power: state=OFF\nDisplay Power: state=ON\n", True),  # a folded phone
        ("  mWakefulness=Asleep\n  mWakefulnessChanging=false\n", False),
        ("  mWakefulness=Dreaming\n", True),
        ("  mHalInteractiveModeEnabled=false\n", False),
        ("  mWakefulness=Levitating\n", None),
        ("", None),
    ],
)
def test_whether_the_screen_is_lit(power, lit):
    assert parse.screen_on(power) is lit


@given(mangled(TEXTS + POWER))
def test_no_mangled_text_raises_or_gives_what_cannot_be(text):
    battery = parse.battery(text)
    assert battery.percent is None or 0 <= battery.percent <= 100
    assert battery.celsius is None or plausible(battery.celsius)
    assert all(parse.properties(text).values())
    assert parse.power_saving(text, text) in (True, False, None)
    assert parse.screen_on(text) in (True, False, None)
