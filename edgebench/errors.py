"""Every error that edgebench raises on purpose: one tree, each with a code, an exit status and a mend.

Third-party errors are mapped to these at the boundary where they arise. The CLI prints ``message`` and
``hint``; nothing else of the project decides how an error looks or which status the process ends with.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_REGRESSION = 3
EXIT_INCONCLUSIVE = 4
EXIT_DEVICE = 5
EXIT_NO_VALID_MEASUREMENT = 6
EXIT_INTERRUPTED = 130


class EdgebenchError(Exception):
    """Base of all. ``code`` is stable and machine-readable, ``hint`` says how to mend it."""

    code = "error"
    exit_status = EXIT_ERROR

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(EdgebenchError):
    """Flags that do not go together, or a value outside its range."""

    code = "usage"
    exit_status = EXIT_USAGE


class UnknownName(EdgebenchError):
    """A model, target, runtime or run that does not exist; the nearest names are suggested."""

    code = "unknown_name"

    def __init__(self, kind: str, name: str, known: Sequence[str], *, hint: str = "") -> None:
        near = get_close_matches(name, list(known), n=3, cutoff=0.5)
        suggestion = f"did you mean {', '.join(near)}? " if near else ""
        super().__init__(f"there is no {kind} named {name!r}", hint=(suggestion + hint).strip())
        self.kind = kind
        self.name = name
        self.suggestions = tuple(near)


class InvalidFile(EdgebenchError):
    """A file from outside (YAML, plan, trace, result) that does not decode; ``where`` is the path to the key."""

    code = "invalid_file"

    def __init__(self, path: str, where: str, problem: str, *, hint: str) -> None:
        at = f" at {where}" if where else ""
        super().__init__(f"{path}{at}: {problem}", hint=hint)
        self.path = path
        self.where = where


class ModelError(EdgebenchError):
    """A model or model file that cannot be used as it is."""

    code = "model"


class DynamicShape(ModelError):
    """An input whose shape is not fixed, and no --input-size was given."""

    code = "dynamic_shape"


class CheckpointMismatch(ModelError):
    """A weights file that does not fit the model."""

    code = "checkpoint_mismatch"


class ConversionFailed(ModelError):
    """A converter failed, or silently dropped something."""

    code = "conversion_failed"


class UnsupportedOperator(ModelError):
    """The runtime has no kernel for an operator of the model."""

    code = "unsupported_operator"


class ParityFailed(ModelError):
    """A converted model does not compute what the PyTorch model computes; it is never timed."""

    code = "parity_failed"

    def __init__(self, message: str, *, hint: str, step: str, module: str | None) -> None:
        super().__init__(message, hint=hint)
        self.step = step
        self.module = module


class PrecisionRefused(EdgebenchError):
    """A precision that the runtime would not compute in on this device."""

    code = "precision_refused"


class NotInstalled(EdgebenchError):
    """A package that the request needs is missing; the hint is the command that installs it."""

    code = "not_installed"


class CacheError(EdgebenchError):
    """The artifact cache cannot be used."""

    code = "cache"


class CacheTampered(CacheError):
    """A cached file no longer has the hash it was stored with."""

    code = "cache_tampered"


class NoSpace(CacheError):
    """The disk is full."""

    code = "no_space"


class DeviceError(EdgebenchError):
    """Something about the device or the way to it."""

    code = "device"
    exit_status = EXIT_DEVICE


class DeviceNotFound(DeviceError):
    """No such device is there."""

    code = "device_not_found"


class DeviceLost(DeviceError):
    """The device was there and stopped answering."""

    code = "device_lost"


class DeviceUnauthorized(DeviceError):
    """The device does not trust this computer yet: somebody must look at its screen."""

    code = "device_unauthorized"


class DeviceBusy(DeviceError):
    """Another run holds the device."""

    code = "device_busy"


class DeviceRefused(DeviceError):
    """The device will not do it: a permission, a program of another architecture, a folder that forbids execution."""

    code = "device_refused"


class DeviceFull(DeviceError):
    """No space is left on the device."""

    code = "device_full"


class TransferFailed(DeviceError):
    """What arrived is not what was sent."""

    code = "transfer_failed"


class CommandTimedOut(DeviceError):
    """A command on the device ran past its bound and was ended there; ``output`` is what it wrote until then."""

    code = "command_timed_out"

    def __init__(self, message: str, *, hint: str, output: str) -> None:
        super().__init__(message, hint=hint)
        self.output = output


class LaunchFailed(EdgebenchError):
    """A launch that wrote no usable trace: the agent crashed, hung, or reported an error."""

    code = "launch_failed"


class NoValidMeasurement(EdgebenchError):
    """Every launch failed or was INVALID."""

    code = "no_valid_measurement"
    exit_status = EXIT_NO_VALID_MEASUREMENT


class Interrupted(EdgebenchError):
    """Ctrl-C. What was measured stays; the hint says how to go on."""

    code = "interrupted"
    exit_status = EXIT_INTERRUPTED
