"""Stand-ins for a Jetson's own programs: they keep their state in files below $JETSON and print what the real ones printed
(``tests/device/samples/jetson``). ``sudo`` just runs; with a file ``asks_for_password`` it refuses as it does without one."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "device" / "samples" / "jetson"

SUDO = """\
[ "$1" = -n ] && shift
[ ! -f "$JETSON/asks_for_password" ] || { echo "sudo: a password is required" >&2; exit 1; }
exec "$@"
"""
# Mode 2 needs a restart, as some modes of an Orin do: it asks, and takes no answer for no.
NVPMODEL = """\
case "$1" in
-q) mode=$(cat "$JETSON/mode"); grep "ID=$mode " "$JETSON/etc/nvpmodel.conf" | sed 's/.*NAME=\\([^ ]*\\).*/NV Power Mode: \\1/'
    echo "$mode" ;;
-m) if [ "$2" = 2 ]; then
      echo "NVPM WARN: Reboot required for changing to this power mode: 2"
      echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
      read -r answer || echo "NVPM ERROR: optMask is 1, no request for power mode"; exit 0
    fi
    echo "$2" > "$JETSON/mode" ;;
*) echo "NVPM ERROR: unknown option $1"; exit 1 ;;
esac
"""
JETSON_CLOCKS = """\
case "$1" in
--show) if [ -f "$JETSON/locked" ]; then cat "$JETSON/clocks_locked"; else cat "$JETSON/clocks"; fi ;;
--store) if [ -f "$JETSON/locked" ]; then echo locked > "$2"; else echo free > "$2"; fi ;;
--restore) case "$(cat "$2")" in free) rm -f "$JETSON/locked" ;; locked) : > "$JETSON/locked" ;; *) exit 1 ;; esac ;;
'') : > "$JETSON/locked" ;;
*) echo "Unknown option $1"; exit 1 ;;
esac
"""
DPKG_QUERY = """\
printf 'not-installed libnvinfer8 \\ninstalled libnvinfer10 10.3.0.30-1+cuda12.5\\n'
[ ! -f "$JETSON/jetpack" ] || printf 'installed nvidia-jetpack %s\\n' "$(cat "$JETSON/jetpack")"
"""
# One line of an Orin Nano again and again, with the temperature of now where the board has one, as the real one writes it:
# a line an interval.
TEGRASTATS = """\
interval=1000 log=/dev/stdout
while [ $# -gt 0 ]; do
  case "$1" in
  --interval) interval=$2; shift ;;
  --logfile) log=$2; shift ;;
  *) echo "Unknown option $1"; exit 1 ;;
  esac
  shift
done
# No program is started but sleep: its cost is measured, and is to be near the real one's.
ms=00$((interval % 1000)) seconds=$((interval / 1000))
seconds=$seconds.${ms#"${ms%???}"}
if [ -f "$JETSON/live/soc_c" ]; then read -r line < "$JETSON/tegrastats_live"; else read -r line < "$JETSON/tegrastats"; fi
while true; do
  [ ! -f "$JETSON/live/soc_c" ] || read -r soc < "$JETSON/live/soc_c"
  eval "echo \\"$line\\"" >> "$log"
  sleep "$seconds"
done
"""
# Where JetPack puts it is a folder of this machine: here it is on the PATH.
TRTEXEC = f"""\
exec {shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).parent / "trtexec_stand_in.py"))} "$@"
"""
PROGRAMS = {
    "trtexec": TRTEXEC,
    "tegrastats": TEGRASTATS,
    "sudo": SUDO,
    "nvpmodel": NVPMODEL,
    "jetson_clocks": JETSON_CLOCKS,
    "dpkg-query": DPKG_QUERY,
}
CONF = """\
# NVPMODEL configuration
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
CPU_ONLINE CORE_0 1
< PM_CONFIG DEFAULT=1 >
"""


def lay_out_jetson(folder: Path) -> None:
    """An Orin Nano's files below ``folder``, which is $JETSON to its programs."""
    (folder / "etc").mkdir(parents=True, exist_ok=True)
    (folder / "etc" / "nvpmodel.conf").write_text(CONF)
    shutil.copy(SAMPLES / "nv_tegra_release_r36.txt", folder / "etc" / "nv_tegra_release")
    (folder / "mode").write_text("1\n")
    lines = (SAMPLES / "tegrastats_lines.txt").read_text().splitlines(keepends=True)
    line = next(line for line in lines if "GR3D_FREQ 63%@[621]" in line)
    (folder / "tegrastats").write_text(line)
    # As the shell fills it in.
    (folder / "tegrastats_live").write_text(re.sub(r"@[0-9.]+C", "@${soc}C", line))
    clocks = (SAMPLES / "jetson_clocks_show_orin_nano.txt").read_text()
    (folder / "clocks").write_text(clocks)
    # As jetson_clocks leaves it: the memory's bounds stay, an override holds it.
    for least, most in (("729600", "1344000"), ("306000000", "918000000")):
        clocks = clocks.replace(f"MinFreq={least}", f"MinFreq={most}")
    clocks = clocks.replace("FreqOverride=0", "FreqOverride=1")
    (folder / "clocks_locked").write_text(clocks)
