"""kill -9 of agent, backend and postmaster at each step: afterwards both sides are the same."""

import os
import signal

import psycopg2
import pytest

from agent import failpoints
from equality import assert_equal_both_ways
from load import Load
from waiting import until

# Those of a rebuild and of `conveyor verify` are passed there only: test_rebuild.py, test_verify.py.
POINTS = [point for point in failpoints() if not point.startswith(("rebuild_", "verify_"))]


def test_there_are_failpoints():
    assert len(POINTS) >= 5


@pytest.mark.parametrize("point", POINTS)
def test_an_agent_killed_at_any_point_loses_nothing(orders, database, start_agent, point):
    """The first agent dies at the point if it comes by; the second one finishes."""
    doomed = start_agent(database, failpoint=point)
    with Load(database, rate=60) as load:
        until(lambda: not doomed.alive() or load.committed > 150, "the agent dies, or has had its chance")
        if doomed.alive():
            database.sql("SELECT conveyor.resync_all(%s)", orders.name)
            database.sql("SELECT conveyor.resync(%s, '{1,2,3}')", orders.name)
            database.sql("TRUNCATE shop.items")
            committed = load.committed
            until(lambda: not doomed.alive() or load.committed > committed + 200, "the agent dies, or has had its chance")
        died = not doomed.alive()
        doomed.end()
        survivor = start_agent(database)
    orders.wait_delivered(survivor)
    assert_equal_both_ways(orders)
    assert died or point.startswith(("orphan", "hold")), f"the agent never came by {point}"


@pytest.mark.parametrize("point", ["capture_before_flush", "log_pack", "log_write", "capture_after_flush"])
def test_a_backend_killed_while_it_writes_the_log_commits_nothing_and_loses_nothing(live_orders, database, point):
    orders, agent = live_orders
    connection = database.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop.orders SET status = 'lost with its backend' WHERE id <= 500")
        cursor.execute("SELECT set_config('conveyor.failpoint', %s, false)", (f"{point}=kill",))
    database.close()
    with database.cluster.restarting(), pytest.raises(psycopg2.OperationalError):
        connection.commit()
    assert database.one("SELECT count(*) FROM shop.orders WHERE status LIKE 'lost%'") == 0
    database.sql("UPDATE shop.orders SET status = 'after the crash' WHERE id BETWEEN 400 AND 600")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_an_error_while_the_log_is_written_aborts_the_transaction(live_orders, database):
    orders, agent = live_orders
    connection = database.connect(autocommit=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE shop.orders SET status = 'never' WHERE id <= 10")
        cursor.execute("SELECT set_config('conveyor.failpoint', 'log_write=error', false)")
    with pytest.raises(psycopg2.Error):
        connection.commit()
    connection.close()
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "new"
    assert_equal_both_ways(orders)


def test_a_killed_backend_under_load_is_survived(live_orders, database):
    orders, agent = live_orders
    with Load(database, rate=150) as load:
        for _ in range(2):
            committed = load.committed
            until(lambda: load.committed > committed + 60, "writes", timeout=40)
            pid = database.one(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'test' AND pid <> pg_backend_pid() LIMIT 1"
            )
            database.close()
            with database.cluster.restarting():
                os.kill(pid, signal.SIGKILL)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_of_postgresql_under_load_is_survived(live_orders, database, mode):
    orders, agent = live_orders
    with Load(database, rate=150) as load:
        until(lambda: load.committed > 60, "writes")
        database.close()
        database.cluster.restart(mode)
        committed = load.committed
        until(lambda: load.committed > committed + 60, "writes", timeout=40)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_what_an_asynchronous_commit_loses_in_a_crash_was_never_sent(live_orders, database):
    """The fence: with synchronous_commit off, a crash takes back commits that a reader has seen, and versions with them."""
    orders, agent = live_orders
    database.sql(f"ALTER DATABASE {database.name} SET synchronous_commit = off")
    database.close()
    database.sql("ALTER SYSTEM SET wal_writer_delay = '10s'")
    database.sql("SELECT pg_reload_conf()")
    try:
        with Load(database, rate=200) as load:
            for _ in range(3):
                committed = load.committed
                until(lambda: load.committed > committed + 80, "writes", timeout=40)
                database.close()
                database.cluster.restart("immediate")
        orders.wait_delivered(agent)
        assert_equal_both_ways(orders)
    finally:
        database.sql("ALTER SYSTEM RESET wal_writer_delay")
        database.sql("SELECT pg_reload_conf()")
