"""A delivery fills its index from the view and then keeps it exact."""

import io
import time

import pytest

from equality import assert_equal_both_ways
from load import Load
from shop import ORDERS, create_delivery, create_feed
from waiting import until


@pytest.mark.every_server
def test_a_backfill_fills_the_index_and_live_changes_follow(orders, database, start_agent):
    agent = start_agent(database)
    orders.wait_delivered(agent)
    assert orders.state() == "live"
    assert assert_equal_both_ways(orders) == ORDERS
    assert orders.status()["documents_sent"] >= ORDERS
    assert orders.status()["agent"] == agent.name

    database.sql("UPDATE shop.orders SET status = 'paid' WHERE id = 7")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "7")["status"] == "paid"
    assert_equal_both_ways(orders)


def test_an_empty_view_becomes_an_empty_index(orders, database, start_agent):
    database.sql("TRUNCATE shop.orders")
    agent = start_agent(database)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == 0
    database.sql("INSERT INTO shop.orders (id, customer_id) VALUES (1, 1)")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == 1


@pytest.mark.every_server
def test_every_kind_of_change_reaches_the_index(live_orders, database):
    orders, agent = live_orders
    statements = [
        "INSERT INTO shop.orders (id, customer_id) VALUES (9001, 5)",
        "UPDATE shop.orders SET total = 12.50, attributes = '{\"a\": [{\"b\": 1}, {\"b\": null}]}' WHERE id = 2",
        "UPDATE shop.orders SET id = 9500 WHERE id = 3",
        "UPDATE shop.orders SET customer_id = NULL WHERE id = 4",
        "DELETE FROM shop.orders WHERE id = 5",
        "INSERT INTO shop.items (order_id, product, quantity) VALUES (6, 'new item', 1)",
        "UPDATE shop.items SET quantity = quantity + 1, price = NULL WHERE order_id = 7",
        "UPDATE shop.items SET order_id = 9 WHERE order_id = 8",
        "DELETE FROM shop.items WHERE order_id = 10",
        "UPDATE shop.customers SET name = E'Zoë \\U0001F600 \"quoted\" \\\\ back\\tslash' WHERE id = 11",
        "DELETE FROM shop.orders WHERE customer_id = 12",
        "DELETE FROM shop.customers WHERE id = 12",
        "INSERT INTO shop.orders (id, customer_id, status) VALUES (13, 5, 'x') ON CONFLICT (id) DO UPDATE SET status = 'upserted'",
        "INSERT INTO shop.orders (id, customer_id, status) VALUES (9600, 5, 'x') ON CONFLICT (id) DO UPDATE SET status = 'upserted'",
        "MERGE INTO shop.orders o USING (VALUES (14), (15), (9700)) v (id) ON o.id = v.id"
        " WHEN MATCHED AND v.id = 14 THEN DELETE WHEN MATCHED THEN UPDATE SET status = 'merged' WHEN NOT MATCHED THEN INSERT (id) VALUES (v.id)",
        "DELETE FROM shop.orders WHERE id = 16; INSERT INTO shop.orders (id, status) VALUES (16, 'reborn')",
        "INSERT INTO shop.orders (id) VALUES (9800); DELETE FROM shop.orders WHERE id = 9800",
        "UPDATE shop.orders SET total = 1.0 WHERE id = 17; UPDATE shop.orders SET total = 1.00 WHERE id = 17",
    ]
    for statement in statements:
        database.sql(statement)
    with database.transaction() as cursor:
        rows = io.StringIO("9901\t1\tcopied\n9902\t\\N\tcopied\n")
        cursor.copy_expert("COPY shop.orders (id, customer_id, status) FROM STDIN", rows)
    with database.transaction() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica; UPDATE shop.orders SET status = 'replicated' WHERE id = 18")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_savepoints_and_exception_blocks_keep_what_was_kept(live_orders, database):
    orders, agent = live_orders
    with database.transaction() as cursor:
        cursor.execute("UPDATE shop.orders SET status = 'outer' WHERE id = 1")
        cursor.execute("SAVEPOINT a; UPDATE shop.orders SET status = 'inner' WHERE id IN (1, 2); SAVEPOINT b; DELETE FROM shop.orders WHERE id = 3")
        cursor.execute("ROLLBACK TO a; UPDATE shop.orders SET status = 'again' WHERE id = 2; RELEASE a")
    with database.transaction() as cursor:
        # First inside a savepoint that rolls back, then outside: the second capture must not be taken for a repetition.
        cursor.execute("SAVEPOINT a; UPDATE shop.orders SET status = 'lost' WHERE id = 4; ROLLBACK TO a; UPDATE shop.orders SET status = 'kept' WHERE id = 4")
    database.sql(
        """DO $$ BEGIN
            UPDATE shop.orders SET status = 'before' WHERE id = 5;
            BEGIN
                UPDATE shop.orders SET status = 'within' WHERE id = 6;
                PERFORM 1 / 0;
            EXCEPTION WHEN division_by_zero THEN
                UPDATE shop.orders SET status = 'handled' WHERE id = 7;
            END;
        END $$"""
    )
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "4")["status"] == "kept"
    assert orders.search.get(orders.alias, "7")["status"] == "handled"
    assert_equal_both_ways(orders)


