"""A person's own ncnn network: a .param with its .bin."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from edgebench.errors import ConversionFailed, DynamicShape, ModelError, UnsupportedOperator
from edgebench.export.imported import Imported
from edgebench.export.ncnn import FILES
from edgebench.export.ncnn_probe import extract, probe
from edgebench.export.reference import make_inputs
from edgebench.files import full_disk_is_said
from edgebench.records import TensorSpec
from edgebench.runtime.ncnn.param import read_param

# How ncnn tags a weight that is stored in half precision (modelbin.cpp); converters store all weights alike.
_HALF_TAG = (0x01306B47).to_bytes(4, "little")
_NUMBERED = re.compile(r"(in|out)\d+")
_STEM = "inout"
# Keys of ncnn's Input layer.
_WIDTH, _HEIGHT, _CHANNELS = "0", "1", "2"


def import_ncnn(param: Path, input_size: tuple[int, ...] | None, folder: Path) -> Imported:
    """Copies ``param`` and the .bin beside it into ``folder``; the network is loaded and run once, for its output shapes.

    A .param rarely holds its input shapes: without them ``input_size`` is channels, height, width of every input. Shapes
    get a batch dimension of 1 in front. Raises ModelError for files that ncnn refuses, UnsupportedOperator where it has no
    such layer, DynamicShape without a size, NoSpace.
    """
    weights = param.with_suffix(".bin")
    try:
        layers = read_param(param)
    except ConversionFailed as error:
        raise ModelError(error.message, hint=error.hint) from error
    found = probe(param, weights)
    if found.param_code != 0:
        kinds = sorted({kind for kind, *_rest in layers if f"layer {kind} not exists" in found.said})
        if kinds:
            raise UnsupportedOperator(
                f"ncnn has no layer {', '.join(kinds)}, which {param} uses", hint="convert the model without it"
            )
    if not found.loads:
        raise ModelError(
            f"ncnn does not load {param} with {weights.name} (codes {found.param_code}, {found.model_code}): {found.said}",
            hint="the two files must be of one conversion and whole",
        )
    stated = {outs[0]: values for kind, _name, _ins, outs, values in layers if kind == "Input"}
    inputs = tuple(
        TensorSpec(name=name, shape=_input_shape(name, stated[name], input_size, param)) for name in _in_order(stated)
    )
    if not inputs:
        raise ModelError(f"{param} has no inputs", hint="give a network that takes its input from outside")
    given = {spec.name: array[0] for spec, array in zip(inputs, make_inputs(inputs, 1)[0], strict=True)}
    values = extract(param, weights, given, found.outputs)
    if set(values) != set(found.outputs):
        shape = ", ".join("x".join(map(str, spec.shape[1:])) for spec in inputs)
        raise ModelError(f"{param} does not run on an input of {shape}", hint="try another --input-size")
    outputs = tuple(TensorSpec(name=name, shape=(1, *values[name].shape)) for name in _in_order(found.outputs))
    with full_disk_is_said(folder):
        shutil.copyfile(param, folder / FILES["param"])
        shutil.copyfile(weights, folder / FILES["bin"])
    with weights.open("rb") as file:
        half = file.read(len(_HALF_TAG)) == _HALF_TAG
    return Imported(
        inputs=inputs,
        outputs=outputs,
        roles={role: FILES[role] for role in ("param", "bin")},
        precision="fp16" if half else "fp32",
        # Nearly: tags stand between them, and tables in what is quantised.
        params=weights.stat().st_size // (2 if half else 4),
    )


def _in_order(names: Iterable[str]) -> list[str]:
    """pnnx's in0, in1, … out10 by their numbers, which is how the agent takes them; other names as they come."""
    listed = list(names)
    return sorted(listed, key=lambda name: int(name.strip(_STEM))) if all(map(_NUMBERED.fullmatch, listed)) else listed


def _input_shape(name: str, text: str, size: tuple[int, ...] | None, path: Path) -> tuple[int, ...]:
    stated = dict(part.split("=", 1) for part in text.split() if "=" in part)
    texts = [stated.get(key, "0") for key in (_CHANNELS, _HEIGHT, _WIDTH)]
    known = [int(text) for text in texts if text.isdigit()]
    fixed = tuple(length for length in known if length > 0)
    if size is not None and fixed and size != fixed:
        raise ModelError(
            f"{path} fixes its input {name} to {fixed}; {size} was asked for", hint="leave --input-size out"
        )
    if fixed or (size is not None and len(size) == 3):
        return (1, *(fixed or size or ()))
    raise DynamicShape(
        f"{path} does not say how large its input {name} is",
        hint="give channels, height and width: --input-size 3x224x224",
    )
