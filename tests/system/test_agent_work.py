"""What an agent takes on: several databases, tags, sessions that are taken from it."""

import os
import subprocess

import pytest

import shop
from equality import assert_equal_both_ways
from load import Load
from waiting import holds, until


def make_shop(database, search):
    database.sql("SELECT conveyor.create_target('search', 'elasticsearch', jsonb_build_object('url', %s))", search.url)
    shop.create_feed(database)
    return shop.create_delivery(database, search, f"{database.name}-orders")


def test_one_agent_serves_several_databases(make_database, search, start_agent):
    databases = [make_database() for _ in range(3)]
    deliveries = [make_shop(database, search) for database in databases]
    databases[1].sql("DELETE FROM shop.orders WHERE id > 100")
    agent = start_agent(*databases)
    for delivery in deliveries:
        delivery.wait_delivered(agent)
    for number, database in enumerate(databases):
        database.sql("UPDATE shop.orders SET status = %s WHERE id <= 50", f"database {number}")
    for delivery in deliveries:
        delivery.wait_delivered(agent)
        assert_equal_both_ways(delivery)


def test_a_database_that_is_not_there_does_not_hold_back_the_others(orders, database, start_agent):
    missing = database.agent_conninfo().replace(database.name, "nowhere")
    agent = start_agent(database, arguments=["--database", missing])
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_sessions_that_are_terminated_are_made_again(live_orders, database):
    orders, agent = live_orders
    with Load(database, rate=100) as load:
        for _ in range(4):
            committed = load.committed
            until(lambda: load.committed > committed + 20, "writes")
            database.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shipping_agent'")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_tagged_delivery_is_left_to_agents_that_carry_its_tags(database, search, alias, make_target, start_agent):
    make_target(search.url)
    shop.create_feed(database)
    orders = shop.create_delivery(database, search, alias, options={"tags": ["green", "blue"]})
    start_agent(database)
    start_agent(database, arguments=["--tag", "green"])
    until(lambda: database.one("SELECT count(*) FROM conveyor.agent_status") == 2, "both agents are known")
    holds(lambda: orders.status()["agent"] is None, "an agent without the tags took the delivery", 2)
    agent = start_agent(database, arguments=["--tag", "blue", "--tag", "green"])
    orders.wait_delivered(agent)
    assert orders.status()["agent"] == agent.name


def test_several_deliveries_of_one_feed_each_go_their_own_pace(database, search, alias, make_target, start_agent):
    make_target(search.url)
    shop.create_feed(database)
    deliveries = [shop.create_delivery(database, search, f"{alias}-{n}", name=f"number_{n}") for n in range(4)]
    agent = start_agent(database)
    for delivery in deliveries:
        delivery.wait_delivered(agent)
    database.sql("SELECT conveyor.pause_delivery('number_0')")
    deliveries[0].wait_state("paused")
    database.sql("UPDATE shop.orders SET status = 'changed'")
    for delivery in deliveries[1:]:
        delivery.wait_delivered(agent)
        assert_equal_both_ways(delivery)
    assert deliveries[0].status()["pending"] >= shop.ORDERS
    database.sql("SELECT conveyor.resume_delivery('number_0')")
    deliveries[0].wait_delivered(agent)
    assert_equal_both_ways(deliveries[0])


@pytest.mark.parametrize("arguments, status", [(["agent", "--no-such-option"], 2), (["nonsense"], 2), (["--version"], 0)])
def test_the_exit_status_tells_what_happened(arguments, status):
    done = subprocess.run([os.environ["CONVEYOR_AGENT"], *arguments], capture_output=True, text=True, timeout=20)
    assert done.returncode == status, done.stderr
