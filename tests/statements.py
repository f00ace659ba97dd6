"""Statements compiled once for all databases of a test process, which opens thousands of them.

A node has one database for its life and compiles each of its statements once; a network of a story lives for half a
second, a third of which went into compiling what the network before it had compiled already.
"""

from sqlalchemy import Dialect, Engine
from sqlalchemy.util import LRUCache

_COMPILED: LRUCache[object, object] = LRUCache(4000)
_DIALECTS: dict[str, Dialect] = {}


def compile_once(engine: Engine) -> None:
    """Let ``engine``, connected already, share what it compiles with all that speak its dialect here."""
    engine.dialect = _DIALECTS.setdefault(engine.dialect.name, engine.dialect)
    engine.update_execution_options(compiled_cache=_COMPILED)
