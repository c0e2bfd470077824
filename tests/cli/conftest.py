"""The command line as a person uses it, in this process or in one of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import click
import pytest

from edgebench.cli import app


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    status: int
    out: str
    err: str


@pytest.fixture
def edgebench(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command line in this process."""

    def call(*arguments: str) -> Outcome:
        capfd.readouterr()
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            status = app.main(list(arguments))
        finally:
            # An interrupted command line goes deaf to a second Ctrl-C, these tests must not.
            for number, handler in handlers.items():
                signal.signal(number, handler)
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def fake_verb(monkeypatch: pytest.MonkeyPatch) -> Callable[[click.Command], None]:
    """Adds a command to the table of verbs, under the name ``fake``."""

    def add(command: click.Command) -> None:
        module = ModuleType("tests.cli.fake_verb")
        module.command = command
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(app.VERBS, "fake", app.Verb(module.__name__, "Do what a test wants."))

    return add


@pytest.fixture
def process() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``python ARGUMENTS`` to its end, bounded."""

    def run(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=False, **options
        )

    return run
