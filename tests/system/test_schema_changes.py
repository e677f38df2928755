"""DDL on what documents are made of, while an agent delivers and applications write: the feed follows, or waits and says what to do."""

import psycopg2
import pytest

from equality import assert_equal_both_ways, view_documents
from load import Load
from shop import ORDERS, create_delivery
from waiting import holds, until


def audited(database, *words):
    """Rows of the audit that concern these words: (object, problem, remedy)."""
    rows = database.sql("SELECT object, problem, remedy FROM conveyor.audit()")
    return [row for row in rows if all(word in " ".join(row) for word in words)]


def view_text(database, view="shop.order_document"):
    return database.one("SELECT pg_get_viewdef(%s::text::regclass)", view).rstrip(";")


def replace_view(database, old, new, view="shop.order_document"):
    text = view_text(database, view)
    assert old in text, text
    database.sql(f"CREATE OR REPLACE VIEW {view} AS {text.replace(old, new, 1)}")


def notices(database, text):
    """Runs a statement and returns what the server said meanwhile."""
    connection = database.connect()
    connection.cursor().execute(text)
    said = "".join(connection.notices)
    connection.close()
    return said


def test_a_view_that_is_replaced_is_followed_while_rows_change(live_orders, database):
    orders, agent = live_orders
    with Load(database, rate=100) as load:
        until(lambda: load.committed > 50, "some writes")
        # Other contents in a column that is there, one that is not.
        replace_view(database, "o.status", "upper(o.status) AS status")
        committed = load.committed
        until(lambda: load.committed > committed + 50, "more writes")
        replace_view(database, "o.attributes,", "o.attributes || '{\"seen\": true}' AS attributes,")
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) > 0
    text = view_text(database)
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS SELECT q.*, length(q.status) AS letters FROM ({text}) q")
    orders.wait_delivered(agent)
    last = str(database.one("SELECT max(id) FROM shop.orders"))
    assert orders.search.get(orders.alias, last)["letters"] == len(orders.search.get(orders.alias, last)["status"])
    assert_equal_both_ways(orders)
    # The same again is nothing to do.
    sent = orders.status()["documents_sent"]
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {view_text(database)}")
    orders.wait_delivered(agent)
    assert orders.status()["documents_sent"] == sent


def test_a_function_that_the_view_calls_and_a_value_of_a_type_count_as_the_view(orders, database, start_agent):
    database.sql("CREATE TYPE shop.rank AS ENUM ('low', 'high'); ALTER TABLE shop.orders ADD rank shop.rank DEFAULT 'low'")
    database.sql("CREATE FUNCTION shop.worded(shop.rank) RETURNS text LANGUAGE sql IMMUTABLE RETURN $1::text")
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS SELECT q.*, r.rank, shop.worded(r.rank) AS words FROM ({view_text(database)}) q JOIN shop.orders r USING (id)")
    agent = start_agent(database)
    orders.wait_delivered(agent)
    database.sql("CREATE OR REPLACE FUNCTION shop.worded(shop.rank) RETURNS text LANGUAGE sql IMMUTABLE RETURN 'of rank ' || $1::text")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["words"] == "of rank low"
    database.sql("ALTER TYPE shop.rank RENAME VALUE 'low' TO 'usual'")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["rank"] == "usual"
    assert_equal_both_ways(orders)


def test_a_dropped_view_deletes_nothing_and_a_new_one_of_its_name_is_followed(live_orders, database):
    orders, agent = live_orders
    text = view_text(database)
    said = notices(database, "DROP VIEW shop.order_document")
    assert "shop.order_document was dropped" in said and "change_view" in said, said
    database.sql("UPDATE shop.orders SET status = 'unseen' WHERE id <= 100; DELETE FROM shop.orders WHERE id = 101")
    orders.wait_state("waiting")
    holds(lambda: orders.search.count(orders.alias) == ORDERS and orders.state() == "waiting", "something was sent without a view", 2)
    assert database.one("SELECT conveyor.wait_delivered(%s, '100 ms')", orders.name) is False
    with pytest.raises(psycopg2.Error) as refused:
        database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    assert "CREATE VIEW shop.order_document" in refused.value.diag.message_hint
    assert audited(database, "feed orders", "was dropped", "CREATE VIEW shop.order_document")
    database.sql(f"CREATE VIEW shop.order_document AS {text}")
    orders.wait_delivered(agent)
    assert orders.state() == "live"
    assert assert_equal_both_ways(orders) == ORDERS - 1
    assert audited(database, "order") == []


