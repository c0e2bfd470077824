"""A device at the other end of a channel: commands with an exit status, files that are verified, nothing left running."""

from __future__ import annotations

import re
import secrets
import shlex
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgebench.errors import CommandTimedOut, DeviceError, DeviceFull, DeviceLost, DeviceRefused
from edgebench.files import full_disk_is_said, sha256_bytes, sha256_file
from edgebench.transport.base import FREE_SOME, Channel, OnProgress, device_said_no
from edgebench.transport.wrapped import OnLine, Unwrapper, kill_script, new_word, wrap

DEFAULT_TIMEOUT_S = 30.0
# Collecting and killing takes a phone well under a second; more means that the way to it is stuck.
KILL_TIMEOUT_S = 10.0
# adb passes a command as one service name of at most 64 KiB, and quoting can double a script.
SCRIPT_LIMIT_BYTES = 30_000
# The slowest that is still taken for a transfer and not for a stall: crowded Wi-Fi, an SD card.
SLOWEST_TRANSFER_BYTES_PER_S = 500_000
SLOWEST_HASH_BYTES_PER_S = 20_000_000
# While a folder has that much more than what is sent, it is not asked before each file: others use the space, too.
PLENTY_BYTES = 1 << 30

# Toybox and busybox may lack the short name, or stat; standard input keeps the odd file name out of sha256sum's answer.
# openssl uses the processor's own instructions, as toybox does on Android; coreutils' sha256sum takes three times as long.
_TOOLS = """
size_of() { stat -c %s "$1" 2>/dev/null || { x=$(wc -c <"$1") && echo $((x)); }; }
hash_of() {
  for h in 'openssl dgst -sha256 -r' sha256sum 'toybox sha256sum' 'busybox sha256sum'; do
    if command -v ${h%% *} >/dev/null 2>&1 && x=$($h <"$1" 2>/dev/null); then echo "${x%% *}"; return; fi
  done
}
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended: its exit status (128 + n for signal n), stdout and stderr merged."""

    status: int
    output: str


@dataclass(frozen=True)
class _Wanted:
    """What a delivered file must be."""

    remote: str
    size_bytes: int
    sha256: str
    mode: str
    verify: bool

    @property
    def folder(self) -> str:
        """Where it lies."""
        return str(PurePosixPath(self.remote).parent)


