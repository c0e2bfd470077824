"""From a build string to a PyTorch module in its training form, the same weights every time."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgebench import zoo
from edgebench.errors import ModelError, NotInstalled, UnknownName, UsageError
from edgebench.files import sha256_bytes
from edgebench.records import TensorSpec

if TYPE_CHECKING:
    from torch import nn

SEED = 0
_INSTALL = "run: pip install 'edgebench[export]'"
_IMAGE = (3, 224, 224)


@dataclass(frozen=True)
class BuiltModel:
    """A network as its authors train it: float32, unfused, weights as constructed from a fixed seed, on the CPU.

    ``inputs`` have batch 1. ``source_version`` is that of ``source_version()``, such as
    ``timm 1.0.31``, or ``unversioned`` for a factory of the user's own.
    """

    module: nn.Module
    inputs: tuple[TensorSpec, ...]
    source_version: str


def build(
    source: str,
    input_size: tuple[int, ...] | None = None,
    inputs: tuple[TensorSpec, ...] | None = None,
) -> BuiltModel:
    """Builds ``timm:NAME``, ``torchvision:NAME`` or ``package.module:factory`` (called without arguments).

    ``inputs`` are the catalogue's; without them the model's own default decides: timm's configuration, 3x224x224 for
    torchvision and for factories. ``input_size`` overrides the image: (side,), (height, width) or (channels, height, width).
    The same source gives the same weights each time; the caller's random state is left as it was.

    Raises NotInstalled without PyTorch or the package, UnknownName for a model that the package lacks, ModelError for a factory
    that cannot be imported, fails, or returns something else, UsageError for a size that does not fit the inputs.
    """
    require_torch()
    package, _, name = source.partition(":")
    image: tuple[int, ...] = _IMAGE
    if package == "timm":
        module, image = _from_timm(name)
    elif package == "torchvision":
        module = _from_torchvision(name)
    else:
        module = _from_factory(source)
    specs = inputs or (TensorSpec(name="image", shape=(1, *image)),)
    version = source_version(source) or "unversioned"
    return BuiltModel(module=module.float(), inputs=resize(specs, input_size), source_version=version)


def require_torch() -> None:
    """Raises NotInstalled, with the command that installs it, unless PyTorch imports."""
    try:
        importlib.import_module("torch")
    except ImportError as error:
        raise NotInstalled("PyTorch is not installed; it builds and exports the models", hint=_INSTALL) from error


def resize(inputs: tuple[TensorSpec, ...], size: tuple[int, ...] | None) -> tuple[TensorSpec, ...]:
    """``inputs`` with the one image at another size: (side,), (height, width) or (channels, height, width).

    Raises UsageError where there is not exactly one image input, or the size is not one of these.
    """
    if size is None:
        return inputs
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UsageError("this model has no single image input to resize", hint="leave out --input-size")
    if not 1 <= len(size) <= 3 or min(size) < 1:
        raise UsageError(f"{size} is no image size", hint="give SIDE, HEIGHTxWIDTH or CHANNELSxHEIGHTxWIDTH")
    batch, channels, _height, _width = inputs[0].shape
    shape = {1: (channels, *size, *size), 2: (channels, *size), 3: size}[len(size)]
    return (TensorSpec(name=inputs[0].name, shape=(batch, *shape), dtype=inputs[0].dtype),)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds PyTorch, Python and numpy inside the block and restores their states after it."""
    import random

    import numpy as np
    import torch

    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def source_version(source: str) -> str | None:
    """What decides the network behind ``source``: the package's version, or the content of our own zoo.

    None for a user's factory: no version tells whether its code changed. Imports neither PyTorch nor the package.
    Raises NotInstalled where the package is missing.
    """
    package, _, _name = source.partition(":")
    if package in ("timm", "torchvision"):
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            raise NotInstalled(f"{package} is not installed; it holds {source}", hint=_INSTALL) from None
    if package.startswith(f"{zoo.__name__}."):
        files = sorted(Path(zoo.__path__[0]).glob("*.py"))
        return f"edgebench zoo {sha256_bytes(b''.join(file.read_bytes() for file in files))[:16]}"
    return None


def _from_timm(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    timm = _package("timm")
    # Fused attention hides its matrix products from counters and converters.
    timm.layers.set_fused_attn(False)
    if not timm.is_model(name):
        raise UnknownName("timm model", name, timm.list_models(), hint="timm.list_models() lists them")
    module = _construct(lambda: timm.create_model(name, pretrained=False), f"timm:{name}")
    config = getattr(module, "pretrained_cfg", None) or {}
    return module, tuple(config.get("input_size", _IMAGE))


def _from_torchvision(name: str) -> nn.Module:
    """Classification networks only: the others return dictionaries and lists, which no runtime here loads."""
    models = _package("torchvision").models
    known = models.list_models(module=models)
    if name not in known:
        hint = "torchvision.models.list_models(module=torchvision.models) lists them"
        raise UnknownName("torchvision classification model", name, known, hint=hint)
    # The auxiliary heads serve training alone, and these two warn unless told whether to initialise.
    extra = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    return _construct(lambda: models.get_model(name, weights=None, **extra), f"torchvision:{name}")


def _from_factory(source: str) -> nn.Module:
    module_name, _, attribute = source.partition(":")
    with _working_directory_importable():
        try:
            module = importlib.import_module(module_name)
        except Exception as error:
            hint = "module paths start at the current folder or at an installed package"
            raise ModelError(f"cannot import {module_name}: {_said(error)}", hint=hint) from error
        factory = getattr(module, attribute, None)
        if not callable(factory):
            hint = f"define {attribute} in {module_name}: a function without arguments that returns a torch.nn.Module"
            raise ModelError(f"{module_name} has no function {attribute}", hint=hint)
        return _construct(factory, source)


def _construct(factory: Callable[[], Any], source: str) -> nn.Module:
    """Calls the factory under the fixed seed. Raises ModelError where it fails or returns no Module."""
    from torch import nn

    try:
        with seeded(SEED):
            made = factory()
    except Exception as error:
        hint = "call it in Python to see the whole traceback, or use --debug"
        raise ModelError(f"{source} failed to build: {_said(error)}", hint=hint) from error
    if not isinstance(made, nn.Module):
        problem = f"{source} returned {type(made).__name__}, not a torch.nn.Module"
        raise ModelError(problem, hint="the factory is called without arguments and returns the network")
    return made


@contextmanager
def _working_directory_importable() -> Iterator[None]:
    """People name factories in the folder that they are in; an installed command does not search there by itself."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotInstalled(f"{name} does not import: {error}", hint=_INSTALL) from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