def test_columns_come_go_and_change_under_a_delivery(live_orders, database):
    """Where the view is in the way of a column's new type, it is dropped and made anew: in one transaction, under load."""
    orders, agent = live_orders

    def with_another_type():
        text = view_text(database).replace("o.total", "o.total + 0.0001 AS total")
        return f"BEGIN; DROP VIEW shop.order_document; ALTER TABLE shop.orders ALTER total TYPE numeric(14,4); CREATE VIEW shop.order_document AS {text}; COMMIT"

    with Load(database, rate=100) as load:
        for ddl in (
            "ALTER TABLE shop.orders ADD note text DEFAULT 'none'",
            "ALTER TABLE shop.orders RENAME note TO remark",
            "ALTER TABLE shop.orders DROP remark",
            "ALTER TABLE shop.orders RENAME placed_at TO ordered_at",
            "ALTER TABLE shop.customers RENAME city TO town",
            "ALTER TABLE shop.customers ADD since date DEFAULT '2020-01-01'",
            with_another_type,
        ):
            committed = load.committed
            database.sql(ddl() if callable(ddl) else ddl)
            until(lambda: load.committed > committed + 20, "writes in between")
    orders.wait_delivered(agent)
    assert orders.state() == "live"
    assert assert_equal_both_ways(orders) > 0
    assert audited(database, "order") == []


def test_a_table_that_is_swapped_by_its_name_is_named_and_the_printed_command_leads_to_the_new_one(live_orders, database):
    orders, agent = live_orders
    database.sql("CREATE TABLE shop.orders_new (LIKE shop.orders INCLUDING ALL); INSERT INTO shop.orders_new SELECT * FROM shop.orders")
    database.sql("SELECT setval(pg_get_serial_sequence('shop.orders_new', 'id'), 200000)")
    said = notices(database, "BEGIN; ALTER TABLE shop.orders RENAME TO orders_old; ALTER TABLE shop.orders_new RENAME TO orders; COMMIT")
    assert "shop.orders is another table now" in said and "shop.orders_old" in said, said
    database.sql("UPDATE shop.orders SET status = 'in the new one' WHERE id = 1")
    database.sql("UPDATE shop.orders_old SET status = 'in the old one' WHERE id = 2")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "new"
    assert orders.search.get(orders.alias, "2")["status"] == "in the old one"
    assert_equal_both_ways(orders)
    with Load(database, rate=100) as load:
        until(lambda: load.committed > 50, "some writes")
        [(_, _, remedy)] = audited(database, "is another table now")
        assert remedy.startswith("CREATE OR REPLACE VIEW shop.order_document"), remedy
        database.sql(remedy)
        committed = load.committed
        until(lambda: load.committed > committed + 50, "writes into the new one")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)
    assert audited(database, "is another table now") == []


def test_a_table_that_is_written_anew_in_its_place_changes_nothing(live_orders, database):
    """VACUUM FULL and CLUSTER exchange the file behind a table, as pg_repack does."""
    orders, agent = live_orders
    sent = orders.status()["documents_sent"]
    database.sql("VACUUM FULL shop.orders")
    database.sql("CLUSTER shop.items USING items_order_id_idx")
    orders.wait_delivered(agent)
    assert orders.status()["documents_sent"] == sent
    database.sql("UPDATE shop.orders SET status = 'afterwards' WHERE id = 1; UPDATE shop.items SET quantity = 77 WHERE order_id = 2")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


