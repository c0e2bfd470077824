"""Which of the thermal service's many numbers are temperatures, and of what."""

from __future__ import annotations

from hypothesis import given

from edgebench.device.android import thermal
from edgebench.device.temperature import plausible
from tests.device.android.test_parse import TEXTS
from tests.device.mangling import mangled
from tests.device.sample_phone import sample


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


@given(mangled(TEXTS))
def test_no_mangled_text_raises_or_gives_an_implausible_temperature(text):
    service = thermal.thermal_service(text)
    assert all(plausible(each.celsius) for each in service.readings)
    assert service.status is None or 0 <= service.status <= 6
    assert all(plausible(limit) for each in service.thresholds for limit in each.hot_c if limit is not None)
