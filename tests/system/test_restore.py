"""A database that comes from a dump or from a point in time: its definitions are there, and nothing is sent until someone says so."""

import os
import shutil

import pytest

from database import AGENT_ROLE, Database, make_template
from equality import assert_equal_both_ways
from shop import ORDERS, create_delivery, create_feed
from waiting import holds, until

DEFINITIONS = {
    "feed_definition": "feed, document_view, key, key_types, root, root_key, relations, search_path, options, owner",
    "watch": "feed, relation, columns, documents, recorded, derived",
    "target_definition": "target, kind, options",
    "delivery_definition": "delivery, feed, target, destination, options, owner",
}


def definitions(database):
    return {table: database.sql(f"SELECT ({columns})::text FROM (SELECT {columns} FROM conveyor.{table}) AS t ORDER BY 1") for table, columns in DEFINITIONS.items()}


def run_remedies(database, expected):
    """Runs what the audit prints until it prints nothing more; returns what was run."""
    ran = []
    while rows := database.sql("SELECT remedy FROM conveyor.audit()"):
        remedy = rows[0][0]
        assert len(ran) < expected, (ran, rows)
        database.sql(remedy)
        ran.append(remedy)
    return ran


@pytest.fixture(scope="module")
def elsewhere(make_cluster):
    """Another cluster, where the role of the agents is."""
    cluster = make_cluster("restored-elsewhere")
    connection = cluster.connect("postgres")
    connection.cursor().execute(f"CREATE ROLE conveyor_agent NOLOGIN; CREATE ROLE {AGENT_ROLE} LOGIN IN ROLE conveyor_agent")
    connection.close()
    return cluster


@pytest.mark.parametrize("form", ["sql", "custom"])
def test_a_dump_brings_the_definitions_and_nothing_is_sent_until_someone_says_so(live_orders, database, elsewhere, search, start_agent, form):
    orders, agent = live_orders
    # A view that the dump can make in two steps only: what it groups by is a primary key, and those come late.
    database.sql(
        """CREATE VIEW shop.customer_document AS
               SELECT c.id, c.name, count(o.id) AS orders FROM shop.customers c LEFT JOIN shop.orders o ON o.customer_id = c.id GROUP BY c.id"""
    )
    database.sql("SELECT conveyor.create_feed('customers', 'shop.customer_document')")
    database.sql("SELECT conveyor.add_watch('customers', 'shop.orders', '{customer_id}', 'SELECT customer_id FROM changed')")
    assert agent.terminate() == 0
    file = f"{database.cluster.directory}/{database.name}.{form}"
    database.cluster.dump(database.name, file, *(["-Fc"] if form == "custom" else []))
    database.sql("UPDATE shop.orders SET status = 'after the dump' WHERE id = 1")

    connection = elsewhere.connect("postgres")
    connection.cursor().execute(f"CREATE DATABASE {database.name}_{form} TEMPLATE template0")
    connection.close()
    copy = Database(elsewhere, f"{database.name}_{form}")
    elsewhere.load_dump(copy.name, file)
    assert definitions(copy) == definitions(database)
    assert copy.one("SELECT count(*) FROM conveyor.delivery_state") == 0
    assert copy.one("SELECT count(*) FROM conveyor.request") == 0
    # The tables have triggers of captures that there are not here: writers do not notice, also those who stay.
    writer = copy.connect()
    writer.cursor().execute("UPDATE shop.orders SET status = 'in the copy' WHERE id = 2")

    heir = start_agent(copy, name="heir")
    copied = create_view_of(orders, copy)
    copied.wait_state("waiting")
    holds(lambda: copied.state() == "waiting" and search.count(orders.alias) == ORDERS and search.get(orders.alias, "2")["status"] == "new", "something was sent", 2)
    heir.assert_alive()
    assert run_remedies(copy, 1) == ["SELECT conveyor.confirm_epoch()"]
    # It speaks for itself now, and still does not write into the index of the other one.
    copied.wait_status(lambda status: "not made by this delivery" in (status["throttle"] or ""), "the index is another's")
    assert search.get(orders.alias, "2")["status"] == "new"
    copy.sql("SELECT conveyor.drop_delivery(%s)", orders.name)
    copied = create_delivery(copy, search, f"{database.name}-copy-{form}")
    copied.wait_delivered(heir)
    writer.cursor().execute("UPDATE shop.orders SET status = 'of a session that was there before' WHERE id = 3")
    writer.close()
    copied.wait_delivered(heir)
    assert search.get(copied.alias, "3")["status"] == "of a session that was there before"
    assert assert_equal_both_ways(copied) == ORDERS
    # A feed that had no delivery when it was dumped.
    customers = create_delivery(copy, search, f"{database.name}-customers-{form}", name="customers", feed="customers", view="shop.customer_document")
    customers.wait_delivered(heir)
    copy.sql("UPDATE shop.customers SET name = 'Renamed' WHERE id = 1; DELETE FROM shop.orders WHERE id <= 200")
    customers.wait_delivered(heir)
    assert_equal_both_ways(customers)
    assert copy.sql("SELECT * FROM conveyor.audit()") == []
    copy.close()


