"""What goes into PostgreSQL by COPY comes out as it would have been inserted, and many values are one parameter."""

import os
from functools import partial
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.dialects import sqlite
from tests.databases import PostgresqlServer
from tests.store.conftest import KEYS

from health_exchange.model.clock import SystemClock
from health_exchange.store.among import among, rows_among
from health_exchange.store.engine import Store
from health_exchange.store.postgresql import packed_array
from health_exchange.store.schema import locators, resources, sequences

LISTS = [[], [0], [1, -1], [2**63 - 1, -(2**63)], list(range(1000)), None]
NUMBERS = [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]
TEXTS = ["", "a", "a'b", 'a"b', "a,b", "{a}", "a\\b", "二", "a\nb"]


@pytest.mark.parametrize("numbers", LISTS, ids=["empty", "zero", "signs", "ends", "many", "null"])
def test_a_packed_list_is_the_array_that_the_server_reads(
    postgresql: PostgresqlServer, numbers: list[int] | None
) -> None:
    with psycopg.connect(postgresql.conninfo) as connection:
        connection.execute("CREATE TEMPORARY TABLE lists (numbers bigint[])")
        with connection.cursor().copy("COPY lists FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(["bytea"])
            copy.write_row([packed_array(numbers)])
        assert connection.execute("SELECT numbers FROM lists").fetchall() == [(numbers,)]


def test_numbers_of_all_sizes_are_found_among_many(store: Store) -> None:
    store.write_now(lambda tx: tx.insert_many(sequences, [(str(number), number) for number in NUMBERS]))
    wanted = select(sequences.c.last).where(among(sequences.c.last, "numbers"))
    for values in ([], NUMBERS[:1], NUMBERS, [*NUMBERS, *range(1, 5000)]):
        found = store.read_now(partial(rows_among, statement=wanted, parameter="numbers", values=values))
        assert sorted(row.last for row in found) == sorted(set(values).intersection(NUMBERS))


def test_texts_with_every_mark_are_found_among_many_and_no_others(store: Store) -> None:
    store.write_now(lambda tx: tx.insert_many(locators, [(text, "cn", "") for text in TEXTS]))
    wanted = select(locators.c.pseudonym).where(among(locators.c.pseudonym, "texts"))
    for values in (TEXTS, TEXTS[2:4], ["A", "a' b", "a\\\\b"]):
        found = store.read_now(partial(rows_among, statement=wanted, parameter="texts", values=values))
        assert sorted(row.pseudonym for row in found) == sorted(set(values).intersection(TEXTS))


def test_sqlite_finds_many_values_by_index_and_compares_them_with_no_row(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/node.db", KEYS, SystemClock(), os.urandom, inline=True)
    statement = select(resources.c.rid).where(among(resources.c.rid, "rids"), resources.c.deleted.is_(False))
    plain = str(statement.compile(dialect=sqlite.dialect()))
    plan = store.read_now(lambda tx: tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {plain}", ("[1,2]",)).all())
    store.close()
    steps = [row.detail for row in plan if "resources" in row.detail]
    assert steps
    assert all(step.startswith("SEARCH") for step in steps)
