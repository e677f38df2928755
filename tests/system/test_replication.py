"""Copies of a database: logical subscribers, standbys, promotions, clones."""

import psycopg2
import pytest

from database import Database, make_template
from equality import assert_equal_both_ways
from shop import create_delivery, create_feed
from waiting import holds, until


def test_rows_applied_by_a_logical_subscription_are_captured(live_orders, database, make_database):
    orders, agent = live_orders
    publisher = make_database(extension=False)
    slot = f"slot_{publisher.name}"
    publisher.sql("CREATE PUBLICATION everything FOR ALL TABLES")
    publisher.sql("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)
    conninfo = publisher.cluster.conninfo(publisher.name, "postgres")
    # Both sides start from the same rows.
    database.sql(f"CREATE SUBSCRIPTION mirror CONNECTION '{conninfo}' PUBLICATION everything WITH (create_slot = false, slot_name = '{slot}', copy_data = false)")
    try:
        publisher.sql("UPDATE shop.orders SET status = 'from afar' WHERE id <= 100")
        publisher.sql("DELETE FROM shop.orders WHERE id = 101; INSERT INTO shop.orders (id, customer_id) VALUES (777777, 3)")
        publisher.sql("UPDATE shop.customers SET name = 'Renamed afar' WHERE id = 9")
        publisher.sql("UPDATE shop.orders SET status = 'last' WHERE id = 2000")
        until(lambda: database.one("SELECT status FROM shop.orders WHERE id = 2000") == "last", "the subscriber catches up")
        orders.wait_delivered(agent)
        assert orders.search.get(orders.alias, "1")["status"] == "from afar"
        assert_equal_both_ways(orders)
        publisher.sql("TRUNCATE shop.items")
        until(lambda: database.one("SELECT count(*) FROM shop.items") == 0, "the subscriber truncates")
        orders.wait_delivered(agent)
        assert_equal_both_ways(orders)
    finally:
        database.sql("ALTER SUBSCRIPTION mirror DISABLE")
        database.sql("ALTER SUBSCRIPTION mirror SET (slot_name = NONE)")
        database.sql("DROP SUBSCRIPTION mirror")
        until(lambda: not publisher.one("SELECT active FROM pg_replication_slots WHERE slot_name = %s", slot), "the slot is free")
        publisher.sql("SELECT pg_drop_replication_slot(%s)", slot)


def test_a_clone_of_the_database_pushes_nothing(live_orders, database, make_database, start_agent):
    orders, agent = live_orders
    assert agent.terminate() == 0
    database.close()
    clone = make_database(template=database.name, extension=False)
    clone.sql("UPDATE shop.orders SET status = 'in the clone'")
    clone.sql("DELETE FROM shop.orders WHERE id <= 10")
    meddler = start_agent(clone)

    def clone_state():
        return clone.one("SELECT state FROM conveyor.delivery_status WHERE delivery = %s", orders.name)

    until(lambda: clone_state() == "waiting", lambda: f"the clone waits: {clone_state()}")
    until(lambda: clone.one("SELECT count(*) FROM conveyor.agent_status") > 0, "the agent works on the clone")
    holds(lambda: clone_state() == "waiting" and orders.search.get(orders.alias, "1")["status"] == "new", "the clone pushed", 2)
    meddler.assert_alive()
    assert_equal_both_ways(orders)
    status = clone.record("SELECT * FROM conveyor.delivery_status WHERE delivery = %s", orders.name)
    assert "confirm_epoch" in status["throttle"], status

    original = start_agent(database)
    database.sql("UPDATE shop.orders SET status = 'in the original' WHERE id = 1")
    orders.wait_delivered(original)
    assert_equal_both_ways(orders)


@pytest.fixture
def pair(make_cluster, make_database, directory):
    """A primary of its own with one shop, and its streaming standby: (database, standby)."""
    primary = make_cluster("pair-primary")
    make_template(primary)
    database = make_database(on=primary)
    standby = primary.standby(directory / "pair-standby")
    make_cluster.adopt(standby)
    return database, standby


def caught_up(database, standby):
    position = database.one("SELECT pg_current_wal_lsn()::text")
    copy = Database(standby, database.name)
    until(lambda: copy.one("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", position), "the standby catches up")
    return copy


def test_a_promotion_that_lost_commits_waits_for_confirmation_and_then_mends_the_target(pair, search, start_agent):
    database, standby = pair
    database.sql("SELECT conveyor.create_target('search', 'elasticsearch', jsonb_build_object('url', %s))", search.url)
    create_feed(database)
    orders = create_delivery(database, search, f"{database.name}-orders")
    agent = start_agent(database)
    orders.wait_delivered(agent)
    copy = caught_up(database, standby)

    # A standby reads nothing for a delivery: its snapshots have no list of running transactions.
    with pytest.raises(psycopg2.Error) as refused:
        copy.sql("SELECT conveyor.fetch_keys(%s, '{1}', NULL)", orders.name)
    assert "recovery" in str(refused.value), refused.value
    watcher = start_agent(copy, name="on-the-standby")

    # The standby stops following; these commits reach the target and are lost with the primary.
    copy.sql("ALTER SYSTEM SET primary_conninfo = ''")
    copy.sql("SELECT pg_reload_conf()")
    until(lambda: database.one("SELECT count(*) FROM pg_stat_replication") == 0, "the standby is cut off")
    database.sql("INSERT INTO shop.orders (id, status) VALUES (900001, 'lost')")
    database.sql("DELETE FROM shop.orders WHERE id = 5; UPDATE shop.orders SET status = 'lost' WHERE id = 6")
    orders.wait_delivered(agent)
    assert search.get(orders.alias, "900001")["status"] == "lost"
    agent.kill()
    watcher.assert_alive()
    watcher.end()
    database.close()
    database.cluster.crash()

    standby.promote()
    copy.sql("UPDATE shop.orders SET status = 'after the promotion' WHERE id = 7")
    orders.database = copy
    heir = start_agent(copy, name="heir")
    orders.wait_state("waiting")
    assert "confirm_epoch" in orders.status()["throttle"], orders.status()
    holds(lambda: search.get(orders.alias, "7")["status"] == "new", "pushed before the new epoch was confirmed", 2)
    assert copy.one("SELECT conveyor.wait_delivered(%s, '100 ms')", orders.name) is False

    [(remedy,)] = copy.sql("SELECT remedy FROM conveyor.audit()")
    assert remedy == "SELECT conveyor.confirm_epoch()"
    copy.sql(remedy)
    orders.wait_delivered(heir)
    assert search.get(orders.alias, "900001") is None
    assert orders.state() == "live"
    assert_equal_both_ways(orders)
    copy.close()
