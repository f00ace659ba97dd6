"""The house rules that no linter knows: size, docstrings, no junk drawers, ignores with reasons."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "health_exchange"
MODULES = sorted(SOURCE.rglob("*.py"))
ALL_PYTHON = sorted(
    path for folder in ("src", "tests", "benchmarks", "migrations") for path in (ROOT / folder).rglob("*.py")
)
MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
JUNK_DRAWERS = {"utils", "helpers", "common", "misc", "base", "manager", "core", "lib"}
IGNORE = re.compile(r"#\s*(type:\s*ignore|noqa)(?P<rule>[:\[][\w,\- \]]*)?(?P<rest>.*)$")


def test_every_module_keeps_its_shape() -> None:
    wrong = [f"{path.relative_to(SOURCE)} {fault}" for path in MODULES for fault in _misshapen(path)]

    assert MODULES
    assert wrong == []


def test_every_ignore_names_its_rule_and_its_reason() -> None:
    wrong = [f"{path.relative_to(ROOT)}:{fault}" for path in ALL_PYTHON for fault in _ignores_without_words(path)]

    assert ALL_PYTHON
    assert wrong == []


def _misshapen(path: Path) -> Iterator[str]:
    """What is wrong with a module's name, docstring and size."""
    text = path.read_text()
    tree = ast.parse(text)
    if path.stem in JUNK_DRAWERS:
        yield "is a junk drawer by its name"
    if not ast.get_docstring(tree):
        yield "does not start by saying what it is for"
    if len(text.splitlines()) > MODULE_LINES_MAX:
        yield f"has more than {MODULE_LINES_MAX} lines"
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX:
            yield f"has a function of more than {FUNCTION_LINES_MAX} lines, {node.name}"


def _ignores_without_words(path: Path) -> Iterator[str]:
    """Lines that ignore a rule without naming it, or without a reason."""
    if path == Path(__file__):
        return
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = IGNORE.search(line)
        if match and not match["rule"]:
            yield f"{number} ignores without naming a rule"
        elif match and len(match["rest"].strip(" #-:")) <= 5 and "#" not in line[: match.start()]:
            yield f"{number} ignores without a reason"
