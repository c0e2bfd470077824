"""What the virtual phones are: each composed from what real ones printed (``samples/``)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.virtual_phone.thermal_model import ThermalParameters
from tests.virtual_phone.thermal_sets import GALAXY, OMAP, PIXEL, SNAPDRAGON, XIAOMI

SAMPLES = Path(__file__).parent / "samples"
_PROPERTY = re.compile(r"\[(.+?)\]: \[(.*)\]")
NAN = "NaN"


@dataclass(frozen=True)
class Core:
    """One core as cpufreq shows it; the machine beneath has as many as the tests run on."""

    max_khz: int
    min_khz: int = 300000


@dataclass(frozen=True)
class Zone:
    """A thermal zone: what it measures (soc, skin, battery or a fixed text), and in how many parts of a degree."""

    type: str
    shows: str
    per_degree: int = 1000


@dataclass(frozen=True, kw_only=True)
class HeatProfile:
    """What is warm on a kind of device, and what slows down for it."""

    zones: tuple[Zone, ...]
    thermal: ThermalParameters
    cores: tuple[Core, ...] = (Core(2_800_000), Core(2_800_000))
    # Skin temperatures from which Android's status is 1 (light) to 6 (shutdown); None where it has no such threshold.
    status_from_c: tuple[float | None, ...] = ()
    # The frequency level that fixed performance mode holds the device at; None where it does not know that mode.
    fixed_performance_level: int | None = None


@dataclass(frozen=True, kw_only=True)
class PhoneProfile(HeatProfile):
    """One kind of phone. ``thermalservice`` and ``battery`` are printed texts whose numbers thermald's take the place of."""

    name: str
    properties: dict[str, str]
    thermalservice: str
    battery: str
    status_from_c: tuple[float | None, ...] = (39.0, 43.0, 45.0, 46.5, 52.0, 55.0)
    fixed_performance_level: int | None = 1
    screen: str = "1080x2400"
    settings: dict[str, str] = field(
        default_factory=lambda: {"global low_power": "0", "global stay_on_while_plugged_in": "0"}
    )


def sample(name: str) -> str:
    """The text of a file in ``samples/``."""
    return (SAMPLES / name).read_text(encoding="utf-8")


def _properties(file: str | None, **more: str) -> dict[str, str]:
    """``more`` with __ for a dot, beside and over what the sample holds."""
    found = dict(_PROPERTY.findall(sample(file))) if file else {}
    named = {name.replace("__", "."): value for name, value in more.items()}
    always = {
        "ro.build.type": "user",
        "sys.boot_completed": "1",
        "ro.debuggable": "0",
        "ro.product.cpu.abi": "arm64-v8a",
    }
    return {**always, **found, **named}


# The header that this sample lacks, as another AIDL phone prints it; its own cached block is older and hotter.
_PIXEL_SERVICE = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 4
	killed: false
	broadcasts count: -1
ThermalStatusListeners:
	callbacks: 7
	killed: false
	broadcasts count: -1
Thermal Status: 0
Cached temperatures:
	Temperature{mValue=62.1, mType=0, mName=BIG, mStatus=0}
	Temperature{mValue=35.2, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
HAL Ready: true
HAL connection:
	ThermalHAL AIDL 1  connected: yes
Current temperatures from HAL:
	Temperature{mValue=31.7, mType=0, mName=BIG, mStatus=0}
	Temperature{mValue=31.0, mType=0, mName=MID, mStatus=0}
	Temperature{mValue=31.2, mType=1, mName=G3D, mStatus=0}
	Temperature{mValue=28.3, mType=3, mName=VIRTUAL-SKIN, mStatus=0}
	Temperature{mValue=25.9, mType=2, mName=battery, mStatus=0}
Current cooling devices from HAL:
	CoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-0}
	CoolingDevice{mValue=0, mType=2, mName=thermal-cpufreq-1}
Temperature static thresholds from HAL:
	TemperatureThreshold{mType=3, mName=VIRTUAL-SKIN, mHotThrottlingThresholds=[NaN, 39.0, 43.0, 45.0, 46.5, 52.0, 55.0], \
mColdThrottlingThresholds=[NaN, NaN, NaN, NaN, NaN, NaN, NaN]}
"""
# A phone whose HAL never came up.
_HAL_NOT_READY = """IsStatusOverride: false
ThermalEventListeners:
	callbacks: 1
	killed: false
	broadcasts count: -1
ThermalStatusListeners:
	callbacks: 2
	killed: false
	broadcasts count: -1
Thermal Status: 0
Cached temperatures:
HAL Ready: false
HAL connection:
	ThermalHAL not initialized
