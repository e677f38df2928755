"""What makes a document's id: every type, several columns, partitions; and keys that cannot be ids."""

import pytest

from equality import assert_equal_both_ways
from shop import create_delivery


@pytest.fixture
def deliver(database, search, alias, make_target):
    """Runs `schema`, makes a feed of `view` (watching `root`) and a delivery of it."""

    def make(schema, key=("id",), view="shop.thing_document", root="shop.thing", documents=None, has_root=True):
        database.sql(schema)
        make_target(search.url)
        database.sql("SELECT conveyor.create_feed('things', %s::text::regclass, %s::text[], %s::text::regclass)", view, list(key), root if has_root else None)
        columns = [row[0] for row in database.sql("SELECT attname FROM pg_attribute WHERE attrelid = %s::text::regclass AND attnum > 0", root)]
        documents = documents or f"SELECT {', '.join(key)} FROM changed"
        database.sql("SELECT conveyor.add_watch('things', %s::text::regclass, %s::text[], %s)", root, columns, documents)
        return create_delivery(database, search, alias, "things_to_search", "things", view=view, key=key)

    return make


def test_a_composite_key_becomes_a_json_array(deliver, database, search, start_agent):
    things = deliver(
        """CREATE TABLE shop.thing (tenant text, number int, value text, PRIMARY KEY (tenant, number));
        CREATE VIEW shop.thing_document AS SELECT tenant, number, value FROM shop.thing;
        INSERT INTO shop.thing SELECT 'tenant "' || n % 3, n, 'v' FROM generate_series(1, 500) n""",
        key=("tenant", "number"),
    )
    agent = start_agent(database)
    things.wait_delivered(agent)
    assert search.get(things.alias, '["tenant \\"1","4"]')["value"] == "v"
    database.sql("UPDATE shop.thing SET value = 'w' WHERE number < 10; DELETE FROM shop.thing WHERE number = 20; UPDATE shop.thing SET tenant = 'moved' WHERE number = 30")
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 499


@pytest.mark.parametrize(
    "type, value",
    [
        ("text", "'käy/with ? # % and spaces ' || n"),
        ("uuid", "md5(n::text)::uuid"),
        ("numeric", "n / 8.0"),
        ("timestamptz", "'2026-03-29 00:30+01'::timestamptz + n * interval '7 minutes 1 microsecond'"),
        ("bytea", "decode(md5(n::text), 'hex')"),
        ("date", "'2026-01-01'::date + n"),
    ],
)
def test_a_key_of_any_type_is_its_text(deliver, database, start_agent, type, value):
    things = deliver(
        f"""CREATE TABLE shop.thing (id {type} PRIMARY KEY, value int);
        CREATE VIEW shop.thing_document AS SELECT id, value FROM shop.thing;
        INSERT INTO shop.thing SELECT {value}, n FROM generate_series(1, 300) n"""
    )
    agent = start_agent(database)
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 300
    database.sql(f"UPDATE shop.thing SET value = 0 WHERE value < 50; DELETE FROM shop.thing WHERE value > 250; INSERT INTO shop.thing SELECT {value}, n FROM generate_series(301, 310) n")
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 260


def test_keys_that_are_equal_but_look_different_are_different_documents(deliver, database, start_agent):
    """numeric 1.0 and 1.00 are `=`: an update from one to the other moves the document to another id."""
    things = deliver(
        """CREATE TABLE shop.thing (id numeric PRIMARY KEY, value int);
        CREATE VIEW shop.thing_document AS SELECT id, value FROM shop.thing;
        INSERT INTO shop.thing VALUES (1.0, 1), (2.0, 2)"""
    )
    agent = start_agent(database)
    things.wait_delivered(agent)
    database.sql("UPDATE shop.thing SET id = 1.00 WHERE id = 1")
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 2


