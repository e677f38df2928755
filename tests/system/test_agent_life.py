"""Agents come and go: leases, takeovers, stalls, drains, restarts of PostgreSQL, cut networks."""

import signal
import time

import psycopg2
import pytest

import http_proxy
from database import AGENT_ROLE
from equality import assert_equal_both_ways
from load import Load
from shop import ORDERS
from waiting import holds, until


def test_a_killed_agents_work_is_taken_over_within_ten_seconds(orders, database, start_agent):
    database.sql(f"ALTER DATABASE {database.name} SET conveyor.lease_timeout = '10s'")
    database.close()
    first = start_agent(database)
    orders.wait_delivered(first)
    second = start_agent(database)
    first.kill()
    killed = time.monotonic()
    database.sql("UPDATE shop.orders SET status = 'after the kill' WHERE id <= 100")
    orders.wait_status(lambda status: status["agent"] == second.name, "taken over", timeout=12)
    assert time.monotonic() - killed < 11
    orders.wait_delivered(second)
    assert_equal_both_ways(orders)


def test_two_agents_never_run_one_delivery_at_once(live_orders, database, start_agent):
    orders, first = live_orders
    second = start_agent(database)
    until(lambda: database.one("SELECT count(*) FROM conveyor.agent_status") == 2, "both agents are known")
    lease = database.one("SELECT lease FROM conveyor.delivery_state WHERE delivery = %s", orders.name)
    with Load(database, rate=100):
        holds(lambda: orders.status()["agent"] == first.name, "the delivery changed hands without need", 4)
    orders.wait_delivered(second)
    assert database.one("SELECT lease FROM conveyor.delivery_state WHERE delivery = %s", orders.name) == lease
    assert_equal_both_ways(orders)


def test_a_stalled_agent_that_wakes_up_moves_nothing(live_orders, database, start_agent):
    orders, stalled = live_orders
    second = start_agent(database)
    with Load(database, rate=100) as load:
        until(lambda: load.committed > 50, "some writes")
        stalled.stall()
        orders.wait_status(lambda status: status["agent"] == second.name, "taken over")
        lease = database.one("SELECT lease FROM conveyor.delivery_state WHERE delivery = %s", orders.name)
        committed = load.committed
        stalled.wake()
        until(lambda: load.committed > committed + 100, "more writes")
        assert database.one("SELECT lease FROM conveyor.delivery_state WHERE delivery = %s", orders.name) == lease
    orders.wait_delivered(second)
    stalled.assert_alive()
    assert orders.status()["agent"] == second.name
    assert_equal_both_ways(orders)


def test_an_old_lease_can_move_nothing(live_orders, database):
    """Each call of the agent with a lease that was is refused with CV001."""
    orders, agent = live_orders
    agent.terminate()
    lease = database.one("SELECT lease FROM conveyor.delivery_state WHERE delivery = %s", orders.name) - 1
    connection = database.connect(AGENT_ROLE)
    calls = [
        "SELECT conveyor.fence(%s, %s, 1, '{}')",
        "SELECT conveyor.advance(%s, %s, pg_current_snapshot(), 1, '{}', '[]', '{}')",
        "SELECT conveyor.mark_stale(%s, %s, 'no reason')",
        "SELECT conveyor.hold(%s, %s, 'no reason')",
        "SELECT conveyor.store_index(%s, %s, '{}')",
        "SELECT conveyor.orphans_settled(%s, %s, '{}')",
    ]
    before = database.record("SELECT * FROM conveyor.delivery_state WHERE delivery = %s", orders.name)
    for text in calls:
        with connection.cursor() as cursor, pytest.raises(psycopg2.Error) as refused:
            cursor.execute(text, (orders.name, lease))
        assert refused.value.pgcode == "CV001", f"{text}: {refused.value}"
    connection.close()
    assert database.record("SELECT * FROM conveyor.delivery_state WHERE delivery = %s", orders.name) == before


def test_sigterm_drains_and_leaves_within_ten_seconds(live_orders, database, start_agent):
    orders, agent = live_orders
    with Load(database, rate=200) as load:
        until(lambda: load.committed > 100, "some writes")
        begun = time.monotonic()
        assert agent.terminate(timeout=12) == 0
        assert time.monotonic() - begun < 10
    assert orders.status()["agent"] is None, "the lease was not given back"
    second = start_agent(database)
    orders.wait_delivered(second)
    assert_equal_both_ways(orders)


def test_sigterm_in_the_middle_of_a_backfill_leaves_at_once_and_the_rest_follows(orders, database, search, start_agent):
    database.sql("INSERT INTO shop.orders (customer_id) SELECT 1 FROM generate_series(1, 30000)")
    agent = start_agent(database)
    until(lambda: search.alias_indices(orders.alias) and search.count(orders.alias) > 0, "the fill has begun")
    assert agent.terminate(timeout=10) == 0
    second = start_agent(database)
    orders.wait_delivered(second, timeout=60)
    assert assert_equal_both_ways(orders) == ORDERS + 30000


