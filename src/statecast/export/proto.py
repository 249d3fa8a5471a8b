"""A traced graph as an ONNX model, and how it is checked before anyone gets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from statecast.errors import MissingDependency
from statecast.export.elementwise import ONNX_TYPES
from statecast.export.graph import ROWS, Shape
from statecast.export.ports import Port
from statecast.export.tracing import Traced
from statecast.model.container import version

OPSET, IR = 21, 10  # newer stamps are refused by runtimes that are in use
BATCH = "batch"


def package() -> Any:
    """The package that writes ONNX files.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingDependency.of("onnx", "onnx", "exporting a model") from error
    return onnx


def model_of(traced: Traced, metadata: Mapping[str, Any]) -> Any:
    """The ONNX model (ModelProto) of a graph, checked in full.

    Args:
        traced: the graph.
        metadata: what goes with it, as JSON, each under its name.
    """
    onnx = package()
    helper = onnx.helper
    operations, constants = traced.graph.needed(inner for _, inner in traced.outputs)
    nodes = [
        helper.make_node(item.operator, item.inputs, [item.output], **dict(item.attributes)) for item in operations
    ]
    # An output may be an input, a constant or another output as well, so each gets its name from a node of its own.
    nodes += [helper.make_node("Identity", [inner], [port.name]) for port, inner in traced.outputs]
    graph = helper.make_graph(
        nodes,
        f"statecast-{traced.name}",
        [_value(helper, port) for port in traced.inputs],
        [_value(helper, port) for port, _ in traced.outputs],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model_gen_version(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR,
        producer_name="statecast",
        producer_version=version(),
    )
    helper.set_model_props(model, {name: json.dumps(value, ensure_ascii=False) for name, value in metadata.items()})
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(helper: Any, port: Port) -> Any:
    return helper.make_tensor_value_info(port.name, ONNX_TYPES[port.dtype.name], _sizes(port.shape), port.meaning)


def _sizes(shape: Shape) -> list[str | int]:
    return [BATCH if size == ROWS else size for size in shape]
