"""Which of the kernel's zones are temperatures, and of what."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given

from edgebench.device.kernel import zone_files
from edgebench.device.temperature import plausible, zone_celsius
from edgebench.device.zones import Zone, worth_sampling, zones
from tests.device.mangling import mangled
from tests.device.sample_phone import sample, zone_listing

PIXEL = [("BIG", "61000"), ("MID", "55000"), ("LITTLE", "52000"), ("G3D", "48000"), ("battery", "31200")]
QUALCOMM = [
    ("aoss-0", "45000"),
    ("cpu-0-0", "47000"),
    ("cpu-1-0", "58000"),
    ("cpu-1-7", "61000"),
    ("gpuss-0", "70000"),
    ("pm8550b-ibat-lvl0", "31000"),
    ("vbat", "4302"),
    ("soc", "87"),
    ("quiet-therm", "36123"),
    ("skin-msm-therm", "37000"),
    ("chg-skin-therm", "44000"),
    ("xo-therm", "35000"),
    ("modem-ambient-usr", "-273000"),
    ("battery", "31000"),
]


def names(found):
    return [zone.name for zone in found]


def of_a_phone(listed: Sequence[tuple[str, str]]) -> tuple[Zone, ...]:
    return zones(zone_files(zone_listing(listed)), telling=True)


def test_a_phone_of_mixed_units_reads_as_degrees():
    values = [zone_celsius(each) for each in sample("thermal_zones_msm8953_mixed_units.txt").split()]
    assert values[:6] == [25.0, None, 30.9, 30.9, 31.3, 32.2]
    assert values[12:16] == [31.0, 30.6, 32.636, 30.0]


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", "٣٠", "0x20", "30 31", "9" * 400, "-41", "151000"])
def test_what_is_no_temperature_is_none(text):
    assert zone_celsius(text) is None


def test_zones_without_a_telling_name_or_a_plausible_value_are_dropped():
    found = of_a_phone([*QUALCOMM, ("pm8953_tz", "25000"), ("case_therm", "30"), ("cpu-9-9", "0")])
    assert names(found) == [
        "aoss-0",
        "cpu-0-0",
        "cpu-1-0",
        "cpu-1-7",
        "gpuss-0",
        "quiet-therm",
        "skin-msm-therm",
        "xo-therm",
        "battery",
        "case_therm",
    ]


def test_a_zone_called_soc_is_the_chip_only_where_it_cannot_be_the_state_of_charge():
    assert of_a_phone([("soc", "87")]) == ()
    assert of_a_phone([("soc", "48000")])[0].place == "soc"


def test_what_is_sampled_is_the_cpu_the_skin_and_the_battery():
    assert names(worth_sampling(of_a_phone(QUALCOMM))) == [
        "cpu-1-7",
        "cpu-1-0",
        "skin-msm-therm",
        "battery",
    ]
    assert names(worth_sampling(of_a_phone(PIXEL))) == ["BIG", "MID", "battery"]


def test_the_skin_itself_goes_before_what_is_derived_from_it():
    listing = [("VIRTUAL-SKIN-CPU-HIGH", "41000"), ("VIRTUAL-SKIN", "33000"), ("quiet_therm", "35000")]
    assert names(worth_sampling(of_a_phone(listing))) == ["VIRTUAL-SKIN"]


def test_mediateks_names():
    zones = [("mtktscpu", "52000"), ("mtktsAP", "38000"), ("mtktsbattery", "33000"), ("mtktspmic", "45000")]
    assert [(each.name, each.place) for each in of_a_phone(zones)] == [
        ("mtktscpu", "soc"),
        ("mtktsAP", "skin"),
        ("mtktsbattery", "battery"),
    ]


def test_zones_of_one_name_are_told_apart_by_their_number():
    found = of_a_phone([("cpu", "40000"), ("cpu", "41000")])
    assert [(each.name, each.path) for each in found] == [
        ("cpu", "/sys/class/thermal/thermal_zone0/temp"),
        ("cpu thermal_zone1", "/sys/class/thermal/thermal_zone1/temp"),
    ]


def test_a_board_whose_zones_tell_nothing_has_them_on_the_chip():
    listed = zone_files(
        zone_listing([("imx_thermal_zone", "41000"), ("thermal-1", "52000"), ("pmic-thermal", "38000")])
    )
    found = zones(listed, telling=False)
    assert [(zone.name, zone.place) for zone in found][:2] == [("imx_thermal_zone", "other"), ("thermal-1", "other")]
    assert names(worth_sampling(found)) == ["thermal-1", "imx_thermal_zone"]


def test_a_jetson_is_as_hot_as_its_hottest_junction():
    """Its zones of the vision accelerator refuse to be read where that is off."""
    kinds = ("cpu", "gpu", "cv0", "cv1", "cv2", "soc0", "soc1", "soc2", "tj")
    temps = ("49468", "50125", "", "", "", "50031", "50531", "48906", "50531")
    listed = zone_files(zone_listing([(f"{kind}-thermal", temp) for kind, temp in zip(kinds, temps, strict=True)]))
    assert names(worth_sampling(zones(listed, telling=False))) == ["tj-thermal", "cpu-thermal"]


@given(mangled([zone_listing(QUALCOMM), zone_listing(PIXEL)]))
def test_no_mangled_text_raises_or_gives_an_implausible_temperature(text):
    for telling in (False, True):
        found = zones(zone_files(text), telling=telling)
        assert all(plausible(each.celsius) for each in found)
        assert len(worth_sampling(found)) <= 4
        assert len({each.name for each in found}) == len(found)
