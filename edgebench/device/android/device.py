"""An Android phone or board as a device, read through its shell. What it does not tell is None."""

from __future__ import annotations

from edgebench.device import kernel, zones
from edgebench.device.android import parse, thermal
from edgebench.device.cores import Clusters
from edgebench.device.kernel import CORES_COMMANDS, ZONES_COMMAND
from edgebench.device.shell import Shell, ask
from edgebench.errors import DeviceRefused
from edgebench.files import sha256_bytes
from edgebench.records import DeviceFacts, DeviceState, Reading, ThermalState

_BATTERY = "dumpsys battery"
_FACTS = {
    **CORES_COMMANDS,
    "properties": "getprop",
    "machine": "uname -m",
    "meminfo": "cat /proc/meminfo",
    "battery": _BATTERY,
}
_THERMAL = {"service": "dumpsys thermalservice", "battery": _BATTERY, "zones": ZONES_COMMAND}
_STATE = {
    "battery": _BATTERY,
    # The whole of it runs to hundreds of kB on a busy phone.
    "power": "dumpsys power | grep -i -E 'Battery Saver is|Enabled=|Display Power|mWakefulness=|mInteractive='",
    "low_power": "settings get global low_power",
}

_MARKET_NAMES = (
    "ro.product.marketname",
    "ro.product.vendor.marketname",
    "ro.config.marketing_name",
    "ro.vendor.oplus.market.name",
)
_MODELS = ("ro.product.model", "ro.product.vendor.model")
_MAKERS = ("ro.product.manufacturer", "ro.product.vendor.manufacturer", "ro.product.brand")
_VIRTUAL_HARDWARE = ("ranchu", "goldfish", "cutf", "vsoc", "vbox86")
_MACHINES = {"arm64-v8a": "aarch64", "armeabi-v7a": "armv7l", "x86_64": "x86_64", "x86": "i686", "riscv64": "riscv64"}


class AndroidDevice:
    """The device behind ``shell``; ``serial`` is the name by which it was reached. Everything raises DeviceLost."""

    platform = "android"

    def __init__(self, shell: Shell, serial: str) -> None:
        self._shell = shell
        self._serial = serial

    def facts(self) -> DeviceFacts:
        """Who it is, in one round trip. The id is a hash: the serial number is the owner's business. Raises DeviceRefused."""
        said = ask(self._shell, _FACTS)
        properties = parse.properties(said["properties"])
        if not properties:
            # Its identity, and with it its lock, would be another's.
            raise DeviceRefused(
                f"{self._serial} tells nothing of itself: `getprop` prints nothing there",
                hint="restart the device; is it an Android, and does `adb shell getprop` print its properties?",
            )
        clusters = kernel.clusters(said)
        abi = _abi(properties)
        return DeviceFacts(
            id=sha256_bytes(f"edgebench {self._identity(properties)}".encode())[:16],
            model=_model(properties, said["machine"].strip()),
            soc=_soc(properties, kernel.cpuinfo(said["cpuinfo"])),
            os_build=_os_build(properties),
            machine=_word(said["machine"]) or _MACHINES.get(abi or "", "unknown"),
            clusters=clusters.clusters,
            memory_bytes=kernel.memory_bytes(said["meminfo"]),
            governor=kernel.governor(said, clusters.all),
            power_source=parse.battery(said["battery"]).source,
            virtual=_virtual(properties),
            abi=abi,
        )

    def clusters(self) -> Clusters:
        """The cores that are online and that the shell may use, by maximum frequency, fastest first."""
        return kernel.clusters(ask(self._shell, CORES_COMMANDS))

    def default_cores(self, threads: int) -> tuple[int, ...]:
        """See Clusters.default. Raises UsageError."""
        return self.clusters().default(threads)

    def parse_cores(self, text: str, threads: int) -> tuple[int, ...]:
        """See Clusters.parse. Raises UsageError."""
        return self.clusters().parse(text, threads)

    def thermal_zones(self) -> dict[str, str]:
        """At most four zones (SoC, skin, battery): name to the path of the file. Empty where the shell may not read them."""
        found = zones.zones(kernel.zone_files(ask(self._shell, {"zones": ZONES_COMMAND})["zones"]), telling=True)
        return {zone.name: zone.path for zone in zones.worth_sampling(found)}

    def thermal_state(self) -> ThermalState:
        """What the thermal service, the zones of known places and the battery say now; equal sensors may be in it twice."""
        said = ask(self._shell, _THERMAL)
        service = thermal.thermal_service(said["service"])
        in_zones = zones.readings(zones.zones(kernel.zone_files(said["zones"]), telling=True))
        battery_c = parse.battery(said["battery"]).celsius
        battery = () if battery_c is None else (_battery_reading(battery_c),)
        return ThermalState(readings=(*service.readings, *in_zones, *battery), status=service.status)

    def state(self) -> DeviceState:
        """Battery, charger, power saving and screen now."""
        said = ask(self._shell, _STATE)
        battery = parse.battery(said["battery"])
        return DeviceState(
            battery_percent=battery.percent,
            charging=battery.charging,
            power_saving=parse.power_saving(said["power"], said["low_power"]),
            screen_on=parse.screen_on(said["power"]),
        )

    def _identity(self, properties: dict[str, str]) -> str:
        """What outlives updates and changes of address; the address only where the device hides its serial number."""
        serial = parse.first(properties, "ro.serialno", "ro.boot.serialno")
        return serial or f"{properties.get('ro.build.fingerprint', '')} {self._serial}"


def _model(properties: dict[str, str], machine: str) -> str:
    """The maker, the name that people know, and the maker's own number where that is another: targets ask for either."""
    maker, model = parse.first(properties, *_MAKERS), parse.first(properties, *_MODELS)
    name = parse.first(properties, *_MARKET_NAMES) or model
    if name is None:
        return maker or f"unknown {machine}".strip()
    whole = name if maker is None or name.lower().startswith(maker.lower()) else f"{maker} {name}"
    return whole if model is None or model.lower() in whole.lower() else f"{whole} ({model})"


def _soc(properties: dict[str, str], cpuinfo: dict[str, str]) -> str | None:
    maker, model = properties.get("ro.soc.manufacturer"), properties.get("ro.soc.model")
    if model is not None:
        return model if maker is None or model.lower().startswith(maker.lower()) else f"{maker} {model}"
    names = ("ro.board.platform", "ro.hardware.chipname", "ro.chipname", "ro.hardware")
    return parse.first(properties, *names) or cpuinfo.get("Hardware")


def _os_build(properties: dict[str, str]) -> str:
    release = properties.get("ro.build.version.release")
    build = parse.first(
        properties, "ro.build.fingerprint", "ro.vendor.build.fingerprint", "ro.build.display.id", "ro.build.id"
    )
    return ", ".join([f"Android {release}" if release else "Android", *([build] if build else [])])


def _abi(properties: dict[str, str]) -> str | None:
    abis = parse.first(properties, "ro.product.cpu.abi", "ro.product.cpu.abilist", "ro.product.cpu.abilist64")
    return abis.split(",")[0].strip() or None if abis else None


def _virtual(properties: dict[str, str]) -> bool:
    """Whether this is an emulator."""
    if "1" in (properties.get("ro.kernel.qemu"), properties.get("ro.boot.qemu")):
        return True
    return properties.get("ro.hardware", "").startswith(_VIRTUAL_HARDWARE)


def _word(text: str) -> str | None:
    words = text.split()
    return words[0] if len(words) == 1 else None


def _battery_reading(celsius: float) -> Reading:
    return Reading(name="battery", place="battery", celsius=celsius, source="battery service")
