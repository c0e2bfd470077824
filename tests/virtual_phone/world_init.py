"""Process 1 of a world (``world``): makes its root, starts its daemon, collects its orphans.

    unshare --mount --pid --fork --mount-proc python -m tests.virtual_phone.world_init CONFIG.json

It ends, and with it everything in the world, when its standard input does: also when whoever started it was killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

_MOUNT_S = 20.0
# e_machine 183 at offset 18 of a 64-bit little-endian ELF file; the mask lets any OS ABI and both kinds of program pass.
_AARCH64 = r"\x7fELF\x02\x01\x01" + r"\x00" * 9 + r"\x02\x00\xb7\x00"
_AARCH64_MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"
BINFMT = "/proc/sys/fs/binfmt_misc"


def main(config_path: str) -> int:
    """Returns the daemon's exit status, when it has ended."""
    config = json.loads(Path(config_path).read_text(encoding="utf-8"))
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    for procs in config["cgroups"]:
        Path(procs).write_text("0", encoding="ascii")
    root = Path(config["root"])
    _make_root(root, config["binds"])
    if config["aarch64_interpreter"]:
        _run_aarch64(config["aarch64_interpreter"])
    os.chroot(root)
    os.chdir(config["working_folder"])
    daemon = subprocess.Popen(config["daemon"], env=config["environment"], stdin=subprocess.DEVNULL)
    # All later numbers belong to what is started through the daemon.
    Path(config["ready"]).write_text(str(daemon.pid), encoding="ascii")
    while True:
        # Orphans are this process's children too.
        pid, status = os.wait()
        if pid == daemon.pid:
            return os.waitstatus_to_exitcode(status)


def _end_with_stdin() -> None:
    while os.read(0, 64):
        pass
    os._exit(0)


def _make_root(root: Path, binds: Mapping[str, str]) -> None:
    """This machine's folders, with the world's own in place of some: a new root, as ours must not get a /data."""
    _mount("-t", "tmpfs", "world", str(root))
    # The root lies below a folder that is bound into it: without this it would contain itself.
    _mount("--make-unbindable", str(root))
    ours = {f"/{Path(place).parts[1]}" for place in binds if len(Path(place).parts) == 2}
    for entry in Path("/").iterdir():
        place = root / entry.name
        if str(entry) in ours:
            continue
        if entry.is_symlink():
            place.symlink_to(entry.readlink())
        elif entry.is_dir():
            place.mkdir()
            _mount("--rbind", str(entry), str(place))
    for inside, outside in binds.items():
        place = root / inside.lstrip("/")
        if inside in ours:
            place.mkdir()
        _mount("--bind", outside, str(place))


def aarch64_rule(interpreter: str) -> str:
    """What the kernel is told to start aarch64 programs by."""
    return f":edgebench-aarch64:M::{_AARCH64}:{_AARCH64_MASK}:{interpreter}:F"


def _run_aarch64(interpreter: str) -> None:
    """The kernel starts aarch64 programs with qemu: a rule of this user namespace alone, gone with it (Linux 6.7)."""
    _mount("-t", "binfmt_misc", "binfmt_misc", BINFMT)
    Path(BINFMT, "register").write_text(aarch64_rule(interpreter), encoding="ascii")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, timeout=_MOUNT_S)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