class Remote:
    """One device, over whichever channel.

    Every method raises DeviceLost where the device stops answering, and what the channel raises where it cannot be reached.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        # By folder: what was free when it was last asked, less what was sent since.
        self._free_bytes: dict[str, int] = {}

    @property
    def address(self) -> str:
        """The serial or host:port by which the device was chosen."""
        return self._channel.address

    def run(self, argv: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S, on_line: OnLine | None = None) -> Ran:
        """Runs a command by its argument list, with stdin closed. See ``run_script``."""
        return self.run_script(shlex.join(argv), timeout_s=timeout_s, on_line=on_line)

    def run_script(self, text: str, *, timeout_s: float = DEFAULT_TIMEOUT_S, on_line: OnLine | None = None) -> Ran:
        """Runs ``text`` in the device's POSIX shell; ``on_line`` gets each line, without its end, while it runs.

        At the bound, on Ctrl-C and on whatever ``on_line`` raises, the remote process, its group and its children are killed
        by a second command. What it starts in the background must redirect its output: until then the channel stays open.
        Raises CommandTimedOut at the bound, DeviceLost where the channel ended without a status.
        """
        word = new_word()
        script = wrap(word, text)
        if len(script.encode()) > 2 * SCRIPT_LIMIT_BYTES:
            raise ValueError(f"a script of {len(text)} characters: put it into a file on the device")
        reader = Unwrapper(word, on_line)
        try:
            closed = self._channel.stream(script, reader.feed, timeout_s=timeout_s)
            reader.finish()
        except DeviceError:
            raise  # out of reach: there is nobody to send the kill to
        except BaseException as error:
            if trouble := self._end(reader.pid, word):
                error.add_note(trouble)
            raise
        if not closed:
            trouble = self._end(reader.pid, word)
            if reader.status is None:
                raise CommandTimedOut(
                    f"{self.address}: {_brief(text)} did not end in {timeout_s:g} s",
                    hint=trouble or "it was ended there; allow it more time, or find out what it waits for",
                    output=reader.output,
                )
        if reader.status is None:
            raise DeviceLost(
                f"{self.address} was lost while it ran {_brief(text)}",
                hint="check the cable or network and that the device did not restart, then run the command again",
            )
        return Ran(reader.status, reader.output)

    def check(self, argv: Sequence[str], *, timeout_s: float = DEFAULT_TIMEOUT_S, on_line: OnLine | None = None) -> str:
        """Runs a command that must succeed and returns its output. Raises DeviceRefused with the output where it does not."""
        ran = self.run(argv, timeout_s=timeout_s, on_line=on_line)
        if ran.status != 0:
            raise DeviceRefused(
                f"{self.address}: {_brief(shlex.join(argv))} ended with status {ran.status}: {ran.output.strip()[-2000:]}",
                hint="run it by hand in the device's shell to see why",
            )
        return ran.output

    def kill(self, pid: int) -> None:
        """Kills a process, its group, its session and its descendants; fine where it is gone. Raises DeviceRefused."""
        if pid <= 1:
            raise ValueError(f"refusing to kill process {pid}")
        ran = self.run_script(kill_script(pid, None), timeout_s=KILL_TIMEOUT_S)
        if ran.status != 0:
            raise DeviceRefused(
                f"{self.address}: process {pid} does not end: {ran.output.strip()}", hint="restart the device"
            )

    def push(
        self,
        local: Path,
        folder: str,
        *,
        sha256: str | None = None,
        executable: bool = False,
        on_progress: OnProgress | None = None,
        verify: bool = False,
    ) -> str:
        """Brings a file to ``folder`` under its hash and returns its path there; a file already there is not sent again.

        ``sha256`` is computed where it is not given. Sizes are always compared; with ``verify`` the device hashes the file,
        also one that it already has. The file appears whole or not at all. Raises DeviceFull, DeviceRefused, TransferFailed.
        """
        sha256 = sha256 or sha256_file(local)
        mode = "755" if executable else "644"
        wanted = _Wanted(f"{folder.rstrip('/')}/{sha256}", local.stat().st_size, sha256, mode, verify)
        if not self._has(wanted):
            self._deliver(local, wanted, on_progress)
        return wanted.remote

    def put(self, data: bytes, remote: str) -> None:
        """Writes a small file, such as a plan, whole or not at all, verified. Raises as ``push``."""
        wanted = _Wanted(remote, len(data), sha256_bytes(data), "644", verify=True)
        if self._has(wanted):
            return
        with tempfile.NamedTemporaryFile(prefix="edgebench-put-") as file:
            with full_disk_is_said(Path(file.name)):
                file.write(data)
                file.flush()
            self._deliver(Path(file.name), wanted, None)

    def pull(self, remote: str, local: Path, on_progress: OnProgress | None = None) -> None:
        """Brings a file here, whole or not at all, with the size and SHA-256 that it has on the device.

        Raises DeviceRefused where the device does not have it, TransferFailed, and NoSpace for this computer's disk.
        """
        what = f"pull {remote} from {self.address}"
        path = shlex.quote(remote)
        ran = self.run_script(
            f"{_TOOLS}[ ! -d {path} ] || {{ echo 'Is a directory'; exit 1; }}\n"
            f"head -c 1 {path} >/dev/null || exit\n"  # which says why not, as strerror does
            f'echo "size=$(size_of {path})"; echo "sha256=$(hash_of {path})"',
            timeout_s=DEFAULT_TIMEOUT_S + 60,
        )
        size_bytes, sha256 = _answer(ran.output, "size"), _answer(ran.output, "sha256")
        if ran.status != 0 or not size_bytes:
            raise device_said_no(what, ran.output)
        self._require_hash(sha256)
        local.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=local.parent, prefix=f".{local.name}.", delete=False) as file:
            part = Path(file.name)
        try:
            bound_s = _transfer_s(int(size_bytes))
            self._channel.fetch(remote, part, on_progress, timeout_s=bound_s)
            if (got_bytes := part.stat().st_size) != int(size_bytes):
                raise device_said_no(what, f"{got_bytes} bytes of {size_bytes} arrived")
            if sha256_file(part) != sha256:
                raise device_said_no(what, "what arrived is not what the device has (SHA-256 differs)")
            part.chmod(0o644)
            part.replace(local)
        finally:
            part.unlink(missing_ok=True)

    def remove(self, paths: Iterable[str]) -> None:
        """Removes files and folders; fine where they are gone. Raises DeviceRefused.

        Whole paths at least two levels deep only, as this is ``rm -rf``: anything else is a ValueError.
        """
        paths = list(paths)
        for path in paths:
            # Not by PurePosixPath, to which // is another folder than /.
            names = [name for name in path.split("/") if name not in ("", ".")]
            if not path.startswith("/") or len(names) < 2 or ".." in names:
                raise ValueError(f"refusing to remove {path!r}")
        while paths:
            batch: list[str] = []
            length = 0
            while paths and (not batch or length + 2 * len(paths[0]) < SCRIPT_LIMIT_BYTES):
                batch.append(paths.pop(0))
                length += 2 * len(batch[-1])
            self.check(["rm", "-rf", "--", *batch], timeout_s=60)

    def wait(self, timeout_s: float) -> bool:
        """Waits until the device answers again; False where it does not in time."""
        return self._channel.wait(timeout_s)

    def beside(self) -> Remote | None:
        """The same device by another channel, for a second thread at the same time; None where only one can be had."""
        channel = self._channel.beside()
        return None if channel is None else Remote(channel)

    def close(self) -> None:
        """Lets the device go. Closed, it may not be used again."""
        self._channel.close()

    def _end(self, pid: int | None, word: str) -> str:
        """Kills what a command left; says what to do by hand where that does not work out."""
        own = new_word()
        reader = Unwrapper(own, None)
        by_hand = f"process {pid or 'of the command'} may still run on {self.address}: restart the device"
        try:
            self._channel.stream(wrap(own, kill_script(pid, word)), reader.feed, timeout_s=KILL_TIMEOUT_S)
        except DeviceError as error:
            return f"{by_hand} ({error.message})"
        return "" if reader.status == 0 else by_hand

    def _has(self, wanted: _Wanted) -> bool:
        answer = self._prepare(wanted)
        if _answer(answer, "size") != str(wanted.size_bytes):
            return False
        return not wanted.verify or _answer(answer, "sha256") == wanted.sha256

    def _prepare(self, wanted: _Wanted) -> str:
        """One trip: makes the folder, removes what an earlier loss left, looks at the file, else at the free space.

        The shell's own tests come before each program: starting one takes a phone some milliseconds.
        """
        path, folder = shlex.quote(wanted.remote), shlex.quote(wanted.folder)
        size = wanted.size_bytes
        look = f'; echo "sha256=$(hash_of {path})"' if wanted.verify else ""
        plenty = self._free_bytes.get(wanted.folder, 0) >= size + PLENTY_BYTES
        tell_free = ":" if plenty else f"df -kP {folder} 2>/dev/null"
        ran = self.run_script(
            f"{_TOOLS}[ -d {folder} ] || mkdir -p {folder} || exit\n"
            f'for f in {shlex.quote(_part_prefix(wanted.remote))}*.part; do [ ! -f "$f" ] || rm -f "$f"; done\n'
            f's=; [ ! -f {path} ] || s=$(size_of {path})\necho "size=$s"\n'
            f'if [ "$s" = {size} ]; then chmod {wanted.mode} {path}{look}; else {tell_free}; fi',
            timeout_s=DEFAULT_TIMEOUT_S + size / SLOWEST_HASH_BYTES_PER_S,
        )
        what = f"push to {wanted.remote} on {self.address}"
        if (told := _answer(ran.output, "size")) is None:
            raise device_said_no(what, ran.output)
        # POSIX: name, blocks, used, available, capacity, mounted on. The names may hold blanks.
        if told != str(size) and (free_kib := re.search(r"\s\d+\s+\d+\s+(\d+)\s+\d+%\s", ran.output)):
            free_bytes = self._free_bytes[wanted.folder] = int(free_kib[1]) * 1024
            if free_bytes < size:
                raise DeviceFull(f"cannot {what}: {size} bytes, and {free_bytes} are free", hint=FREE_SOME)
        return ran.output

    def _deliver(self, local: Path, wanted: _Wanted, on_progress: OnProgress | None) -> None:
        part = f"{_part_prefix(wanted.remote)}{secrets.token_hex(4)}.part"
        self._free_bytes[wanted.folder] = self._free_bytes.get(wanted.folder, 0) - wanted.size_bytes
        try:
            self._channel.send(local, part, on_progress, timeout_s=_transfer_s(wanted.size_bytes))
            self._accept(part, wanted)
        except BaseException:
            self._discard(part)
            raise

    def _accept(self, part: str, wanted: _Wanted) -> None:
        """Compares, then moves into place, in one trip."""
        path, quoted = shlex.quote(wanted.remote), shlex.quote(part)
        verify = ""
        if wanted.verify:
            verify = f'h=$(hash_of {quoted}); echo "sha256=$h"; [ "$h" = {wanted.sha256} ] || exit 1\n'
        ran = self.run_script(
            f'{_TOOLS}s=$(size_of {quoted}); echo "size=$s"; [ "$s" = {wanted.size_bytes} ] || exit 1\n{verify}'
            f"chmod {wanted.mode} {quoted} && exec mv -f {quoted} {path}",
            timeout_s=DEFAULT_TIMEOUT_S + wanted.size_bytes / SLOWEST_HASH_BYTES_PER_S,
        )
        if ran.status == 0:
            return
        what = f"push to {wanted.remote} on {self.address}"
        if (size := _answer(ran.output, "size")) != str(wanted.size_bytes):
            raise device_said_no(what, f"{size or 0} bytes of {wanted.size_bytes} arrived")
        if wanted.verify and (sha256 := _answer(ran.output, "sha256")) != wanted.sha256:
            self._require_hash(sha256)
            raise device_said_no(what, "what arrived is not what was sent (SHA-256 differs)")
        raise device_said_no(what, ran.output)

    def _discard(self, part: str) -> None:
        # What went wrong before is what must be told; a part that stays is removed before the next push of the file.
        try:
            self.run(["rm", "-f", part])
        except DeviceError:
            return

    def _require_hash(self, sha256: str | None) -> None:
        if not sha256:
            raise DeviceRefused(
                f"{self.address} has no sha256sum, so nothing can be verified there",
                hint="install coreutils, toybox or busybox on the device",
            )


def _part_prefix(remote: str) -> str:
    path = PurePosixPath(remote)
    return str(path.parent / f".{path.name}.")


def _answer(output: str, key: str) -> str | None:
    """The value of a line ``key=value`` among whatever else a device's programs print (linkers warn on old phones)."""
    found = re.search(rf"^{key}=(.*)$", output, re.MULTILINE)
    return found[1].strip() if found else None


def _transfer_s(size_bytes: int) -> float:
    return 60 + size_bytes / SLOWEST_TRANSFER_BYTES_PER_S


def _brief(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= 120 else f"{first[:117]}..."
