"""The files under /proc, /sys and /etc by which a Linux device tells of itself: read here, or through its shell."""

from __future__ import annotations

import platform
import re
import shlex
from pathlib import Path
from typing import Protocol

from edgebench.device.shell import READ_S, Shell, sections

# A script's words: what the shell expands, and nothing that it would run.
_PATTERN = re.compile(r"/[\w./*\[\]\-+:@,]*")


class Tree(Protocol):
    """Reads by absolute path; ``*`` and ``[0-9]`` stand for what the shell makes of them.

    What is not there, is empty, or refuses to be read (some thermal zones answer EINVAL) is absent. Raises DeviceLost.
    """

    def values(self, *patterns: str) -> dict[str, str]:
        """The first line of each file, stripped, by path, in the order of the patterns and then of the names."""

    def texts(self, *patterns: str) -> dict[str, str]:
        """The whole of each file, by path. NUL bytes, which end the device tree's strings, are line ends."""

    def machine(self) -> str:
        """What ``uname -m`` says."""


class LocalTree:
    """This machine's files, below ``root``, so that tests can show other machines."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def values(self, *patterns: str) -> dict[str, str]:
        """See Tree."""
        lines = {path: text.partition("\n")[0].strip() for path, text in self.texts(*patterns).items()}
        return {path: line for path, line in lines.items() if line}

    def texts(self, *patterns: str) -> dict[str, str]:
        """See Tree."""
        found: dict[str, str] = {}
        for pattern in patterns:
            for path in sorted(self._root.glob(pattern.lstrip("/")), key=lambda path: _natural(str(path))):
                try:
                    text = path.read_text(encoding="utf-8", errors="replace")
                except OSError:
                    continue
                if text:
                    found[f"/{path.relative_to(self._root)}"] = text.replace("\0", "\n")
        return found

    def machine(self) -> str:
        """See Tree."""
        return platform.machine()


class ShellTree:
    """A device's files, in one round trip a call."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell

    def values(self, *patterns: str) -> dict[str, str]:
        """See Tree. The shell reads by itself: a process for each of some forty files would take a small board a while."""
        return {path: line for path, text in self._each('echo "$v"', *patterns).items() if (line := text.strip())}

    def texts(self, *patterns: str) -> dict[str, str]:
        """See Tree."""
        return self._each("tr '\\0' '\\n' < \"$f\"", *patterns)

    def machine(self) -> str:
        """See Tree."""
        return self._shell.run_script("uname -m", timeout_s=READ_S).output.strip()

    def _each(self, print_it: str, *patterns: str) -> dict[str, str]:
        if wrong := [pattern for pattern in patterns if not _PATTERN.fullmatch(pattern)]:
            raise ValueError(f"no pattern of paths: {wrong}")
        script = (
            f"for f in {' '.join(patterns)}; do\n"
            '  [ -f "$f" ] || continue\n'
            '  v=; read -r v < "$f"; [ -n "$v" ] || continue\n'
            f'  echo; echo {shlex.quote("@@edgebench ")}"$f"; {print_it}\n'
            "done 2>/dev/null\n"
            "true"
        )
        found = sections(self._shell.run_script(script, timeout_s=READ_S).output)
        return {path: found[path] for path in sorted(found, key=lambda path: _place(path, patterns))}


def _natural(text: str) -> list[tuple[int, str]]:
    """thermal_zone10 comes after thermal_zone9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", text)]


def _place(path: str, patterns: tuple[str, ...]) -> tuple[int, list[tuple[int, str]]]:
    first = next((number for number, pattern in enumerate(patterns) if Path(path).match(pattern)), len(patterns))
    return first, _natural(path)
