"""A command as the remote shell gets it, and its output as it comes back: a process number first, a status last.

adb returns 0 when a device dies half-way, and old devices send no status at all: so the shell itself prints both, around
a word drawn anew for every command. POSIX shell only: it may be mksh with toybox, dash, or busybox.
"""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Callable

OnLine = Callable[[str], None]

_NUMBER = re.compile(rb" (\d+)\r?\n")
# A number and a line end: what has not come by then is not one of ours.
_NUMBER_LIMIT_BYTES = 24


def new_word() -> str:
    """A word that no output holds by chance."""
    return f"edgebench-{secrets.token_hex(8)}"


def wrap(word: str, text: str) -> str:
    """The script that runs ``text`` with stdin closed and stderr merged, between the two marks.

    ``eval`` keeps a syntax error inside the subshell, whose status is then told like any other. The marks are spelled in two
    pieces: a ``ps`` that prints this very script must not look like its end. The first line puts the word into the
    process's command line, by which ``kill_script`` finds it.
    """
    return (
        f": {word}\n"
        "exec 2>&1\n"
        f"echo '{word}''-pid '$$\n"
        f"( eval {shlex.quote(text)} ) </dev/null\n"
        f"echo '{word}''-end '$?\n"
    )


class Unwrapper:
    """Takes the output apart as it comes, however it is cut: ``pid``, whole lines, then ``status``.

    ``on_line`` gets every line without its end, as soon as that end has come; a last line without one comes with
    ``finish``. Neither it nor ``output`` sees the marks, nor what came before the first or after the second.
    """

    def __init__(self, word: str, on_line: OnLine | None) -> None:
        self._begin = f"{word}-pid".encode()
        self._end = f"{word}-end".encode()
        self._on_line = on_line
        self._buffer = b""
        self._line = b""
        self._output = bytearray()
        self.pid: int | None = None
        self.status: int | None = None

    @property
    def output(self) -> str:
        """All of it so far; what is not UTF-8 is replaced."""
        return self._output.decode("utf-8", "replace")

    def feed(self, data: bytes) -> None:
        """The next piece, of any size."""
        self._buffer += data
        if self.pid is None:
            self._find_pid()
        if self.pid is not None and self.status is None:
            self._find_end()

    def finish(self) -> None:
        """No more will come."""
        if self.pid is not None and self.status is None:
            self._take(self._buffer)
            self._buffer = b""
        if self._line and self._on_line is not None:
            line, self._line = self._line, b""
            self._on_line(line.decode("utf-8", "replace"))

    def _find_pid(self) -> None:
        at = self._buffer.find(self._begin)
        if at < 0:
            self._buffer = self._buffer[-len(self._begin) :]
        elif found := _NUMBER.match(self._buffer, at + len(self._begin)):
            self.pid = int(found[1])
            self._buffer = self._buffer[found.end() :]

    def _find_end(self) -> None:
        at = self._buffer.find(self._end)
        if at < 0:
            keep = _overlap(self._buffer, self._end)
            ready = self._buffer[: len(self._buffer) - keep]
            self._buffer = self._buffer[len(ready) :]
            self._take(ready)
            return
        self._take(self._buffer[:at])
        self._buffer = self._buffer[at:]
        if found := _NUMBER.match(self._buffer, len(self._end)):
            self.status = int(found[1])
            self._buffer = b""
        elif len(self._buffer) > len(self._end) + _NUMBER_LIMIT_BYTES:
            self._take(self._end)
            self._buffer = self._buffer[len(self._end) :]
            self._find_end()

    def _take(self, data: bytes) -> None:
        self._output += data
        if self._on_line is None:
            return
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            self._on_line(line.decode("utf-8", "replace"))


class Delimited:
    """Passes on what comes before ``mark``, however it is cut."""

    def __init__(self, mark: bytes, on_bytes: Callable[[bytes], None]) -> None:
        self._mark = mark
        self._on_bytes = on_bytes
        self._kept = b""

    def feed(self, data: bytes) -> bool:
        """The next piece; True once the mark has come. What follows the mark is dropped."""
        data = self._kept + data
        at = data.find(self._mark)
        ready = data[: at if at >= 0 else len(data) - _overlap(data, self._mark)]
        self._kept = data[len(ready) :]
        if ready:
            self._on_bytes(ready)
        return at >= 0


class After:
    """Gives what comes after ``mark``, however it is cut."""

    def __init__(self, mark: bytes) -> None:
        self._mark = mark
        self._kept: bytes | None = b""

    def feed(self, data: bytes) -> bytes:
        """The next piece; what of it comes after the mark."""
        if self._kept is None:
            return data
        data = self._kept + data
        before, mark, after = data.partition(self._mark)
        self._kept = None if mark else before[-len(self._mark) :]
        return after


def _overlap(data: bytes, mark: bytes) -> int:
    """How many bytes at the end of ``data`` may be the beginning of ``mark``."""
    longest = min(len(data), len(mark) - 1)
    return next((size for size in range(longest, 0, -1) if mark.startswith(data[-size:])), 0)


def kill_script(pid: int | None, word: str | None) -> str:
    """A script that kills a process, its group and session, and all that descends from them; 1 where some would not die.

    With ``word`` it finds the process by it, whether or not its number ever arrived, and leaves a number alone that has been
    given to another process since. Groups and parents are read from /proc, not guessed: not every server gives a
    command a group of its own.
    """
    # In brackets, so that the pattern does not match the command line of this very script and its grep.
    pattern = f"[{word[0]}]{word[1:]}" if word else ""
    return f"pid={pid or ''}\npattern='{pattern}'\n{_KILL}"


_KILL = r"""
roots=' '
if [ -n "$pattern" ]; then
  for f in $(grep -ls "$pattern" /proc/[0-9]*/cmdline 2>/dev/null); do
    f=${f#/proc/}; roots="$roots${f%/cmdline} "
  done
  # Only gone, or dead and not collected: then its number still names its group.
  [ -z "$pid" ] || grep -qs . "/proc/$pid/cmdline" || roots="$roots$pid "
else
  roots=" $pid "
fi
newline='
'
round=0
while [ "$round" -lt 40 ]; do
  round=$((round + 1))
  set +f; all=$(cat /proc/[0-9]*/stat 2>/dev/null); set -f
  IFS=$newline
  live=' '; grown=1
  while [ "$grown" = 1 ]; do
    grown=0
    for s in $all; do
      i=${s%% *}; r=${s##*) }
      state=${r%% *}; r=${r#* }
      parent=${r%% *}; r=${r#* }
      group=${r%% *}; r=${r#* }
      session=${r%% *}
      case "$i$parent$group$session" in *[!0-9-]*) continue ;; esac
      case "$live" in *" $i "*) continue ;; esac
      case "$roots" in *" $i "* | *" $parent "* | *" $group "* | *" $session "*) ;; *) continue ;; esac
      case "$roots" in *" $i "*) ;; *) roots="$roots$i "; grown=1 ;; esac
      case "$state" in Z | X) continue ;; esac
      [ "$i" = 1 ] || [ "$i" = $$ ] || live="$live$i "
    done
  done
  unset IFS
  [ "$live" != ' ' ] || exit 0
  kill -9 $live 2>/dev/null
  sleep 0.05 2>/dev/null || sleep 1
done
echo "still alive:$live"
exit 1
"""
