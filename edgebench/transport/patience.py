"""A device that is lost may come back: wait a while, tell the person, and ask again what may be asked twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from edgebench.errors import CommandTimedOut, DeviceLost
from edgebench.events import Emit, Note, Waiting
from edgebench.transport.remote import Ran

# A cable is pushed back or a phone restarted within this, or the run ends.
RETURN_S = 60.0
_STEP_S = 5.0
# A device that is lost this often while one question is asked will not answer it.
_ATTEMPTS = 3

T = TypeVar("T")


class Asked(Protocol):
    """What patience needs of Remote."""

    def run_script(self, script: str, /, *, timeout_s: float = ...) -> Ran:
        """See Remote.run_script."""

    def run(self, argv: Sequence[str], *, timeout_s: float = ...) -> Ran:
        """See Remote.run."""

    def wait(self, timeout_s: float) -> bool:
        """See Remote.wait."""


class Patience:
    """Waits for one device to come back. ``on_return`` is called each time it did."""

    def __init__(self, remote: Asked, emit: Emit, *, on_return: Callable[[], None] = lambda: None) -> None:
        self._remote = remote
        self._emit = emit
        self._on_return = on_return

    def await_return(self, lost: DeviceLost) -> None:
        """Returns once it answers again. Raises DeviceLost, with how to go on, where it does not within RETURN_S."""
        waited_s = 0.0
        self._emit(Note(f"the device is gone: {lost.message}"))
        while waited_s < RETURN_S:
            self._emit(Waiting("the device is gone: plug it in again, or see to its network", waited_s, RETURN_S))
            if self._remote.wait(_STEP_S):
                self._emit(Note("the device is back"))
                self._on_return()
                return
            waited_s += _STEP_S
        raise DeviceLost(
            f"the device did not come back within {RETURN_S:.0f} s: {lost.message}",
            hint="every finished launch is saved; plug it in and go on with --resume last",
        ) from lost

    def ask(self, question: Callable[[], T]) -> T:
        """What ``question`` answers, asked again after each loss: it must do no harm when it is done twice.

        A command of which nothing was heard until its bound counts as a loss.
        """
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return question()
            except (DeviceLost, CommandTimedOut) as error:
                lost = _lost(error)
                if lost is None or attempt == _ATTEMPTS:
                    raise lost or error from error
                self.await_return(lost)
        raise AssertionError("the loop returns or raises")


class PatientShell:
    """A device's shell for questions alone: reading a sensor, a property or a setting."""

    def __init__(self, remote: Asked, patience: Patience) -> None:
        self._remote = remote
        self._patience = patience

    def run_script(self, script: str, /, *, timeout_s: float = 15.0) -> Ran:
        """See Remote.run_script; asked again when the device was lost."""
        return self._patience.ask(lambda: self._remote.run_script(script, timeout_s=timeout_s))

    def run(self, argv: Sequence[str], *, timeout_s: float = 15.0) -> Ran:
        """See Remote.run; asked again when the device was lost."""
        return self._patience.ask(lambda: self._remote.run(argv, timeout_s=timeout_s))


def _lost(error: DeviceLost | CommandTimedOut) -> DeviceLost | None:
    """A way that is stuck says nothing at all, and must not read as a phone that has no sensors. None where it is not lost."""
    if isinstance(error, DeviceLost):
        return error
    return None if error.output.strip() else DeviceLost("it says nothing, and takes no command", hint=error.hint)
