import json

from hypothesis import given
from hypothesis import strategies as st

from health_exchange.fhir.layout import indented

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_the_lines_are_those_of_any_pretty_printer(value: object) -> None:
    raw = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert indented(raw.encode()).decode() == json.dumps(value, ensure_ascii=False, indent=2)


def test_numbers_and_escapes_stay_as_they_were_written() -> None:
    raw = rb'{"a":1.50,"b":[-0.0,1e5],"c":"\u00e9\/:,{}"}'
    laid_out = indented(raw)
    assert laid_out == b'{\n  "a": 1.50,\n  "b": [\n    -0.0,\n    1e5\n  ],\n  "c": "\\u00e9\\/:,{}"\n}'
