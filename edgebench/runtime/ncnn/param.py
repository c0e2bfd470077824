"""ncnn's .param: the graph as text, one layer a line."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from edgebench.errors import ConversionFailed

_MAGIC = "7767517"


class ParamLayer(NamedTuple):
    """One layer: its type and name, the blobs that it reads and makes, and the rest of its line."""

    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: str

    def number(self, key: str) -> float | None:
        """The parameter ``key`` (ncnn numbers them), None where the line does not give it as one number."""
        for part in self.parameters.split():
            found, _, text = part.partition("=")
            if found == key:
                try:
                    return float(text)
                except ValueError:
                    return None
        return None


def read_param(path: Path) -> list[ParamLayer]:
    """The layers of a .param file in its order. Raises ConversionFailed where it is none."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if len(lines) < 3 or lines[0].strip() != _MAGIC:
        raise ConversionFailed(f"{path.name} is not an ncnn .param file", hint="give a text .param, not a .param.bin")
    layers = []
    for line in lines[2:]:
        words = line.split()
        if not words:
            continue
        try:
            ins, outs = int(words[2]), int(words[3])
            kind, name, blobs = words[0], words[1], words[4 : 4 + ins + outs]
        except (IndexError, ValueError) as error:
            raise ConversionFailed(f"{path.name}: cannot read {line[:80]!r}", hint="the file is damaged") from error
        layers.append(ParamLayer(kind, name, blobs[:ins], blobs[ins:], " ".join(words[4 + ins + outs :])))
    return layers
