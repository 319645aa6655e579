"""Layers that were not written for bnexp: how they are made and called, what they keep, and who runs their updates.

`roles` reads from a parameter's name what it is for, and `arguments` fills it in. `ways` lists each `way` to make and
call a layer, `made` is one that was made so, and `trial` tries them in a graph that is thrown away. `statistics` finds
the moving statistics by their use, and `train_op` runs the updates. `layer` is the result: a `BatchNorm` as the graph
needs it.
"""
