"""A calibration set: inputs just as the network gets them, from which the ranges of an int8 artifact are chosen."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgebench.errors import ModelError
from edgebench.export.reference import BATCHES, Array
from edgebench.files import sha256_bytes, sha256_file
from edgebench.records import TensorSpec

_SUFFIXES = (".npy", ".npz")
_HINT = (
    "save each input as the network gets it, resized and normalised: numpy.save('calibration/1.npy', x) with x of one sample "
    "(channels x height x width) or several; for several inputs numpy.savez, an array for each by its name"
)


@dataclass(frozen=True)
class CalibrationSet:
    """The files of one folder, or one file, in the order of their names; ``sha256`` is of all their bytes."""

    path: Path
    files: tuple[Path, ...]
    sha256: str

    def batches(self, inputs: Sequence[TensorSpec]) -> Iterator[list[Array]]:
        """Batches for ``inputs``, an array for each; the last is filled up with its own samples.

        Files are read when their turn comes: a set may be larger than memory. Raises ModelError for a file that does not fit.
        """
        size = inputs[0].shape[0]
        waiting: list[list[Array]] = []
        for sample in self._samples(inputs):
            waiting.append(sample)
            if len(waiting) == size:
                yield _stacked(waiting, inputs)
                waiting = []
        if waiting:
            yield _stacked([waiting[index % len(waiting)] for index in range(size)], inputs)

    def examples(self, inputs: Sequence[TensorSpec]) -> list[list[Array]]:
        """At most ``BATCHES`` of its batches, from all over the set."""
        count = sum(1 for _ in self.batches(inputs))
        chosen = {round(step * (count - 1) / (BATCHES - 1)) for step in range(BATCHES)}
        return [arrays for index, arrays in enumerate(self.batches(inputs)) if index in chosen]

    def count(self, inputs: Sequence[TensorSpec]) -> int:
        """How many samples there are."""
        return sum(1 for _ in self._samples(inputs))

    def require_unchanged(self) -> None:
        """Raises ModelError where a file is no longer what was hashed when the set was opened."""
        if _hash_of(self.files) != self.sha256:
            raise ModelError(f"{self.path} was changed while it was read", hint="run again")

    def _samples(self, inputs: Sequence[TensorSpec]) -> Iterator[list[Array]]:
        for path in self.files:
            arrays = _read(path, inputs)
            by_sample = [_samples_of(array, spec, path) for array, spec in zip(arrays, inputs, strict=True)]
            counts = {len(samples) for samples in by_sample}
            if len(counts) > 1:
                raise ModelError(f"{path} holds unlike numbers of samples for its inputs: {sorted(counts)}", hint=_HINT)
            for number in range(counts.pop()):
                yield [_checked(samples[number], spec, path) for samples, spec in zip(by_sample, inputs, strict=True)]


def open_calibration(path: Path) -> CalibrationSet:
    """The .npy and .npz files at ``path``, hashed and not yet read. Raises ModelError where there are none."""
    files = (
        (path,)
        if path.is_file()
        else tuple(sorted(file for file in path.glob("*") if file.suffix in _SUFFIXES and file.is_file()))
    )
    if not files or files[0].suffix not in _SUFFIXES:
        raise ModelError(f"{path} holds no calibration set: no .npy and no .npz file", hint=_HINT)
    return CalibrationSet(path, files, _hash_of(files))


def _hash_of(files: Sequence[Path]) -> str:
    try:
        return sha256_bytes("".join(sha256_file(file) for file in files).encode())
    except OSError as error:
        raise ModelError(f"{error.filename} cannot be read: {error.strerror}", hint="check its permissions") from error


def _read(path: Path, inputs: Sequence[TensorSpec]) -> list[Array]:
    import numpy as np

    try:
        if path.suffix == ".npy":
            by_name: dict[str, Array] = {inputs[0].name: np.lib.format.open_memmap(path, mode="r")}
        else:
            # Pickled objects stay out: they run code as they load.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                by_name = {name: found[name] for name in found.files}
    except (OSError, ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise ModelError(f"{path} cannot be read as numpy's: {error}", hint=_HINT) from error
    wanted = [spec.name for spec in inputs]
    if sorted(by_name) != sorted(wanted):
        raise ModelError(
            f"{path} holds {', '.join(by_name) or 'nothing'}; the inputs are {', '.join(wanted)}", hint=_HINT
        )
    return [by_name[name] for name in wanted]


def _samples_of(array: Array, spec: TensorSpec, path: Path) -> Array:
    """``array`` with a first dimension that counts samples."""
    shape = spec.shape[1:]
    if array.shape == shape:
        return array[None]
    if array.shape[1:] == shape and array.shape[0] > 0:
        return array
    raise ModelError(
        f"{path} holds the shape {list(array.shape)} for {spec.name}, of which one sample has {list(shape)}", hint=_HINT
    )


def _checked(sample: Array, spec: TensorSpec, path: Path) -> Array:
    import numpy as np

    wanted = np.dtype(spec.dtype)
    if sample.dtype.kind != wanted.kind:
        # Whole numbers for a network of real ones are most likely pixels that nobody normalised.
        raise ModelError(f"{path} holds {sample.dtype} for {spec.name}, which takes {spec.dtype}", hint=_HINT)
    values = np.asarray(sample, dtype=wanted)
    if not np.isfinite(values).all():
        raise ModelError(f"{path} holds NaN or infinity for {spec.name}", hint="leave that sample out")
    return values


def _stacked(samples: Sequence[Sequence[Array]], inputs: Sequence[TensorSpec]) -> list[Array]:
    import numpy as np

    return [np.stack([sample[index] for sample in samples]) for index in range(len(inputs))]
