"""The engines by the name that a config has for them."""

from collections.abc import Mapping

from bnexp.engine.compiled import CompiledEngine
from bnexp.engine.session import SessionEngine

ENGINES: Mapping[str, type[CompiledEngine | SessionEngine]] = {"compiled": CompiledEngine, "session": SessionEngine}
