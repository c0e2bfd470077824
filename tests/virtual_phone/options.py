"""What a daemon is started with, and the flags that say so."""

from __future__ import annotations

import argparse
import secrets
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """What a daemon is started with."""

    state: Path
    root: Path = Path("/")
    port: int = 0
    keys: Path | None = None
    accept_new: bool = False
    serial: str = field(default_factory=lambda: "VP" + secrets.token_hex(5).upper())
    path: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    shell: str = "/bin/sh"
    orphans_survive: bool = True
    product: str = "husky"
    model: str = "Pixel_8_Pro"
    until_stdin_closes: bool = False


def parse(argv: list[str] | None = None) -> Options:
    """Read the flags."""
    p = argparse.ArgumentParser(
        prog="python -m tests.virtual_phone.adbd", description="a phone's end of ADB, for tests"
    )
    p.add_argument(
        "--state", type=Path, required=True, help="folder for faults.json and journal.jsonl; made if missing"
    )
    p.add_argument("--root", type=Path, default=Path("/"), help="pushes and pulls see what is below")
    p.add_argument("--port", type=int, default=0, help="0: a free one")
    p.add_argument("--keys", type=Path, help="adb_keys file: ask for a key")
    p.add_argument("--accept-new", action="store_true", help="new keys are allowed, and added to --keys")
    p.add_argument("--serial", help="default: a random one")
    p.add_argument("--path", action="append", default=[], help="folder of the phone's own commands; repeatable")
    p.add_argument(
        "--env", action="append", default=[], metavar="NAME=VALUE", help="for the phone's commands; repeatable"
    )
    p.add_argument("--shell", default="/bin/sh")
    p.add_argument("--hang-up-orphans", action="store_true", help="end exec: and shell v1 commands as adbd does")
    p.add_argument("--product", default=Options.product)
    p.add_argument("--model", default=Options.model)
    p.add_argument("--until-stdin-closes", action="store_true", help="end with the process that started this")
    a = p.parse_args(argv)
    pairs = tuple((name, value) for name, _, value in (e.partition("=") for e in a.env))
    return Options(
        state=a.state,
        root=a.root,
        port=a.port,
        keys=a.keys,
        accept_new=a.accept_new,
        path=tuple(a.path),
        env=pairs,
        shell=a.shell,
        orphans_survive=not a.hang_up_orphans,
        product=a.product,
        model=a.model,
        until_stdin_closes=a.until_stdin_closes,
        **({"serial": a.serial} if a.serial else {}),
    )