def test_a_partitioned_root_is_followed_through_every_partition(deliver, database, start_agent):
    things = deliver(
        """CREATE TABLE shop.thing (id bigint, region text, value text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
        CREATE TABLE shop.thing_north PARTITION OF shop.thing FOR VALUES IN ('north');
        CREATE TABLE shop.thing_south (value text, region text NOT NULL, dropped int, id bigint NOT NULL);
        ALTER TABLE shop.thing_south DROP COLUMN dropped;
        ALTER TABLE shop.thing ATTACH PARTITION shop.thing_south FOR VALUES IN ('south');
        CREATE VIEW shop.thing_document AS SELECT id, region, value FROM shop.thing;
        INSERT INTO shop.thing SELECT n, CASE n % 2 WHEN 0 THEN 'north' ELSE 'south' END, 'v' FROM generate_series(1, 1000) n""",
        key=("id", "region"),
    )
    agent = start_agent(database)
    things.wait_delivered(agent)
    database.sql("UPDATE shop.thing SET value = 'through the parent' WHERE id < 50")
    database.sql("UPDATE shop.thing_south SET value = 'directly' WHERE id BETWEEN 50 AND 99")
    database.sql("INSERT INTO shop.thing_north VALUES (2000, 'north', 'directly')")
    database.sql("UPDATE shop.thing SET region = 'north' WHERE id = 101")
    database.sql("DELETE FROM shop.thing_south WHERE id = 103")
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 1000

    database.sql("TRUNCATE shop.thing_south")
    things.wait_delivered(agent)
    assert_equal_both_ways(things)


@pytest.mark.every_server
def test_a_key_over_512_bytes_is_a_dead_letter_and_holds_nothing_back(deliver, database, start_agent):
    things = deliver(
        """CREATE TABLE shop.thing (id text PRIMARY KEY, value int);
        CREATE VIEW shop.thing_document AS SELECT id, value FROM shop.thing;
        INSERT INTO shop.thing SELECT 'key ' || n, n FROM generate_series(1, 1000) n;
        INSERT INTO shop.thing VALUES (repeat('x', 513), 1), (repeat('y', 512), 2), (repeat('ä', 300), 3)"""
    )
    agent = start_agent(database)
    things.wait_delivered(agent)
    too_long = {"x" * 513, "ä" * 300}
    assert set(things.dead_letters()) == too_long
    assert assert_equal_both_ways(things, dead=too_long) == 1001

    database.sql("DELETE FROM shop.thing WHERE id = repeat('x', 513)")
    database.sql("UPDATE shop.thing SET value = 0 WHERE id = repeat('ä', 300)")
    things.wait_delivered(agent)
    assert set(things.dead_letters()) <= too_long
    assert assert_equal_both_ways(things, dead=too_long) == 1001


def test_a_key_that_is_null_or_twice_in_the_view_is_a_dead_letter(deliver, database, start_agent):
    things = deliver_shown_as(deliver)
    agent = start_agent(database)
    things.wait_delivered(agent)
    assert "7" in things.dead_letters()
    assert things.dead_letters()["7"][0] == "duplicate_key"
    assert any(type == "null_key" for type, _ in things.dead_letters().values())
    assert_equal_both_ways(things, where="id IS NOT NULL AND id <> 7", dead={"7"})

    database.sql("UPDATE shop.thing SET shown_as = number")
    things.wait_delivered(agent)
    assert "7" not in things.dead_letters()
    assert_equal_both_ways(things)


def deliver_shown_as(deliver):
    """A view whose key is not the root's: two rows may show the same one, or none."""
    return deliver(
        """CREATE TABLE shop.thing (number bigint PRIMARY KEY, shown_as bigint);
        CREATE VIEW shop.thing_document AS SELECT shown_as AS id, number FROM shop.thing;
        INSERT INTO shop.thing SELECT n, n FROM generate_series(1, 500) n;
        UPDATE shop.thing SET shown_as = 7 WHERE number = 8;
        UPDATE shop.thing SET shown_as = NULL WHERE number = 9""",
        documents="SELECT shown_as FROM changed",
        has_root=False,
    )
