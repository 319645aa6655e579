"""Of each make of training one variant: what depends on how a layer is made is tried with these, not with all."""

# that no variant is of another make is tests/conformance/test_variant.py's
MAKES = {
    "control_deps": "a tower for each mode, updates in place",
    "update_ops": "a fed flag, updates in a collection, and for images a kernel of TensorFlow's",
    "cond": "branches, with their gradients and their updates",
    "tflearn": "a flag in a variable",
    "contrib_twin": "two towers in one, which leaves open what is read first",
    "ema": "averages that wait for the step",
    "zero_debias": "averages that count",
    "fused": "Bessel's correction by the size of the batch",
    "ghost": "parts of a batch",
    "renorm": "corrections by what the averages were",
    "layer_norm": "no averages, each example by itself",
    "keras": "a function that is called",
}
