"""Servers at their limits: what the delivery says then, and that nothing is lost.

One server of this file's own, with limits so low that a shop passes them.
"""

import os
import pathlib
import signal

import pytest

import shop
from conftest import SEARCH_PASSWORD, SEARCH_TOOL
from equality import assert_equal_both_ways
from ports import SEARCH_PORTS, free_port
from search import Search
from waiting import until

pytestmark = pytest.mark.every_server

# Bytes of documents under way at once; of one request; requests that wait for the one that is worked on.
LIMITS = ["indexing_pressure.memory.limit=512kb", "http.max_content_length=1mb", "thread_pool.write.size=1", "thread_pool.write.queue_size=1"]


class Server:
    """The limited server as a process."""

    def __init__(self, directory):
        self.directory = directory
        self.port = free_port(SEARCH_PORTS)
        self.start()

    def start(self):
        self.search = Search.start(SEARCH_TOOL, self.directory, self.port, "384m", LIMITS, SEARCH_PASSWORD)

    def stop(self):
        Search.stop(SEARCH_TOOL, self.directory, self.port)

    def signal(self, number):
        os.kill(int(pathlib.Path(self.directory, "pid").read_text()), number)


@pytest.fixture(scope="module")
def server(directory):
    os.environ.setdefault("TIER", "1")
    server = Server(directory / "limited")
    yield server
    server.stop()


@pytest.fixture
def limited_orders(server, database, alias, make_target):
    make_target(server.search.url, options={"timeout": "4 s"})
    shop.create_feed(database)
    return shop.create_delivery(database, server.search, alias, options={"compress": True, "max_attempts": 3})


@pytest.fixture
def live(limited_orders, database, start_agent):
    agent = start_agent(database)
    limited_orders.wait_delivered(agent)
    return limited_orders, agent


def test_a_server_that_takes_little_at_a_time_gets_everything(limited_orders, database, start_agent):
    """Bodies over the limit of a request are split, those that do not fit beside the others wait."""
    database.sql("UPDATE shop.orders SET attributes = jsonb_build_object('filler', repeat('x', 4000))")
    agent = start_agent(database)
    limited_orders.wait_delivered(agent, timeout=60)
    assert assert_equal_both_ways(limited_orders) == shop.ORDERS
    assert limited_orders.dead_letters() == {}


@pytest.mark.parametrize(("bytes", "limit"), [(700_000, "indexing pressure"), (1_500_000, "the size of a request")])
def test_a_document_over_a_limit_of_the_server_costs_only_itself(live, database, bytes, limit):
    orders, agent = live
    database.sql("UPDATE shop.orders SET status = 'beside it' WHERE id < 50")
    database.sql("UPDATE shop.orders SET attributes = jsonb_build_object('filler', repeat('x', %s)) WHERE id = 40", bytes)
    orders.wait_delivered(agent)
    assert list(orders.dead_letters()) == ["40"], limit
    type, reason = orders.dead_letters()["40"]
    assert type == "document_too_large" and str(bytes // 1000) in reason, reason
    assert_equal_both_ways(orders, dead={"40"})

    database.sql("UPDATE shop.orders SET attributes = NULL WHERE id = 40")
    orders.wait_delivered(agent)
    assert orders.dead_letters() == {}
    assert_equal_both_ways(orders)


def block(setting):
    return (lambda search, index: search.put_settings(index, {setting: True}), lambda search, index: search.put_settings(index, {setting: None}))


def cluster_block(value):
    return lambda search, _: search.call("PUT", "/_cluster/settings", {"transient": {"cluster.blocks.read_only": value}})


HOLDING = {
    "write block": (*block("index.blocks.write"), "index.blocks.write|blocked by"),
    "flood stage": (*block("index.blocks.read_only_allow_delete"), "read-only-allow-delete|disk usage"),
    "read-only index": (*block("index.blocks.read_only"), "read-only|blocked by"),
    "read-only cluster": (cluster_block(True), cluster_block(None), "read-only|blocked by"),
    "closed index": (lambda search, index: search.call("POST", f"/{index}/_close"), lambda search, index: search.call("POST", f"/{index}/_open"), "closed"),
}


@pytest.mark.parametrize("what", HOLDING)
def test_what_a_person_must_mend_holds_the_delivery_and_it_says_what(live, database, server, what):
    orders, agent = live
    close, open, words = HOLDING[what]
    index = orders.index()
    close(server.search, index)
    try:
        database.sql("UPDATE shop.orders SET status = 'meanwhile' WHERE id <= 300; DELETE FROM shop.orders WHERE id = 400")
        orders.wait_state("waiting")
        throttle = orders.status()["throttle"]
        assert any(word in throttle for word in words.split("|")), throttle
        assert orders.dead_letters() == {}
    finally:
        open(server.search, index)
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == shop.ORDERS - 1


def test_a_server_that_stands_still_and_one_that_is_killed_lose_nothing(live, database, server):
    orders, agent = live
    server.signal(signal.SIGSTOP)
    try:
        database.sql("UPDATE shop.orders SET status = 'while it stood still' WHERE id <= 300")
        orders.wait_status(lambda status: status["throttle"], "it says that the target does not answer")
    finally:
        server.signal(signal.SIGCONT)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)

    database.sql("UPDATE shop.orders SET status = 'acknowledged' WHERE id <= 1000")
    orders.wait_delivered(agent)
    server.signal(signal.SIGKILL)
    database.sql("UPDATE shop.orders SET status = 'while it was down' WHERE id > 1500")
    orders.wait_status(lambda status: "refused" in (status["throttle"] or ""), "it says that nobody is there")
    assert orders.state() == "live"
    server.start()
    until(lambda: server.search.get(orders.alias, "1")["status"] == "acknowledged", "what was acknowledged is there")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == shop.ORDERS


@pytest.fixture
def unassigned(live, server):
    """Takes the delivery's only shard away: it waits for its turn to recover, and no shard gets a turn. Returns what gives it back."""
    orders, _ = live
    limit = "cluster.routing.allocation.node_initial_primaries_recoveries"

    def allow(recoveries):
        server.search.call("PUT", "/_cluster/settings", {"transient": {limit: recoveries}})
        server.search.call("POST", "/_cluster/reroute")

    allow(0)
    server.search.call("POST", f"/{orders.index()}/_close?wait_for_active_shards=0")
    server.search.call("POST", f"/{orders.index()}/_open?wait_for_active_shards=0")
    yield lambda: allow(None)
    allow(None)


def test_an_unassigned_shard_is_waited_for_and_it_says_so(live, unassigned, database):
    orders, agent = live
    database.sql("UPDATE shop.orders SET status = 'meanwhile' WHERE id <= 300; DELETE FROM shop.orders WHERE id = 400")
    status = orders.wait_status(lambda status: "shard" in (status["throttle"] or ""), "it says that a shard is missing")
    assert status["state"] == "live" and status["pending"] > 0, status
    unassigned()
    orders.wait_delivered(agent)
    assert orders.dead_letters() == {}
    assert assert_equal_both_ways(orders) == shop.ORDERS - 1
