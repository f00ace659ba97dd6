"""The house rules that no linter knows: size, docstrings, no junk drawers, ignores with reasons."""

import ast
import re
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_keeps_its_shape(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert path.stem not in JUNK_DRAWERS
    assert ast.get_docstring(tree), "a module starts by saying what it is for"
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    assert [node.name for node in functions if (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES_MAX] == []


@pytest.mark.parametrize("path", ALL_PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_ignore_names_its_rule_and_its_reason(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        match = IGNORE.search(line)
        if match and path != Path(__file__):
            assert match["rule"], f"{path}:{number} ignores without naming a rule"
            assert len(match["rest"].strip(" #-:")) > 5 or "#" in line[: match.start()], (
                f"{path}:{number} ignores without a reason"
            )
