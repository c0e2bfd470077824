"""Files whose time is known by how they were made: the same network again, and with a layer more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, helper, numpy_helper

from edgebench.catalog import resolve_model
from edgebench.export.pipeline import obtain
from edgebench.runtime.launcher import plan_artifact

# Where the layer goes: 256 channels of 7 x 7 (of 11 x 11 for images of 352 pixels a side). ONNX Runtime computes inner
# channels in blocks, and one block more is 0.15 % of mobileone_s0's work.
AFTER, CHANNELS, BLOCK = "relu_41", 256, 16


def exported(model: str, input_size: int | None = None) -> ModelProto:
    """A model of the catalog as edgebench times it on ONNX Runtime, for images of ``input_size`` pixels a side."""
    sides = None if input_size is None else (input_size, input_size)
    artifact, folder = obtain(resolve_model(model)[0], format="onnx", input_size=sides)
    return onnx.load(plan_artifact(artifact, folder).files["onnx"])


def renamed(model: ModelProto) -> ModelProto:
    """The same network in other bytes: every node is called something else."""
    other = ModelProto()
    other.CopyFrom(model)
    for node in other.graph.node:
        node.name = f"renamed/{node.name}"
    return other


def with_layer(model: ModelProto, inner: int) -> ModelProto:
    """A candidate that really does more: two 1 x 1 convolutions over ``inner`` channels, whose small sum is added to what
    there was. Raises ValueError where the network lacks the place."""
    other = renamed(model)
    graph = other.graph
    if all(AFTER not in node.output for node in graph.node):
        raise ValueError(f"no node of this network writes {AFTER}")
    order = np.random.default_rng(inner)
    weights = {
        "planted.squeeze": order.normal(0.0, CHANNELS**-0.5, (inner, CHANNELS, 1, 1)),
        "planted.expand": order.normal(0.0, 0.01 * inner**-0.5, (CHANNELS, inner, 1, 1)),
    }
    for node in graph.node:
        node.input[:] = ["planted.sum" if name == AFTER else name for name in node.input]
    graph.initializer.extend(numpy_helper.from_array(each.astype(np.float32), name) for name, each in weights.items())
    planted = (
        helper.make_node("Conv", [AFTER, "planted.squeeze"], ["planted.inner"], "planted/squeeze"),
        helper.make_node("Conv", ["planted.inner", "planted.expand"], ["planted.outer"], "planted/expand"),
        helper.make_node("Add", [AFTER, "planted.outer"], ["planted.sum"], "planted/add"),
    )
    place = 1 + next(index for index, node in enumerate(graph.node) if AFTER in node.output)
    for offset, node in enumerate(planted):
        graph.node.insert(place + offset, node)
    onnx.checker.check_model(other)
    return other


def save(model: ModelProto, path: Path) -> Path:
    """``path``, which holds the model then."""
    onnx.save(model, path)
    return path
