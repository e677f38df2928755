"""Any order is right: late requests, late commits, and deletes that stay deleted."""

import threading

import pytest

import http_proxy
from database import make_template
from equality import assert_equal_both_ways
from search import SearchError
from shop import create_delivery, create_feed
from waiting import until


def forget_deletes(search, index):
    """Waits until the index has forgotten the deletes made so far: until it takes an older version of a document deleted now."""
    search.call("PUT", f"/{index}/_doc/probe?version=10&version_type=external", {})
    search.call("DELETE", f"/{index}/_doc/probe?version=11&version_type=external")

    def forgotten():
        search.refresh(index)
        try:
            search.call("PUT", f"/{index}/_doc/probe?version=5&version_type=external", {})
            return True
        except SearchError as refused:
            assert refused.status == 409, refused
            return False

    until(forgotten, "the index forgets deletes")
    search.call("DELETE", f"/{index}/_doc/probe?version=20&version_type=external")


@pytest.fixture
def late(database, search, alias, make_target, search_proxy, start_agent):
    """A live delivery through a proxy, on an index that soon forgets deletes: (delivery, agent, proxy)."""
    database.sql(f"ALTER DATABASE {database.name} SET conveyor.orphan_time = '5s'")
    database.close()
    proxy = search_proxy()
    make_target(proxy.url, options={"timeout": "1 s"})
    create_feed(database)
    orders = create_delivery(database, search, alias)
    agent = start_agent(database)
    orders.wait_delivered(agent)
    search.put_settings(orders.index(), {"index.gc_deletes": "100ms"})
    return orders, agent, proxy


def stays_deleted(orders, database, search):
    """The document is back at first, which is the danger; then it is removed again for good."""
    assert search.get(orders.alias, "1") is not None, "nothing landed late: the test shows nothing"
    until(lambda: search.get(orders.alias, "1") is None, lambda: f"the resurrected document is removed: {orders.status()}", timeout=30)
    assert_equal_both_ways(orders)


@pytest.mark.every_server
def test_a_request_that_lands_after_the_delete_does_not_resurrect_the_document(late, database, search):
    """The agent lives on: its request got no answer and counts as open."""
    orders, agent, proxy = late
    holder = http_proxy.Holder(b"landing late")
    proxy.become(holder)
    database.sql("UPDATE shop.orders SET status = 'landing late' WHERE id = 1")
    assert holder.arrived.wait(20)
    database.sql("DELETE FROM shop.orders WHERE id = 1")
    until(lambda: search.get(orders.alias, "1") is None, lambda: f"the delete arrives: {orders.status()}", timeout=30)
    forget_deletes(search, orders.index())
    holder.land(proxy)
    stays_deleted(orders, database, search)


def test_a_dead_agents_request_that_lands_after_the_delete_does_not_resurrect_the_document(late, database, search, start_agent):
    orders, agent, proxy = late
    holder = http_proxy.Holder(b"landing late")
    proxy.become(holder)
    database.sql("UPDATE shop.orders SET status = 'landing late' WHERE id = 1")
    assert holder.arrived.wait(20)
    agent.kill()
    database.sql("DELETE FROM shop.orders WHERE id = 1")
    start_agent(database)
    until(lambda: search.get(orders.alias, "1") is None, lambda: f"the delete arrives: {orders.status()}", timeout=30)
    forget_deletes(search, orders.index())
    holder.land(proxy)
    stays_deleted(orders, database, search)


def test_an_old_request_never_overwrites_a_newer_document(late, database, search):
    orders, agent, proxy = late
    holder = http_proxy.Holder(b"the old one")
    proxy.become(holder)
    database.sql("UPDATE shop.orders SET status = 'the old one' WHERE id = 1")
    assert holder.arrived.wait(20)
    database.sql("UPDATE shop.orders SET status = 'the new one' WHERE id = 1")
    orders.wait_delivered(agent)
    assert search.get(orders.alias, "1")["status"] == "the new one"
    holder.land(proxy)
    assert search.get(orders.alias, "1")["status"] == "the new one"
    assert_equal_both_ways(orders)