def test_a_renamed_customer_changes_all_its_orders(live_orders, database):
    orders, agent = live_orders
    database.sql("INSERT INTO shop.orders (customer_id) SELECT 1 FROM generate_series(1, 20000)")
    orders.wait_delivered(agent)
    database.sql("UPDATE shop.customers SET name = 'Renamed', city = NULL WHERE id = 1")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS + 20000


def test_a_parent_change_finds_the_document_that_a_child_has_left_meanwhile(live_orders, database):
    """The customer changes and, in the same window, an order moves to another customer and an item to another order."""
    orders, agent = live_orders
    agent.stall()
    try:
        database.sql("UPDATE shop.customers SET name = 'Left' WHERE id = 20")
        database.sql("UPDATE shop.orders SET customer_id = 21 WHERE customer_id = 20")
        database.sql("UPDATE shop.customers SET name = 'Joined' WHERE id = 21")
        database.sql("UPDATE shop.items SET order_id = 31 WHERE order_id = 30")
        database.sql("DELETE FROM shop.orders WHERE id = 30")
    finally:
        agent.wake()
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_column_that_the_view_does_not_read_costs_nothing(live_orders, database):
    orders, agent = live_orders
    sent = orders.status()["documents_sent"]
    database.sql("UPDATE shop.customers SET internal_note = 'not in the document'")
    orders.wait_delivered(agent)
    assert orders.status()["documents_sent"] == sent


def test_an_idle_delivery_writes_nothing(live_orders, database):
    orders, agent = live_orders
    before = database.one("SELECT cursor::text FROM conveyor.delivery_state WHERE delivery = %s", orders.name)
    heartbeat = database.one("SELECT heartbeat_at FROM conveyor.agent WHERE agent = %s", agent.name)
    until(lambda: database.one("SELECT heartbeat_at FROM conveyor.agent WHERE agent = %s", agent.name) > heartbeat, "a heartbeat")
    assert database.one("SELECT cursor::text FROM conveyor.delivery_state WHERE delivery = %s", orders.name) == before


def test_writers_during_the_backfill_and_after_it_change_nothing_about_the_end(orders, database, start_agent):
    database.sql("INSERT INTO shop.orders (customer_id, total) SELECT 1 + n % 100, n FROM generate_series(1, 20000) n")
    with Load(database, clients=4, rate=200) as load:
        agent = start_agent(database)
        orders.wait_state("live", timeout=60)
        committed = load.committed
        until(lambda: load.committed > committed + 300, "more writes after the backfill")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_live_only_delivery_sends_what_changes_from_now_on(database, search, alias, make_target, start_agent):
    make_target(search.url)
    create_feed(database)
    orders = create_delivery(database, search, alias, options={"backfill": False})
    agent = start_agent(database)
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id IN (1, 2, 3)")
    orders.wait_delivered(agent)
    assert sorted(search.documents(alias)) == ["1", "2", "3"]


@pytest.mark.every_server
def test_settings_set_aside_for_the_fill_are_restored(orders, database, search, start_agent):
    agent = start_agent(database)
    orders.wait_delivered(agent)
    until(lambda: search.settings(orders.index()).get("index.refresh_interval") != "-1", "refresh_interval is restored")
    assert search.settings(orders.index())["index.number_of_replicas"] == "1"
    assert orders.index() != orders.alias


def test_settings_are_restored_when_the_agent_died_during_the_fill(database, search, alias, make_target, start_agent):
    make_target(search.url)
    create_feed(database)
    wanted = {"rate": 400, "index": {"settings": {"refresh_interval": "7s", "number_of_replicas": 2}}}
    orders = create_delivery(database, search, alias, options=wanted)
    first = start_agent(database)
    until(lambda: search.alias_indices(alias) and search.count(alias) > 0, "the fill has begun")
    assert search.settings(orders.index())["index.refresh_interval"] == "-1"
    assert search.settings(orders.index())["index.number_of_replicas"] == "0"
    first.kill()
    database.sql("SELECT conveyor.alter_delivery(%s, '{\"rate\": null}')", orders.name)
    second = start_agent(database)
    orders.wait_delivered(second, timeout=60)

    def restored():
        settings = search.settings(orders.index())
        return settings["index.refresh_interval"] == "7s" and settings["index.number_of_replicas"] == "2"

    until(restored, lambda: f"the settings are restored: {search.settings(orders.index())}")
    assert_equal_both_ways(orders)


def test_a_rate_is_kept_and_a_new_one_takes_effect_soon(database, search, alias, make_target, start_agent):
    make_target(search.url)
    create_feed(database)
    orders = create_delivery(database, search, alias, options={"rate": 50})
    agent = start_agent(database)
    until(lambda: search.alias_indices(alias) and search.count(alias) > 0, "the fill has begun")
    begun, before = time.monotonic(), search.count(alias)
    until(lambda: time.monotonic() - begun > 2, "two seconds of measuring")
    assert 50 <= search.count(alias) - before < 250, "a rate of 50 documents a second was not kept"
    database.sql("SELECT conveyor.alter_delivery(%s, '{\"rate\": 100000}')", orders.name)
    orders.wait_delivered(agent, timeout=15)
    assert_equal_both_ways(orders)
