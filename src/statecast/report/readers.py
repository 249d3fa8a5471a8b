"""The parts of a network that reads sequences, or rows of a table, as a report lists them."""

from __future__ import annotations

from dataclasses import replace

from statecast.model.sequences.answers import Answers
from statecast.model.sequences.readings import ConvolutionReading, NetworkReading
from statecast.report.collect import weights_of
from statecast.report.summary import Layer


def layers(model: Answers, columns: int) -> tuple[Layer, ...]:
    """The parts of each reading, with their numbers of weights; of an ensemble, those of one network."""
    parts = []
    for (name, reading), share in zip(model.readings.items(), model.shares, strict=True):
        part = (
            _convolutions(reading, columns) if isinstance(reading, ConvolutionReading) else _network(reading, columns)
        )
        mark = f", counts {share:.0%}" if len(model.readings) > 1 else ""
        parts += [replace(layer, name=f"{name}: {layer.name}{mark}") if mark else layer for layer in part]
    return tuple(parts)


def _network(reading: NetworkReading, columns: int) -> list[Layer]:
    reader, weights, members = reading.reader, reading.weights, reading.members
    parts = [Layer("input", f"{columns} columns or channels", str(reader.inputs), 0)]
    both = ("forwards", "backwards") if reader.bidirectional else ("forwards",)
    for n, units in enumerate(reader.recurrent.hidden):
        count = sum(weights_of(weights[way]["cells"][str(n)]) for way in both)
        kind = f"{reader.recurrent.cell}, both ways" if reader.bidirectional else reader.recurrent.cell
        parts.append(Layer(f"recurrent {n + 1}", kind, str(units * len(both)), count // members))
    for n, units in enumerate(reader.dense.dense):
        count = weights_of(weights["dense"]["dense"][str(n)])
        parts.append(Layer(f"dense {n + 1}", reader.dense.activation, str(units), count // members))
    return [*parts, Layer("head", "softmax", str(reader.answers), weights_of(weights["out"]) // members)]


def _convolutions(reading: ConvolutionReading, columns: int) -> list[Layer]:
    layer = reading.convolutions
    return [
        Layer("input", f"{columns} columns or channels", str(layer.channels.shape[1]), 0),
        Layer("convolutions", "weights fixed, thresholds drawn", str(layer.features), layer.threshold.size),
        Layer("head", "least squares", str(len(reading.weights["b"])), weights_of(reading.weights)),
    ]
