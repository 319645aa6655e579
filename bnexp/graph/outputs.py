"""The names of a graph's outputs: a string for an output of the network, an `Of` for an output of a layer."""

from typing import NamedTuple


class Of(NamedTuple):
    """The name of an output that belongs to a layer; `bnexp.graph.Graph` explains the outputs.

    Attributes:
        layer: the layer's name in the network, `"bn1"`.
        output: `"moving_mean"`, `"moving_variance"`, `"batch_mean"`, `"batch_variance"`, `"mean"`, `"variance"` or
            `"unit"`.
    """

    layer: str
    output: str


# outputs of the whole network: `"loss"`, `"accuracy"`, `"outputs"`
OutputName = str | Of