def create_view_of(delivery, database):
    """The same delivery as another database has it."""
    other = type(delivery)(database, delivery.search, delivery.name, delivery.feed, delivery.view, delivery.key, delivery.alias)
    until(lambda: other.status() is not None, "the delivery has a state")
    return other


@pytest.fixture
def archived(make_cluster, make_database, directory):
    """A database of a cluster that archives its WAL: (database, folder of the archive)."""
    archive = directory / "archive"
    archive.mkdir()
    if os.geteuid() == 0:
        shutil.chown(archive, "postgres", "postgres")
    cluster = make_cluster("archived", {"archive_mode": "on", "archive_command": f"'cp %p {archive}/%f'", "wal_level": "replica"})
    make_template(cluster)
    return make_database(on=cluster), archive


def test_a_point_in_time_recovery_mends_the_target_and_a_second_one_from_the_same_backup_too(archived, make_cluster, search, start_agent, directory):
    database, archive = archived
    cluster = database.cluster
    database.sql("SELECT conveyor.create_target('search', 'elasticsearch', jsonb_build_object('url', %s))", search.url)
    create_feed(database)
    orders = create_delivery(database, search, f"{database.name}-orders")
    agent = start_agent(database)
    orders.wait_delivered(agent)
    backup = directory / "backup"
    cluster.backup(backup)
    database.sql("UPDATE shop.orders SET status = 'before the first point' WHERE id <= 10")
    orders.wait_delivered(agent)
    database.sql("SELECT pg_create_restore_point('first')")
    database.sql("UPDATE shop.orders SET status = 'before the second point' WHERE id <= 10")
    orders.wait_delivered(agent)
    database.sql("SELECT pg_create_restore_point('second')")
    # Delivered, and lost by the recovery.
    database.sql("INSERT INTO shop.orders (id, status) VALUES (900001, 'lost'); DELETE FROM shop.orders WHERE id = 5; UPDATE shop.orders SET status = 'lost' WHERE id = 6")
    orders.wait_delivered(agent)
    agent.kill()
    database.close()
    cluster.stop()  # the last segment is archived on the way out

    epochs = []
    for point in ("second", "first"):
        restored = cluster.restored(directory / f"restored-{point}", backup, archive, point)
        make_cluster.adopt(restored)
        copy = Database(restored, database.name)
        after = f"after the recovery to the {point} point"
        copy.sql("UPDATE shop.orders SET status = %s WHERE id = 7", after)
        copied = create_view_of(orders, copy)
        lost = search.get(orders.alias, "6")
        heir = start_agent(copy, name=f"after-{point}")
        copied.wait_state("waiting")
        holds(lambda: search.get(orders.alias, "7")["status"] != after, "pushed before the new epoch was confirmed", 2)
        assert search.get(orders.alias, "6") == lost
        assert run_remedies(copy, 1) == ["SELECT conveyor.confirm_epoch()"]
        copied.wait_delivered(heir)
        assert search.get(orders.alias, "900001") is None
        assert search.get(orders.alias, "6")["status"] == f"before the {point} point"
        assert assert_equal_both_ways(copied) == ORDERS
        epochs.append(copy.one("SELECT epoch FROM conveyor.identity"))
        # More transactions than the next recovery will have seen.
        for number in range(50):
            copy.sql("UPDATE shop.orders SET status = %s WHERE id = 6", f"{point} {number}")
        copied.wait_delivered(heir)
        assert heir.terminate() == 0
        copy.close()
        restored.stop()  # its timeline is archived too
    assert epochs[0] < epochs[1], epochs
