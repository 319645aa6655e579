"""Chooses the engine that a layer can run in: a custom layer may do what only a Session can."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from bnexp.engine import Build, Engine
from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.engines import ENGINES
from bnexp.engine.session import SessionEngine
from bnexp.engine.single_layer import lone_layer, run_calls
from bnexp.errors import first_line
from bnexp.graph.layer import is_variant

# outputs and statistics of the two engines may differ by this, relative to 1 and to their size
_TOLERANCE = 1e-3


def fitting_engine(
    name: str, variant: Callable[..., Any], build: Build, device: str, *, updates: str = "auto"
) -> tuple[Engine, str]:
    """Builds a graph in the engine that was asked for, or in the session if a custom layer does not run in that.

    Args:
        name: the engine that was asked for, `"compiled"` or `"session"`.
        variant: the variant's class, or a user's own class or function.
        build: builds the graph of the network with the variant.
        device: TensorFlow's name of the device, `"/CPU:0"`.
        updates: how the updates of a custom layer are run, see `layer_maker`.

    Returns:
        The engine, and a line for the user that says why it is another one; empty if it is the one that was asked for.

    Example:
        >>> engine, line = fitting_engine("compiled", update_ops.BatchNorm, graph_builder(settings, dataset), "/CPU:0")
        >>> line
        ''
    """
    if name == "session" or is_variant(variant):
        return ENGINES[name](build, device=device), ""
    try:
        engine = CompiledEngine(build, device=device)
        why = _difference(variant, next(iter(engine.graph.layer_ranks.values())), updates)
        if not why:
            return engine, ""
    except Exception as error:  # whatever it is: the session, in which it is tried next, tells if it is the user's
        cause = error.__cause__ or error
        why = f"{type(cause).__name__}: {first_line(cause).partition('. ')[0][:150]}"
    # names that Keras counts up must not depend on what was tried before
    tf.keras.backend.clear_session(free_memory=False)
    line = f"engine=session: your layer does not run in compiled loops ({why})"
    return SessionEngine(build, device=device), line


def _difference(variant: Callable[..., Any], rank: int, updates: str) -> str:
    """Runs a layer alone in both engines; returns in what they differ, empty if they agree."""
    rng = np.random.default_rng(2019)
    shape = (3,) if rank == 2 else (2, 2, 3)
    batches, single = (rng.normal(3.0, 2.0, [n, size, *shape]).astype(np.float32) for n, size in ((2, 128), (1, 1)))
    seen = []
    for name in ("compiled", "session"):
        engine = lone_layer(variant, shape, engine=name, decay=0.9, epsilon=1e-3, updates=updates)
        trained = run_calls(engine, engine.graph.train, batches)
        seen.append([trained, run_calls(engine, engine.graph.inference, single)])
    for compiled, session in zip(*seen, strict=True):
        for output, value in session.items():
            if not np.allclose(compiled[output], value, _TOLERANCE, _TOLERANCE, equal_nan=True):
                return f"its {output if isinstance(output, str) else output.output} differs there"
    return ""