@pytest.fixture
def waiting_for_silence(live_orders, database, search_proxy):
    """An agent that waits for an answer which never comes."""
    orders, agent = live_orders
    proxy = search_proxy()
    proxy.become(http_proxy.silence)
    database.sql("SELECT conveyor.alter_target('search', jsonb_build_object('url', %s))", proxy.url)

    def asked():
        database.sql("UPDATE shop.orders SET status = status || '.' WHERE id = 1")
        return proxy.requests

    until(asked, "a request to the new address", timeout=5)
    return agent


def test_sigterm_ends_an_agent_whose_target_is_silent(waiting_for_silence):
    begun = time.monotonic()
    waiting_for_silence.terminate(timeout=12)
    assert time.monotonic() - begun < 11


def test_a_second_sigterm_leaves_at_once(waiting_for_silence):
    waiting_for_silence.signal(signal.SIGTERM)
    with pytest.raises(AssertionError):
        waiting_for_silence.wait(0.3)
    begun = time.monotonic()
    waiting_for_silence.terminate(timeout=3)
    assert time.monotonic() - begun < 2


def test_a_paused_delivery_sends_nothing_until_it_is_resumed(live_orders, database):
    orders, agent = live_orders
    database.sql("SELECT conveyor.pause_delivery(%s, 'maintenance of the cluster')", orders.name)
    status = orders.wait_status(lambda status: status["state"] == "paused", "is paused")
    assert "maintenance of the cluster" in status["throttle"]

    def change_stays_here():
        database.sql("UPDATE shop.orders SET status = status || '.' WHERE id <= 50")
        return not database.one("SELECT conveyor.wait_delivered(%s, '300 ms')", orders.name)

    until(change_stays_here, "the agent has heard of it", timeout=2)
    indexed = orders.search.get(orders.alias, "1")
    database.sql("UPDATE shop.orders SET status = 'while paused' WHERE id <= 50")
    assert database.one("SELECT conveyor.wait_delivered(%s, '1500 ms')", orders.name) is False
    assert orders.search.get(orders.alias, "1") == indexed
    assert orders.status()["pending"] >= 50
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_cut_network_to_postgresql_is_survived(orders, database, network_proxy, start_agent):
    proxy = network_proxy(database.cluster.port)
    agent = start_agent(conninfo=database.agent_conninfo(proxy.port))
    orders.wait_delivered(agent)
    with Load(database, rate=100) as load:
        for _ in range(3):
            proxy.cut()
            committed = load.committed
            until(lambda: load.committed > committed + 30, "writes while the network is cut")
            proxy.mend()
            until(lambda: load.committed > committed + 60, "writes afterwards")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_network_that_only_hangs_loses_the_lease_and_nothing_else(orders, database, network_proxy, start_agent):
    proxy = network_proxy(database.cluster.port)
    agent = start_agent(conninfo=database.agent_conninfo(proxy.port))
    orders.wait_delivered(agent)
    proxy.hold()
    second = start_agent(database)
    database.sql("UPDATE shop.orders SET status = 'while hanging' WHERE id <= 200")
    orders.wait_status(lambda status: status["agent"] == second.name, "taken over")
    proxy.mend()
    orders.wait_delivered(second)
    agent.assert_alive()
    assert_equal_both_ways(orders)


def test_the_agents_own_http_server_tells_how_it_is(live_orders):
    orders, agent = live_orders
    assert agent.get("/healthz")[0] == 200
    assert agent.get("/readyz")[0] == 200
    status, metrics = agent.get("/metrics")
    assert status == 200
    assert orders.name in metrics and "conveyor_" in metrics


def test_agent_status_names_the_agent_and_its_deliveries(live_orders, database):
    _, agent = live_orders
    status = database.record("SELECT * FROM conveyor.agent_status WHERE agent = %s", agent.name)
    assert status["pid"] == agent.process.pid
    assert status["heartbeat_age"].total_seconds() < 3


def test_an_agent_of_another_protocol_is_refused_with_a_remedy(database, start_agent, orders):
    """The real agent against a database that speaks another protocol."""
    database.sql(
        """ALTER FUNCTION conveyor.agent_start(text, text, int, text, int, text[]) RENAME TO agent_start_itself;
        CREATE FUNCTION conveyor.agent_start(agent text, host text, pid int, version text, protocol int, tags text[]) RETURNS jsonb
            LANGUAGE sql SECURITY DEFINER RETURN conveyor.agent_start_itself(agent, host, pid, version, protocol + 1, tags);
        GRANT EXECUTE ON FUNCTION conveyor.agent_start TO conveyor_agent"""
    )
    agent = start_agent(database)
    agent.wait_log("protocol")
    assert database.one("SELECT count(*) FROM conveyor.delivery_status WHERE agent IS NOT NULL") == 0
    with pytest.raises(psycopg2.Error) as refused:
        database.sql("SELECT conveyor.agent_start('x', 'h', 1, '9.9', 9999, '{}')")
    assert refused.value.pgcode == "CV002"
    assert refused.value.diag.message_hint
