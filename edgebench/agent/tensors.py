"""Raw little-endian files to numpy arrays and back."""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List

from .wire import AgentError, Json, unwritten


def read_batch(files: List[Json]) -> Dict[str, Any]:
    """One full set of inputs by name. Raises AgentError ``bad_input`` for a file that does not hold its shape."""
    return {file["name"]: _read(file) for file in files}


def write(array: Any, path: str) -> Json:
    """Writes ``array`` little-endian and contiguous; returns its shape and element type. AgentError where it does not fit."""
    import numpy as np

    array = np.ascontiguousarray(array)
    data = (array if sys.byteorder == "little" else array.byteswap()).tobytes()
    try:
        # Not by tofile(): numpy does not say when the last part of a file found no room.
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        raise unwritten("run_failed", path, error) from error
    return {"shape": list(array.shape), "dtype": str(array.dtype)}


def _read(file: Json) -> Any:
    import numpy as np

    try:
        dtype = np.dtype(file["dtype"]).newbyteorder("<")
        expected = int(np.prod(file["shape"], dtype=np.int64)) * dtype.itemsize
        if os.path.getsize(file["path"]) != expected:
            text = "{}: {} bytes where shape {} of {} takes {}"
            size = os.path.getsize(file["path"])
            raise AgentError("bad_input", text.format(file["path"], size, file["shape"], file["dtype"], expected))
        array = np.fromfile(file["path"], dtype=dtype).reshape(file["shape"])
    except (OSError, TypeError) as error:
        raise AgentError("bad_input", "input {}: {}".format(file["name"], error)) from error
    # A copy of its own in the machine's byte order: what a runtime wants to read without converting.
    return np.ascontiguousarray(array, dtype=np.dtype(file["dtype"]))