@pytest.mark.every_server
def test_a_column_that_the_index_has_no_mapping_for_brings_the_offer_of_a_rebuild_which_gives_it_one(live_orders, database, search):
    orders, agent = live_orders
    # Words, though they look like a date: that they do is what a server guesses by.
    database.sql("ALTER TABLE shop.orders ADD motto text DEFAULT '2026-01-01'")
    said = notices(database, f"CREATE OR REPLACE VIEW shop.order_document AS SELECT q.*, r.motto FROM ({view_text(database)}) q JOIN shop.orders r USING (id)")
    assert "was made before there were these columns: motto" in said and f"conveyor.rebuild('{orders.name}')" in said, said
    orders.wait_delivered(agent)
    assert search.mapping(orders.index())["properties"]["motto"]["type"] == "date"
    [(_, _, remedy)] = audited(database, f"delivery {orders.name}", "motto")
    database.sql(remedy)
    assert audited(database, "motto") == []
    orders.wait_rebuild("kept", agent)
    assert search.mapping(orders.index())["properties"]["motto"]["type"] == "text"
    database.sql("UPDATE shop.orders SET motto = 'no date at all', status = 'changed' WHERE id = 1")
    orders.wait_delivered(agent)
    assert search.get(orders.alias, "1")["motto"] == "no date at all"
    assert_equal_both_ways(orders)
    assert audited(database, "motto") == []


@pytest.fixture
def readings(database, search, alias, make_target, start_agent):
    """A delivery of a partitioned table whose documents have rows of a table with a child: (delivery, agent)."""
    database.sql(
        """CREATE TABLE shop.reading (id int, day int, value text, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
        CREATE TABLE shop.reading_0 PARTITION OF shop.reading FOR VALUES FROM (0) TO (10);
        CREATE TABLE shop.remark (id int PRIMARY KEY, reading int, words text);
        CREATE INDEX ON shop.remark (reading);
        INSERT INTO shop.reading SELECT n, n % 10, 'v' FROM generate_series(1, 100) n;
        CREATE VIEW shop.reading_document AS
            SELECT r.id, r.day, r.value, (SELECT array_agg(m.words ORDER BY m.id, m.words) FROM shop.remark m WHERE m.reading = r.id) AS remarks FROM shop.reading r"""
    )
    make_target(search.url)
    database.sql("SELECT conveyor.create_feed('readings', 'shop.reading_document')")
    database.sql("SELECT conveyor.add_watch('readings', 'shop.remark', '{reading,words}', 'SELECT r.id, r.day FROM changed c JOIN shop.reading r ON r.id = c.reading')")
    delivery = create_delivery(database, search, alias, name="readings", feed="readings", view="shop.reading_document", key=("id", "day"))
    agent = start_agent(database)
    delivery.wait_delivered(agent)
    return delivery, agent


def test_partitions_and_children_that_come_and_go_are_followed(readings, database):
    delivery, agent = readings
    for step, documents in (
        ("CREATE TABLE shop.reading_1 PARTITION OF shop.reading FOR VALUES FROM (10) TO (20); INSERT INTO shop.reading VALUES (200, 15, 'new')", 101),
        ("CREATE TABLE shop.reading_2 (LIKE shop.reading); INSERT INTO shop.reading_2 VALUES (300, 25, 'attached')", 101),
        ("ALTER TABLE shop.reading ATTACH PARTITION shop.reading_2 FOR VALUES FROM (20) TO (30)", 102),
        ("UPDATE shop.reading_2 SET value = 'directly'", 102),
        ("UPDATE shop.reading SET day = 16 WHERE id = 300", 102),
        ("ALTER TABLE shop.reading DETACH PARTITION shop.reading_1", 100),
        ("UPDATE shop.reading_1 SET value = 'outside'; INSERT INTO shop.reading_1 VALUES (400, 11, 'outside')", 100),
        ("CREATE TABLE shop.late_remark (at timestamptz) INHERITS (shop.remark)", 100),
        ("INSERT INTO shop.late_remark VALUES (1, 1, 'from a child', now())", 100),
        ("TRUNCATE shop.late_remark", 100),
        ("DROP TABLE shop.late_remark; DROP TABLE shop.reading_2", 100),
        ("TRUNCATE shop.reading_0", 0),
    ):
        database.sql(step)
        delivery.wait_delivered(agent)
        assert assert_equal_both_ways(delivery) == documents, step
    assert audited(database, "reading") == []


