"""Which of a phone's many numbers are temperatures, and of what."""

from __future__ import annotations

import pytest
from hypothesis import given

from edgebench.device.android import thermal
from edgebench.device.temperature import plausible, zone_celsius
from tests.device.android.test_parse import TEXTS
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


def names(zones):
    return [zone.name for zone in zones]


def test_only_the_hals_temperatures_count_not_the_cached_ones():
    service = thermal.thermal_service(sample("thermalservice_a16_xiaomi13tpro_cached_vs_current.txt"))
    assert [(each.name, each.place, each.celsius) for each in service.readings] == [
        ("CPU", "soc", 57.9),
        ("SKIN", "skin", 34.351),
    ]
    assert (service.status, service.overridden) == (0, False)
    assert service.thresholds == (thermal.Threshold("SKIN", "skin", (None, None, 50.0, 70.0, 80.0, 90.0)),)


def test_sensors_that_say_exactly_nothing_are_left_out():
    service = thermal.thermal_service(sample("thermalservice_a12_samsung_a52.txt"))
    assert [each.name for each in service.readings] == ["AP", "BAT", "LRB", "LRF", "LRP", "PA"]
    assert {each.place for each in service.readings if each.name.startswith("LR")} == {"skin"}
    assert service.thresholds == ()


def test_the_block_ends_where_the_next_begins():
    service = thermal.thermal_service(sample("thermalservice_pixel3xl_hal_block.txt"))
    assert len(service.readings) == 13
    assert service.readings[0].celsius == 31.7 and service.status is None


def test_a_hal_that_is_not_ready_has_said_nothing():
    text = sample("thermalservice_a12_samsung_a52.txt")
    assert thermal.thermal_service(text.replace("HAL Ready: true", "HAL Ready: false")).readings == ()
    assert thermal.thermal_service("Thermal Status: 2\nHAL Ready: true\nCurrent temperatures from HAL:\n") == (
        thermal.ThermalService(status=2)
    )
    assert thermal.thermal_service("Can't find service: thermalservice\n") == thermal.ThermalService()


def test_voltages_and_charge_among_the_temperatures_are_none():
    lines = "".join(f"\tTemperature{{mValue=4.2, mType={kind}, mName=x{kind}, mStatus=0}}\n" for kind in range(10))
    service = thermal.thermal_service(f"Current temperatures from HAL:\n{lines}")
    assert [each.name for each in service.readings] == ["x0", "x1", "x2", "x3", "x4", "x5", "x9"]


def test_a_status_that_somebody_made_up_is_known_as_such():
    assert thermal.thermal_service("IsStatusOverride: true\r\nThermal Status: 3\r\n").overridden
    assert thermal.thermal_service("IsStatusOverride: true\r\nThermal Status: 3\r\n").status == 3
    assert thermal.thermal_service("Thermal Status: 77\n").status is None


def test_a_phone_of_mixed_units_reads_as_degrees():
    values = [zone_celsius(each) for each in sample("thermal_zones_msm8953_mixed_units.txt").split()]
    assert values[:6] == [25.0, None, 30.9, 30.9, 31.3, 32.2]
    assert values[12:16] == [31.0, 30.6, 32.636, 30.0]


@pytest.mark.parametrize("text", ["", "nan", "inf", "1_000", "٣٠", "0x20", "30 31", "9" * 400, "-41", "151000"])
def test_what_is_no_temperature_is_none(text):
    assert zone_celsius(text) is None


def test_zones_without_a_telling_name_or_a_plausible_value_are_dropped():
    found = thermal.zones(zone_listing([*QUALCOMM, ("pm8953_tz", "25000"), ("case_therm", "30"), ("cpu-9-9", "0")]))
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
    assert thermal.zones(zone_listing([("soc", "87")])) == ()
    assert thermal.zones(zone_listing([("soc", "48000")]))[0].place == "soc"


def test_what_is_sampled_is_the_cpu_the_skin_and_the_battery():
    assert names(thermal.worth_sampling(thermal.zones(zone_listing(QUALCOMM)))) == [
        "cpu-1-7",
        "cpu-1-0",
        "skin-msm-therm",
        "battery",
    ]
    assert names(thermal.worth_sampling(thermal.zones(zone_listing(PIXEL)))) == ["BIG", "MID", "battery"]


def test_the_skin_itself_goes_before_what_is_derived_from_it():
    listing = zone_listing([("VIRTUAL-SKIN-CPU-HIGH", "41000"), ("VIRTUAL-SKIN", "33000"), ("quiet_therm", "35000")])
    assert names(thermal.worth_sampling(thermal.zones(listing))) == ["VIRTUAL-SKIN"]


def test_mediateks_names():
    zones = [("mtktscpu", "52000"), ("mtktsAP", "38000"), ("mtktsbattery", "33000"), ("mtktspmic", "45000")]
    assert [(each.name, each.place) for each in thermal.zones(zone_listing(zones))] == [
        ("mtktscpu", "soc"),
        ("mtktsAP", "skin"),
        ("mtktsbattery", "battery"),
    ]


def test_zones_of_one_name_are_told_apart_by_their_number():
    found = thermal.zones(zone_listing([("cpu", "40000"), ("cpu", "41000")]))
    assert [(each.name, each.path) for each in found] == [
        ("cpu", "/sys/class/thermal/thermal_zone0/temp"),
        ("cpu thermal_zone1", "/sys/class/thermal/thermal_zone1/temp"),
    ]


@given(mangled([*TEXTS, zone_listing(QUALCOMM), zone_listing(PIXEL)]))
def test_no_mangled_text_raises_or_gives_an_implausible_temperature(text):
    service = thermal.thermal_service(text)
    zones = thermal.zones(text)
    assert all(plausible(each.celsius) for each in (*service.readings, *zones))
    assert service.status is None or 0 <= service.status <= 6
    assert all(plausible(limit) for each in service.thresholds for limit in each.hot_c if limit is not None)
    assert len(thermal.worth_sampling(zones)) <= 4
    assert len({each.name for each in zones}) == len(zones)
