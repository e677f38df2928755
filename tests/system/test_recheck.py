"""The both-ways re-check: after TRUNCATE, an overflowing log, or on request, what is gone here goes there."""

import pytest

from equality import assert_equal_both_ways
from load import Load
from shop import ORDERS
from waiting import until


def stale_until_equal(orders, agent):
    """The re-check that is due runs to its end, and both sides are the same."""
    orders.wait_delivered(agent)
    assert orders.state() == "live"
    return assert_equal_both_ways(orders)


@pytest.mark.every_server
def test_truncating_the_root_empties_the_index(live_orders, database):
    orders, agent = live_orders
    database.sql("TRUNCATE shop.orders")
    assert stale_until_equal(orders, agent) == 0


def test_truncating_a_child_changes_every_document(live_orders, database):
    orders, agent = live_orders
    database.sql("TRUNCATE shop.items")
    assert stale_until_equal(orders, agent) == ORDERS
    assert orders.search.get(orders.alias, "1")["items"] is None


def test_a_truncate_and_new_rows_in_one_transaction_arrive_together(live_orders, database):
    orders, agent = live_orders
    with database.transaction() as cursor:
        cursor.execute("INSERT INTO shop.orders (id, status) VALUES (70000, 'gone with the rest')")
        cursor.execute("TRUNCATE shop.orders")
        cursor.execute("INSERT INTO shop.orders (id, status) SELECT n, 'after' FROM generate_series(1500, 2500) n")
    assert stale_until_equal(orders, agent) == 1001


def test_a_truncate_that_rolls_back_changes_nothing(live_orders, database):
    orders, agent = live_orders
    connection = database.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE shop.items")
    connection.rollback()
    connection.close()
    orders.wait_delivered(agent)
    assert orders.status()["documents_sent"] == ORDERS
    assert_equal_both_ways(orders)


def test_a_full_log_with_no_agent_makes_the_delivery_stale_and_a_recheck_mends_it(live_orders, database, start_agent):
    orders, agent = live_orders
    agent.terminate()
    database.sql("ALTER DATABASE {} SET conveyor.max_log_size = '1MB'".format(database.name))
    database.close()
    # Keys of six bytes and more, each only once in a transaction: without a bound the log would take 15 MB.
    for _ in range(5):
        database.sql("INSERT INTO shop.orders (id, customer_id) SELECT 1000000000000000 + n, 1 FROM generate_series(1, 200000) n")
        database.sql("DELETE FROM shop.orders WHERE id > 1000000000000000")
    database.sql("UPDATE shop.orders SET status = 'changed after the bound'; DELETE FROM shop.orders WHERE id <= 100")
    bytes = database.one("SELECT conveyor.log_size()")
    assert bytes < 5 * 1024 * 1024, f"the log grew to {bytes} bytes past its bound of 1 MB"
    orders.wait_delivered(start_agent(database), timeout=60)
    assert orders.state() == "live"
    assert assert_equal_both_ways(orders) == ORDERS - 100


def test_a_stale_delivery_is_never_shown_as_delivered(live_orders, database):
    orders, agent = live_orders
    agent.terminate()
    database.sql("TRUNCATE shop.items")
    assert database.one("SELECT conveyor.wait_delivered(%s, '300 ms')", orders.name) is False


@pytest.mark.every_server
def test_resync_all_repairs_what_someone_changed_in_the_index(live_orders, database, search):
    orders, agent = live_orders
    index = orders.index()
    search.call("DELETE", f"/{index}/_doc/1")
    search.call("PUT", f"/{index}/_doc/stranger", {"status": "nobody's document"})
    search.refresh(index)
    request = database.one("SELECT conveyor.resync_all(%s)", orders.name)
    status = orders.wait_request(request, agent)
    assert status["state"] == "finished", status
    assert assert_equal_both_ways(orders) == ORDERS


def test_resync_sends_the_named_keys_and_removes_those_the_view_lacks(live_orders, database, search):
    orders, agent = live_orders
    index = orders.index()
    search.call("DELETE", f"/{index}/_doc/5")
    search.call("PUT", f"/{index}/_doc/777777", {"status": "left over"})
    request = database.one("SELECT conveyor.resync(%s, %s)", orders.name, ["5", "6", "777777"])
    status = orders.wait_request(request, agent)
    assert (status["state"], status["keys_done"], status["keys_total"]) == ("finished", 3, 3), status
    assert assert_equal_both_ways(orders) == ORDERS


def test_writers_during_a_recheck_change_nothing_about_the_end(live_orders, database):
    orders, agent = live_orders
    database.sql("INSERT INTO shop.orders (customer_id) SELECT 1 + n % 100 FROM generate_series(1, 10000) n")
    with Load(database, clients=4, rate=200) as load:
        request = database.one("SELECT conveyor.resync_all(%s)", orders.name)
        database.sql("DELETE FROM shop.orders WHERE id BETWEEN 100500 AND 101500")
        orders.wait_request(request, agent)
        database.sql("TRUNCATE shop.items")
        committed = load.committed
        until(lambda: load.committed > committed + 100, "writes during the re-check")
    orders.wait_delivered(agent, timeout=60)
    assert_equal_both_ways(orders)
