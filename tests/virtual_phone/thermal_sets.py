"""Parameter sets of phones and boards. ``source`` says what is published; all else is plausible, chosen so that sets differ.

Both time constants rest on somebody's published data for two sets, GALAXY and GALAXY_S4, one of each for SNAPDRAGON and
EXYNOS_5422. Nobody was found who publishes rises per busy core with them for a whole phone. A real body has more than one
slow mass (the S25+'s frame fits 28 s and about 600 s better than one exponential): one skin is an approximation. Tests and
tuning use DEVELOPMENT; HELD_OUT is for the last check alone; ORIN_NANO is the virtual board's.
"""

from __future__ import annotations

from tests.virtual_phone.thermal_model import Governor, ThermalParameters

PIXEL = ThermalParameters(
    name="pixel",
    source="Pixel/AOSP thermal_info_config.json: VIRTUAL-SKIN HotThreshold 39, 43, 45, 46.5 or 47, 52, 55, HotHysteresis "
    "1.9, PassiveDelay 7000 ms, CPU HotThreshold 95. Rises and time constants plausible, not published.",
    tau_soc_s=3.0,
    tau_skin_s=120.0,
    soc_rise_c=34.0,
    skin_rise_c=21.0,
    soc=Governor(trip_c=95.0, hysteresis_c=5.0, period_s=0.1),
    skin=Governor(trip_c=39.0, hysteresis_c=1.9, period_s=7.0),
    ratios=(1.0, 0.91, 0.82, 0.73, 0.64, 0.55, 0.45),
)

SNAPDRAGON = ThermalParameters(
    name="snapdragon",
    source="Qualcomm thermal-engine.conf [SS-SKIN-GOLD]: set_point 46000, set_point_clr 42000, sampling 1000 ms; device "
    "tree skin-virt-cpu: polling 1000 and 5000 ms. The die's time constant is near the 1.6 s of GALAXY_S4, whose body's "
    "is bracketed by 171 and 342 s. CPU trip and rises plausible, not published.",
    tau_soc_s=2.0,
    tau_skin_s=180.0,
    soc_rise_c=42.0,
    skin_rise_c=27.0,
    soc=Governor(trip_c=90.0, hysteresis_c=2.0, period_s=0.25),
    skin=Governor(trip_c=46.0, hysteresis_c=4.0, period_s=5.0),
    ratios=(1.0, 0.93, 0.85, 0.77, 0.69, 0.61, 0.53, 0.45),
)

EXYNOS_5422 = ThermalParameters(
    name="exynos_5422",
    source="Linux exynos5422-cpu-thermal.dtsi (Odroid-XU3): passive trips at 60 and 80 °C on the die, polling 250 and "
    "1000 ms. A board without a case: little heat reaches a skin. The die's time constant is near the 6.5 s of another "
    "bare board (Microchip's note on the SAMA7G54: 60 % of the final value after 6 s). All else plausible, not published.",
    tau_soc_s=5.0,
    tau_skin_s=60.0,
    soc_rise_c=38.0,
    skin_rise_c=9.0,
    soc=Governor(trip_c=60.0, hysteresis_c=5.0, period_s=0.25),
    skin=Governor(trip_c=60.0, hysteresis_c=5.0, period_s=1.0),
    ratios=(1.0, 0.9, 0.8, 0.7, 0.6, 0.5),
)

GALAXY = ThermalParameters(
    name="galaxy",
    source="Galaxy S25+, github.com/DaSettingsPNGN/S25_THERMAL- at 63abc9d: battery 210 s by its author, 205 s by an "
    "exponential through its log 20251126_142908 (605 s of load), where the die follows within 1 to 2 s. The same author: "
    "throttled by half at 42 °C of the battery. Rises plausible, not published.",
    tau_soc_s=1.5,
    tau_skin_s=205.0,
    soc_rise_c=30.0,
    skin_rise_c=24.0,
    soc=Governor(trip_c=85.0, hysteresis_c=5.0, period_s=0.25),
    skin=Governor(trip_c=42.0, hysteresis_c=2.0, period_s=5.0),
    ratios=(1.0, 0.85, 0.7, 0.55),
)

OMAP = ThermalParameters(
    name="omap",
    source="Linux omap3/4-cpu-thermal.dtsi: passive trip at 80 °C, hysteresis 2, polling 250 and 1000 ms. Rises and "
    "time constants plausible, not published. The die throttles long before the case is warm.",
    tau_soc_s=1.0,
    tau_skin_s=90.0,
    soc_rise_c=58.0,
    skin_rise_c=14.0,
    soc=Governor(trip_c=80.0, hysteresis_c=2.0, period_s=0.25),
    skin=Governor(trip_c=50.0, hysteresis_c=2.0, period_s=1.0),
    ratios=(1.0, 0.88, 0.75, 0.62, 0.5),
)

XIAOMI = ThermalParameters(
    name="xiaomi",
    source="dumpsys thermalservice of a Xiaomi 13T Pro: SKIN thresholds 50, 70, 80, 90 °C only from severe on. Rises "
    "and time constants plausible, not published.",
    tau_soc_s=4.0,
    tau_skin_s=300.0,
    soc_rise_c=33.0,
    skin_rise_c=31.0,
    soc=Governor(trip_c=84.0, hysteresis_c=4.0, period_s=0.5),
    skin=Governor(trip_c=50.0, hysteresis_c=3.0, period_s=10.0),
    ratios=(1.0, 0.92, 0.84, 0.76, 0.68, 0.6, 0.52, 0.44, 0.36),
    held_out=True,
)

GALAXY_S4 = ThermalParameters(
    name="galaxy_s4",
    source="Therminator 2's model of the Galaxy S4, github.com/mjdousti/Therminator at d706ab4. Its example of 2.25 W in the "
    "chip, taken here as one busy core: 22.9 °C above the rear case, whose hottest spot is 17.8 °C above the air. From its "
    "step to 2.8 W the die's time constant; the body's from its masses and areas, with the halved heat capacities that its "
    "transient solution uses (342 s without). Trips, levels and periods plausible, not published.",
    tau_soc_s=1.6,
    tau_skin_s=171.0,
    soc_rise_c=22.9,
    skin_rise_c=17.8,
    soc=Governor(trip_c=75.0, hysteresis_c=5.0, period_s=0.25),
    skin=Governor(trip_c=40.0, hysteresis_c=2.0, period_s=4.0),
    ratios=(1.0, 0.84, 0.68, 0.5),
    held_out=True,
)

ORIN_NANO = ThermalParameters(
    name="orin_nano",
    source="Linux tegra234-p3701-0008.dts: tj-thermal, polling 1000 ms. Idle at 50 °C as in tegrastats of an Orin Nano with "
    "its fan (tests/device/samples/jetson). All else plausible, not published: the second mass is its heat sink, which no rule "
    "looks at.",
    tau_soc_s=3.0,
    tau_skin_s=120.0,
    soc_rise_c=18.0,
    skin_rise_c=20.0,
    soc=Governor(trip_c=99.0, hysteresis_c=3.0, period_s=1.0),
    skin=Governor(trip_c=1000.0, hysteresis_c=1.0, period_s=1.0),
    ratios=(1.0, 0.88, 0.76, 0.64, 0.52, 0.4),
    idle_power=0.65,
)

DEVELOPMENT = (PIXEL, SNAPDRAGON, EXYNOS_5422, GALAXY, OMAP)
HELD_OUT = (XIAOMI, GALAXY_S4)
BY_NAME = {each.name: each for each in (*DEVELOPMENT, *HELD_OUT)}