Current temperatures from HAL:
Current cooling devices from HAL:
Temperature static thresholds from HAL:
"""

# Types as on the phone whose values are in samples/thermal_zones_msm8953_mixed_units.txt: units and nonsense as there.
_MIXED_ZONES = (
    Zone("case_therm", "-40", 1),
    Zone("tsens_tz_sensor1", "soc", 10),
    Zone("pa_therm0", "31", 1),
    Zone("battery", "battery", 1000),
    Zone("quiet_therm", "skin", 1),
    Zone("pm8953_tz", "32636", 1),
    Zone("mtktscpu", "soc", 1000),
    Zone("xo_therm_buf", "0", 1),
    Zone("chg_therm", "7", 1),
)

PIXEL_8_PRO = PhoneProfile(
    name="pixel_8_pro",
    properties=_properties(
        "getprop_pixel8pro_a14.txt",
        ro__build__id="AP2A.240805.005",
        ro__build__fingerprint="google/husky/husky:14/AP2A.240805.005/12025142:user/release-keys",
    ),
    thermalservice=_PIXEL_SERVICE,
    battery=sample("battery_honor_unplugged.txt"),
    zones=(Zone("BIG", "soc"), Zone("MID", "soc"), Zone("VIRTUAL-SKIN", "skin"), Zone("battery", "battery")),
    thermal=PIXEL,
    screen="1344x2992",
)

GALAXY_S24 = PhoneProfile(
    name="galaxy_s24",
    properties=_properties(
        "getprop_samsung_s24ultra_no_soc_model.txt",
        ro__build__version__release="14",
        ro__build__version__sdk="34",
        ro__build__id="UP1A.231005.007",
        ro__build__fingerprint="samsung/e3qxeea/e3q:14/UP1A.231005.007/S928BXXU1AXB5:user/release-keys",
    ),
    thermalservice=sample("thermalservice_a12_samsung_a52.txt").replace("ThermalHAL 2.0", "ThermalHAL AIDL 1 "),
    battery=sample("battery_samsung_a8_era.txt"),
    zones=(Zone("BIG", "soc"), Zone("LITTLE", "soc"), Zone("ac", "skin", 10), Zone("battery", "battery", 10)),
    thermal=GALAXY,
    status_from_c=(38.0, 42.0, None, None, None, 60.0),
    screen="1440x3120",
)

REDMI = PhoneProfile(
    name="redmi",
    properties=_properties("getprop_redmi_a13.txt", ro__board__platform="mt6893", ro__hardware="mt6893"),
    thermalservice=_HAL_NOT_READY,
    battery=sample("battery_miui_a14plus.txt"),
    zones=_MIXED_ZONES,
    thermal=SNAPDRAGON,
    fixed_performance_level=None,
)

SAMSUNG_A52 = PhoneProfile(
    name="samsung_a52",
    properties=_properties(
        None,
        ro__product__brand="samsung",
        ro__product__manufacturer="samsung",
        ro__product__model="SM-A525F",
        ro__product__device="a52q",
        ro__product__name="a52qnsxx",
        ro__board__platform="atoll",
        ro__hardware="qcom",
        ro__soc__manufacturer="QTI",
        ro__soc__model="SM7125",
        ro__build__version__release="12",
        ro__build__version__sdk="31",
        ro__build__id="SP1A.210812.016",
        ro__build__fingerprint="samsung/a52qnsxx/a52q:12/SP1A.210812.016/A525FXXU4BVB1:user/release-keys",
    ),
    thermalservice=sample("thermalservice_a12_samsung_a52.txt"),
    battery=sample("battery_samsung_a8_era.txt"),
    zones=(Zone("cpu-1-0-usr", "soc"), Zone("quiet-therm-adc", "skin"), Zone("battery", "battery", 10)),
    thermal=OMAP,
    cores=(Core(1_804_800), Core(2_304_000)),
    # Its status stays 0, whatever the temperature.
    status_from_c=(None,) * 6,
)

XIAOMI_13T = PhoneProfile(
    name="xiaomi_13t",
    properties=_properties(
        None,
        ro__product__brand="Xiaomi",
        ro__product__manufacturer="Xiaomi",
        ro__product__model="23078PND5G",
        ro__product__marketname="Xiaomi 13T Pro",
        ro__product__device="corot",
        ro__product__name="corot_global",
        ro__board__platform="mt6985",
        ro__hardware="mt6985",
        ro__soc__manufacturer="Mediatek",
        ro__soc__model="MT6985",
        ro__build__version__release="16",
        ro__build__version__sdk="36",
        ro__build__id="BP2A.250605.031.A3",
        ro__build__fingerprint="Xiaomi/corot_global/corot:16/BP2A.250605.031.A3/OS3.0.1.0:user/release-keys",
    ),
    thermalservice=sample("thermalservice_a16_xiaomi13tpro_cached_vs_current.txt"),
    battery=sample("battery_miui_a14plus.txt"),
    zones=(
        Zone("cpu-big-core1", "soc"),
        Zone("soc_max", "soc"),
        Zone("quiet_therm", "skin"),
        Zone("battery", "battery"),
    ),
    thermal=XIAOMI,
    status_from_c=(None, None, 50.0, 70.0, 80.0, 90.0),
)

EMULATOR = PhoneProfile(
    name="emulator",
    properties=_properties(
        None,
        ro__product__brand="google",
        ro__product__manufacturer="Google",
        ro__product__model="sdk_gphone64_x86_64",
        ro__product__device="emu64xa",
        ro__product__name="sdk_gphone64_x86_64",
        ro__hardware="ranchu",
        ro__kernel__qemu="1",
        ro__boot__qemu="1",
        ro__build__type="userdebug",
        ro__build__version__release="14",
        ro__build__version__sdk="34",
        ro__build__id="UE1A.230829.050",
        ro__product__cpu__abi="x86_64",
        ro__build__fingerprint="google/sdk_gphone64_x86_64/emu64xa:14/UE1A.230829.050/12077443:userdebug/dev-keys",
    ),
    thermalservice=_HAL_NOT_READY.replace("Ready: false", "Ready: true").replace(
        "not initialized", "2.0 connected: yes"
    ),
    battery=sample("battery_honor_unplugged.txt"),
    zones=(),
    thermal=PIXEL,
    cores=(),
)

PROFILES = {each.name: each for each in (PIXEL_8_PRO, GALAXY_S24, REDMI, SAMSUNG_A52, XIAOMI_13T, EMULATOR)}
