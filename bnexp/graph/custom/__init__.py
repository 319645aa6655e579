"""Layers that were not written for bnexp: how they are made and called, what they keep, and who runs their updates.

`arguments` reads what a parameter is from its name, `ways` lists the ways to make and call a layer, `trial` tries them
in a graph that is thrown away, `statistics` finds the moving statistics by their use, `train_op` runs the updates, and
`layer` is the result: a `BatchNorm` as the graph needs it.
"""