def test_a_transaction_that_commits_after_many_younger_ones_is_delivered(live_orders, database):
    orders, agent = live_orders
    old = database.connect(autocommit=False)
    with old.cursor() as cursor:
        cursor.execute("UPDATE shop.orders SET status = 'from the old transaction' WHERE id <= 5")
        for round in range(10):
            database.sql("UPDATE shop.orders SET status = %s WHERE id BETWEEN 6 AND 20", f"round {round}")
            orders.wait_delivered(agent)
        assert orders.search.get(orders.alias, "1")["status"] == "new"
    old.commit()
    old.close()
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "from the old transaction"
    assert_equal_both_ways(orders)


@pytest.fixture
def preparing(make_cluster, make_database):
    """A database, and a transaction whose PREPARE stops in the middle, where it is listed as itself and as what it becomes: it waits for a standby that there is not."""
    cluster = make_cluster("preparing", {"synchronous_standby_names": "'nobody'", "synchronous_commit": "local"})
    make_template(cluster)
    database = make_database(on=cluster)
    connection = database.connect(options="-c synchronous_commit=on")
    thread = threading.Thread(target=lambda: connection.cursor().execute("PREPARE TRANSACTION 'slowly'"))
    backend = connection.info.backend_pid

    def steps():
        connection.cursor().execute("BEGIN; UPDATE shop.orders SET status = 'prepared' WHERE id = 1")
        yield
        thread.start()
        until(lambda: database.one("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", backend) == "SyncRep", "PREPARE waits for its standby")
        yield

    yield database, steps()
    database.sql("SELECT pg_cancel_backend(%s)", backend)
    thread.join(20)
    connection.close()
    database.sql("ROLLBACK PREPARED 'slowly'")


def test_a_version_does_not_fall_while_a_transaction_is_being_prepared(preparing):
    """It is in two places then, and still one transaction."""
    database, steps = preparing
    next(steps)
    database.sql("UPDATE shop.orders SET status = 'younger' WHERE id = 2")
    before = database.one("SELECT conveyor.snapshot_version(1)")
    next(steps)
    database.close()  # a session may use the snapshot again that it took before
    during, snapshot = database.sql("SELECT conveyor.snapshot_version(1), conveyor.latest_snapshot()::text")[0]
    running = snapshot.split(":")[2].split(",")
    assert running != [""] and len(running) == len(set(running)), snapshot
    assert during >= before, f"{during}, before {before}"


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_prepared_transaction_counts_from_its_end(live_orders, database, end):
    orders, agent = live_orders
    name = f"{database.name}_{end}"
    database.sql(f"BEGIN; UPDATE shop.orders SET status = 'prepared' WHERE id <= 5; DELETE FROM shop.orders WHERE id = 6; PREPARE TRANSACTION '{name}'")
    try:
        database.sql("UPDATE shop.orders SET status = 'meanwhile' WHERE id = 10")
        orders.wait_delivered(agent)
        assert orders.search.get(orders.alias, "1")["status"] == "new"
        assert orders.search.get(orders.alias, "10")["status"] == "meanwhile"
    finally:
        database.sql(f"{end} PREPARED '{name}'")
    orders.wait_delivered(agent)
    assert (orders.search.get(orders.alias, "6") is None) == (end == "COMMIT")
    assert_equal_both_ways(orders)


def test_a_prepared_transaction_survives_a_crash_and_is_delivered_afterwards(live_orders, database):
    orders, agent = live_orders
    name = f"{database.name}_crash"
    database.sql(f"BEGIN; UPDATE shop.orders SET status = 'prepared' WHERE id <= 5; PREPARE TRANSACTION '{name}'")
    database.close()
    database.cluster.restart("immediate")
    database.sql("UPDATE shop.orders SET status = 'meanwhile' WHERE id = 10")
    orders.wait_delivered(agent)
    database.sql(f"COMMIT PREPARED '{name}'")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "prepared"
    assert_equal_both_ways(orders)


def test_a_document_deleted_and_inserted_in_turns_ends_as_the_database_has_it(live_orders, database):
    orders, agent = live_orders
    for round in range(30):
        database.sql("DELETE FROM shop.orders WHERE id BETWEEN 1 AND 20")
        if round % 3 == 0:
            orders.wait_delivered(agent)
        database.sql("INSERT INTO shop.orders (id, status) SELECT n, %s FROM generate_series(1, 20) n", f"round {round}")
        if round % 5 == 0:
            orders.wait_delivered(agent)
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)
