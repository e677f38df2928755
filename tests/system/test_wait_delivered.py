"""wait_delivered(), lag and pending never say "all delivered" while a committed change is not."""

import time

import psycopg2
import pytest

import http_proxy
from load import Load
from shop import create_delivery, create_feed
from waiting import until


def test_true_means_that_the_index_has_it(database, search, alias, make_target, search_proxy, start_agent):
    """Under load, through a slow target: after every true the change is really there."""
    proxy = search_proxy()
    make_target(proxy.url)
    create_feed(database)
    orders = create_delivery(database, search, alias)
    agent = start_agent(database)
    orders.wait_delivered(agent)

    def slow(proxy, client, request):
        if request.bulk:
            time.sleep(0.03)
        http_proxy.forward(proxy, client, request)

    proxy.become(slow)
    proven = 0
    with Load(database, clients=2, rate=80):
        database.sql("INSERT INTO shop.orders (id, status) VALUES (-1, 'counter')")
        for round in range(60):
            database.sql("UPDATE shop.orders SET status = %s WHERE id = -1", f"round {round}")
            if database.one("SELECT conveyor.wait_delivered(%s, '5 s')", orders.name):
                proven += 1
                assert search.get(alias, "-1")["status"] == f"round {round}", "wait_delivered() was true too early"
    assert proven >= 50, f"wait_delivered() was true only {proven} times of 60"


def test_false_while_no_agent_runs(live_orders, database):
    orders, agent = live_orders
    assert database.one("SELECT conveyor.wait_delivered(%s, '5 s')", orders.name) is True
    agent.terminate()
    assert database.one("SELECT conveyor.wait_delivered(%s, '0 s')", orders.name) is True
    database.sql("UPDATE shop.orders SET status = 'undelivered' WHERE id <= 3")
    begun = time.monotonic()
    assert database.one("SELECT conveyor.wait_delivered(%s, '500 ms')", orders.name) is False
    assert 0.4 < time.monotonic() - begun < 5
    status = orders.status()
    assert status["pending"] >= 3
    assert status["lag"].total_seconds() > 0


def test_false_until_the_backfill_is_done(orders, database, start_agent):
    assert database.one("SELECT conveyor.wait_delivered(%s, '100 ms')", orders.name) is False
    assert orders.state() == "backfilling"
    orders.wait_delivered(start_agent(database))


def test_lag_and_pending_show_a_change_the_moment_it_is_committed(live_orders, database):
    orders, agent = live_orders
    agent.stall()
    try:
        for id in range(1, 6):
            database.sql("UPDATE shop.orders SET status = 'at once' WHERE id = %s", id)
            status = orders.status()
            assert status["pending"] >= id and status["lag"].total_seconds() > 0, status
    finally:
        agent.wake()
    orders.wait_delivered(agent)
    status = orders.status()
    assert status["pending"] == 0 and not status["lag"], status


def test_an_open_transaction_is_not_waited_for_and_not_forgotten(live_orders, database):
    orders, agent = live_orders
    open_one = database.connect(autocommit=False)
    with open_one.cursor() as cursor:
        cursor.execute("UPDATE shop.orders SET status = 'open' WHERE id = 1")
    database.sql("UPDATE shop.orders SET status = 'committed' WHERE id = 2")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "2")["status"] == "committed"
    agent.stall()
    open_one.commit()
    open_one.close()
    try:
        assert database.one("SELECT conveyor.wait_delivered(%s, '300 ms')", orders.name) is False
        assert orders.status()["pending"] >= 1
    finally:
        agent.wake()
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "open"


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_caller_who_could_only_see_the_past_is_told_so(live_orders, database, isolation):
    """In such a transaction the delivery never seems to move: an answer would be false, if not wrong."""
    orders, _ = live_orders
    with pytest.raises(psycopg2.errors.ActiveSqlTransaction) as refused:
        with database.transaction(isolation=isolation) as cursor:
            cursor.execute("SELECT count(*) FROM shop.orders")
            cursor.execute("SELECT conveyor.wait_delivered(%s, '300 ms')", (orders.name,))
    assert refused.value.diag.message_hint


def test_a_caller_in_an_open_transaction_sees_the_truth_of_now(live_orders, database):
    orders, agent = live_orders
    with database.transaction() as cursor:
        cursor.execute("SELECT count(*) FROM shop.orders")
        agent.stall()
        try:
            database.sql("UPDATE shop.orders SET status = 'later than the transaction' WHERE id = 1")
            cursor.execute("SELECT conveyor.wait_delivered(%s, '300 ms')", (orders.name,))
            assert cursor.fetchone()[0] is False, "committed before the call, not delivered, and said to be"
        finally:
            agent.wake()
        cursor.execute("SELECT conveyor.wait_delivered(%s, '20 s')", (orders.name,))
        assert cursor.fetchone()[0] is True
    assert orders.search.get(orders.alias, "1")["status"] == "later than the transaction"


def test_a_change_made_after_the_call_is_not_waited_for(live_orders, database):
    """Under endless writing the wait ends all the same."""
    orders, agent = live_orders
    with Load(database, rate=200) as load:
        until(lambda: load.committed > 50, "some writes")
        for _ in range(5):
            assert database.one("SELECT conveyor.wait_delivered(%s, '20 s')", orders.name) is True
    orders.wait_delivered(agent)