def test_what_would_lose_changes_is_refused_and_the_error_says_what_to_run_first(live_orders, database):
    orders, agent = live_orders
    [(trigger,)] = database.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.items'::regclass AND tgname LIKE 'conveyor_capture_%'")
    with pytest.raises(psycopg2.Error) as refused:
        database.sql(f"DROP TRIGGER {trigger} ON shop.items")
    hint = refused.value.diag.message_hint
    assert hint == "Run SELECT conveyor.drop_watch('orders', 'shop.items') first.", hint
    assert "enabled again" in notices(database, "ALTER TABLE shop.items DISABLE TRIGGER ALL")
    database.sql("UPDATE shop.items SET quantity = 55 WHERE order_id = 1")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)
    database.sql("SELECT conveyor.drop_watch('orders', 'shop.items')")
    assert database.one("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.items'::regclass AND tgname LIKE 'conveyor_%'") == 0


def test_what_was_done_behind_the_event_triggers_is_named_and_the_printed_commands_mend_it(live_orders, database):
    orders, agent = live_orders
    names = [name for (name,) in database.sql("SELECT evtname FROM pg_event_trigger WHERE evtname LIKE 'conveyor%'")]
    triggers = [name for (name,) in database.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'shop.items'::regclass AND tgname LIKE 'conveyor%'")]
    for name in names:
        database.sql(f"ALTER EVENT TRIGGER {name} DISABLE")
    for name in triggers:
        database.sql(f"DROP TRIGGER {name} ON shop.items")
    replace_view(database, "o.status", "lower(o.status) || '!' AS status")
    database.sql("UPDATE shop.items SET quantity = 99 WHERE order_id <= 10; DELETE FROM shop.items WHERE order_id = 11")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["items"][0]["quantity"] != 99, "it was captured: the test shows nothing"
    rows = database.sql("SELECT problem, remedy FROM conveyor.audit()")
    assert {"is missing or not ENABLE ALWAYS"} < {problem for problem, _ in rows}
    for _, remedy in rows:
        database.sql(remedy)
    assert database.sql("SELECT * FROM conveyor.audit()") == []
    orders.wait_delivered(agent)
    for (request,) in database.sql("SELECT id FROM conveyor.resync_status WHERE delivery = %s", orders.name):
        orders.wait_request(request, agent)
    assert_equal_both_ways(orders)
    database.sql("UPDATE shop.items SET quantity = 77 WHERE order_id = 12")
    orders.wait_delivered(agent)
    assert_equal_both_ways(orders)


def test_a_view_that_cannot_be_followed_holds_its_own_delivery_only(live_orders, database, search, start_agent):
    orders, agent = live_orders
    database.sql("CREATE VIEW shop.customer_document AS SELECT id, name FROM shop.customers")
    database.sql("SELECT conveyor.create_feed('customers', 'shop.customer_document')")
    customers = create_delivery(database, search, f"{database.name}-customers", name="customers", feed="customers", view="shop.customer_document")
    customers.wait_delivered(agent)
    before = view_documents(orders)
    text = view_text(database)
    database.sql("CREATE UNLOGGED TABLE shop.draft (id bigint PRIMARY KEY)")
    said = notices(database, f"CREATE OR REPLACE VIEW shop.order_document AS {text} WHERE NOT EXISTS (SELECT FROM shop.draft d WHERE d.id = o.id)")
    assert "shop.draft" in said, said
    database.sql("INSERT INTO shop.draft SELECT generate_series(1, 50)")
    database.sql("UPDATE shop.customers SET name = 'Renamed' WHERE id = 1")
    customers.wait_delivered(agent)
    assert_equal_both_ways(customers)
    assert orders.state() == "waiting"
    assert orders.search.count(orders.alias) == len(before)
    [(_, _, remedy)] = audited(database, "feed orders", "shop.draft")
    assert remedy.startswith("SELECT conveyor.alter_feed('orders', '{\"ignore\": [\"shop.draft\"]}')"), remedy
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {text}")
    orders.wait_delivered(agent)
    assert orders.state() == "live"
    assert_equal_both_ways(orders)


def test_ddl_does_not_fail_for_writers_that_do_not_end_and_is_followed_when_they_have(live_orders, database):
    """A table that is to be watched anew is locked against its writers for a moment; who has little time is not made to wait for that."""
    orders, agent = live_orders
    database.sql("CREATE TABLE shop.orders_2 (LIKE shop.orders INCLUDING ALL); INSERT INTO shop.orders_2 SELECT * FROM shop.orders")
    writer = database.connect(autocommit=False)
    writer.cursor().execute("UPDATE shop.orders_2 SET status = 'by a writer who was there before' WHERE id = 1")
    ddl = database.connect(options="-c statement_timeout=3s")
    text = view_text(database).replace("shop.orders o", "shop.orders_2 o")
    ddl.cursor().execute(f"CREATE OR REPLACE VIEW shop.order_document AS {text}")
    said = "".join(ddl.notices)
    ddl.close()
    assert "could not lock table shop.orders_2" in said and "SELECT conveyor.adapt_feed('orders')" in said, said
    orders.wait_state("waiting")
    writer.commit()
    writer.close()
    [(_, _, remedy)] = audited(database, "feed orders", "could not lock table")
    database.sql(remedy)
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "by a writer who was there before"
    database.sql("UPDATE shop.orders_2 SET status = 'captured' WHERE id = 2")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "2")["status"] == "captured"
    assert_equal_both_ways(orders)


