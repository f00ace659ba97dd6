"""What is asked of many values is found by index, on either database."""

from typing import Any

import pytest
from sqlalchemy import Executable, text

from health_exchange.store import resources, subjects
from health_exchange.store.engine import Store, Transaction


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        (resources.BY_RIDS, {"rids": [1, 2]}),
        (resources.NAMED, {"types": ["Observation", "Patient"], "ids": ["a", "b"]}),
        (resources._HEADS, {"type": "Observation", "ids": ["a", "b"]}),
        (subjects._BY_SIDS, {"sids": [1, 2]}),
    ],
    ids=["rows", "names", "heads", "subjects"],
)
def test_rows_among_many_values_are_found_without_reading_the_table(
    store: Store, database: str, statement: Executable, values: dict[str, Any]
) -> None:
    is_on_server = database.startswith("postgresql")

    def plan(tx: Transaction) -> str:
        if is_on_server:
            # Empty tables are read whole by choice; here it shall say whether it has to.
            tx.execute(text("SET LOCAL enable_seqscan = off"))
        explain = "EXPLAIN " if is_on_server else "EXPLAIN QUERY PLAN "
        made = statement.compile(dialect=tx.connection.dialect)  # type: ignore[attr-defined]  # a compiled element
        prepared = made.construct_params(values)
        bound = [
            processor(prepared[name]) if (processor := made._bind_processors.get(name)) else prepared[name]
            for name in made.positiontup
        ]
        return "\n".join(str(row[-1]) for row in tx.connection.exec_driver_sql(explain + str(made), tuple(bound)))

    said = store.read_now(plan)

    # The server chooses by statistics, and an empty table has none.
    assert "ids" not in values or is_on_server or "ix_resources_type_id" in said
    assert "SCAN resources" not in said
    assert "SCAN subjects" not in said
    assert "Seq Scan on resources" not in said
    assert "Seq Scan on subjects" not in said
