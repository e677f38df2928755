"""Long and large: repeated kills under load, and a bound on the agent's memory."""

import os
import time

import pytest

from equality import assert_equal_both_ways
from load import Load
from shop import create_delivery
from waiting import until

LONG = os.environ.get("CONVEYOR_LONG") == "1"
SECONDS = 60 if LONG else 12
DOCUMENTS = 300_000
MEGABYTE = 1024 * 1024


@pytest.mark.endurance
def test_three_kills_under_a_hundred_mixed_transactions_a_second_leave_nothing_wrong(orders, database, start_agent):
    agent = start_agent(database)
    with Load(database, clients=6, rate=100) as load:
        begun = time.monotonic()
        for kill in range(1, 4):
            until(lambda: time.monotonic() - begun > kill * SECONDS / 4, "time for the next kill", timeout=SECONDS)
            agent.kill()
            agent = start_agent(database)
        until(lambda: time.monotonic() - begun > SECONDS, "the end of the load", timeout=SECONDS)
        assert load.committed > SECONDS * 40, f"only {load.committed} transactions: the load was no load"
    orders.wait_delivered(agent, timeout=60)
    assert_equal_both_ways(orders)


@pytest.mark.endurance
def test_an_agent_keeps_to_64_megabytes_whatever_the_backlog(database, search, alias, make_target, start_agent):
    database.sql("CREATE TABLE shop.thing (id bigint PRIMARY KEY, name text, number int); CREATE VIEW shop.thing_document AS SELECT * FROM shop.thing")
    database.sql(f"INSERT INTO shop.thing SELECT n, 'a thing of number ' || n, n FROM generate_series(1, {DOCUMENTS // 2}) n")
    make_target(search.url)
    database.sql("SELECT conveyor.create_feed('things', 'shop.thing_document')")
    database.sql("SELECT conveyor.add_watch('things', 'shop.thing', '{id,name,number}', 'SELECT id FROM changed')")
    things = create_delivery(database, search, alias, "things_to_search", "things", view="shop.thing_document")
    database.sql(f"INSERT INTO shop.thing SELECT n, 'a later thing', n FROM generate_series({DOCUMENTS // 2 + 1}, {DOCUMENTS}) n")
    agent = start_agent(database)
    things.wait_delivered(agent, timeout=120)
    peak = agent.memory_peak()
    assert assert_equal_both_ways(things) == DOCUMENTS
    assert peak <= 64 * MEGABYTE, f"the agent needed {peak / MEGABYTE:.1f} MB"
