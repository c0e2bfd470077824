"""NVIDIA's CUDA runtime by ctypes: memory, a stream and events, which TensorRT's Python package leaves to others.

What is allocated here lives as long as this process, which is one launch.
"""

from __future__ import annotations

import ctypes
import glob
import os
import sys
from typing import Any, List

from .wire import AgentError

_NAMES = ("libcudart.so", "libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0", "libcudart.so.10.2")
# Where pip's packages put it: nvidia/cuda_runtime/lib, nvidia/cu13/lib.
_IN_SITE_PACKAGES = os.path.join("nvidia", "*", "lib", "libcudart.so*")
# driver_types.h
_TO_DEVICE, _TO_HOST = 1, 2
_BLOCKING_SYNC, _BLOCKING_EVENT = 4, 1
_INSUFFICIENT_DRIVER = 35


class Cuda:
    """The first GPU. Every call is checked: AgentError ``cuda_failed`` with CUDA's own words."""

    def __init__(self) -> None:
        self._library = _load()
        self._library.cudaGetErrorString.restype = ctypes.c_char_p
        # As trtexec waits unless told to spin: a core that spins heats the board.
        self._call("cudaSetDeviceFlags", ctypes.c_uint(_BLOCKING_SYNC))
        stream = ctypes.c_void_p()
        self._call("cudaStreamCreate", ctypes.byref(stream))
        self.stream = stream.value or 0

    def device_memory(self, size_bytes: int) -> int:
        """The address of memory on the GPU."""
        address = ctypes.c_void_p()
        self._call("cudaMalloc", ctypes.byref(address), ctypes.c_size_t(size_bytes))
        return address.value or 0

    def pinned(self, shape: List[int], dtype: Any) -> Any:
        """A numpy array in memory that copies to and from the GPU need not wait for."""
        import numpy as np

        size_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        address = ctypes.c_void_p()
        self._call("cudaHostAlloc", ctypes.byref(address), ctypes.c_size_t(size_bytes), ctypes.c_uint(0))
        buffer = (ctypes.c_char * size_bytes).from_address(address.value or 0)
        return np.frombuffer(buffer, dtype=dtype).reshape(shape)

    def to_device(self, address: int, array: Any) -> None:
        """Starts a copy of a pinned array."""
        self._copy(address, array.ctypes.data, array.nbytes, _TO_DEVICE)

    def to_host(self, array: Any, address: int) -> None:
        """Starts a copy into a pinned array."""
        self._copy(array.ctypes.data, address, array.nbytes, _TO_HOST)

    def event(self) -> ctypes.c_void_p:
        """A point in the stream that can be timed."""
        event = ctypes.c_void_p()
        self._call("cudaEventCreateWithFlags", ctypes.byref(event), ctypes.c_uint(_BLOCKING_EVENT))
        return event

    def record(self, event: ctypes.c_void_p) -> None:
        """Sets ``event`` behind all that was started."""
        self._call("cudaEventRecord", event, ctypes.c_void_p(self.stream))

    def wait(self, event: ctypes.c_void_p) -> None:
        """Until all that was started before ``event`` was recorded is done."""
        self._call("cudaEventSynchronize", event)

    def elapsed_ns(self, before: ctypes.c_void_p, after: ctypes.c_void_p) -> int:
        """By the GPU's clock, which counts half microseconds."""
        milliseconds = ctypes.c_float()
        self._call("cudaEventElapsedTime", ctypes.byref(milliseconds), before, after)
        return round(milliseconds.value * 1e6)

    def _copy(self, to: int, source: int, size_bytes: int, kind: int) -> None:
        words = (ctypes.c_void_p(to), ctypes.c_void_p(source), ctypes.c_size_t(size_bytes), ctypes.c_int(kind))
        self._call("cudaMemcpyAsync", *words, ctypes.c_void_p(self.stream))

    def _call(self, name: str, *arguments: Any) -> None:
        status = getattr(self._library, name)(*arguments)
        if status != 0:
            said = (self._library.cudaGetErrorString(status) or b"").decode("utf-8", "replace")
            raise AgentError("cuda_failed", "{} failed with {}: {}".format(name, status, said or "no reason told"))


def _load() -> Any:
    places = [name for folder in sys.path for name in sorted(glob.glob(os.path.join(folder, _IN_SITE_PACKAGES)))]
    newest: Any = None
    for name in (*_NAMES, *places):
        try:
            library: Any = ctypes.CDLL(name)
        except OSError:
            continue
        # A runtime that is newer than the driver does nothing, and an older one may lie beside it.
        if library.cudaSetDeviceFlags(ctypes.c_uint(_BLOCKING_SYNC)) != _INSUFFICIENT_DRIVER:
            return library
        newest = newest or library
    if newest is None:
        text = "there is no CUDA runtime ({}): install NVIDIA's toolkit there, or nvidia-cuda-runtime-cu12 by pip"
        raise AgentError("cuda_failed", text.format(", ".join(_NAMES)))
    return newest