def waiting_for_a_lock(database):
    """How long the agent's session that waits for a lock has done so, in seconds; 0 where none waits."""
    return database.one(
        """SELECT coalesce(max(extract(epoch FROM clock_timestamp() - l.waitstart)), 0)::float8
             FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.usename = 'shipping_agent' AND a.datname = current_database()"""
    )


def test_ddl_on_several_tables_is_not_what_gives_way_to_a_fetch(live_orders, database):
    """A fetch locks orders before customers. Of two sessions that wait for each other the server ends the one that found it out: who came later."""
    orders, agent = live_orders
    ddl = database.connect()
    ddl.cursor().execute("BEGIN; ALTER TABLE shop.customers ADD of_no_use int")
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 10")
    # As long as it takes the server to look for deadlocks, or until the fetch has given way.
    until(lambda: waiting_for_a_lock(database) > 1.2 or "lock timeout" in (orders.status()["last_error"] or ""), lambda: f"the agent meets the lock: {orders.status()}")
    ddl.cursor().execute("ALTER TABLE shop.orders ADD of_no_use int; COMMIT")
    ddl.close()
    orders.wait_delivered(agent, timeout=60)
    assert orders.search.get(orders.alias, "10")["status"] == "changed"
    assert_equal_both_ways(orders)


def test_a_long_transaction_with_ddl_holds_back_its_own_feed_only(live_orders, database):
    orders, agent = live_orders
    database.sql("CREATE VIEW shop.customer_document AS SELECT id, name FROM shop.customers")
    database.sql("SELECT conveyor.create_feed('customers', 'shop.customer_document')")
    customers = create_delivery(database, orders.search, f"{database.name}-customers", name="customers", feed="customers", view="shop.customer_document")
    customers.wait_delivered(agent)
    lease = "SELECT lease, agent FROM conveyor.delivery_state WHERE delivery = %s"
    before = database.sql(lease, customers.name)
    text = view_text(database).replace("o.status", "upper(o.status) AS status", 1)
    ddl = database.connect()
    ddl.cursor().execute(f"BEGIN; CREATE OR REPLACE VIEW shop.order_document AS {text}")
    begun = database.one("SELECT clock_timestamp()")
    rounds = 0
    # Longer than a lease lives without a heartbeat.
    while database.one("SELECT clock_timestamp() - %s < interval '6 s'", begun):
        rounds += 1
        database.sql("UPDATE shop.customers SET name = %s WHERE id <= 10", f"Round {rounds}")
        customers.wait_delivered(agent)
        assert orders.search.get(customers.alias, "1")["name"] == f"Round {rounds}"
    assert database.sql(lease, customers.name) == before
    ddl.cursor().execute("COMMIT")
    ddl.close()
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, "1")["status"] == "NEW"
    assert_equal_both_ways(orders)
