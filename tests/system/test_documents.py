"""Documents that are hard to write: values that JSON or the target do not know, and very large ones."""

import pytest

from equality import assert_equal_both_ways
from shop import create_delivery

MEGABYTE = 1_000_000  # 50 of them fit just under the indexing pressure that a heap of 512 MB allows


def deliver(database, search, alias, make_target, type, value, rows, options=None):
    """A feed of (id, value) with `rows` rows of value `value` (an expression of n)."""
    database.sql(f"CREATE TABLE shop.thing (id bigint PRIMARY KEY, value {type}); CREATE VIEW shop.thing_document AS SELECT id, value FROM shop.thing")
    database.sql(f"INSERT INTO shop.thing SELECT n, {value} FROM generate_series(1, {rows}) n")
    make_target(search.url)
    database.sql("SELECT conveyor.create_feed('things', 'shop.thing_document')")
    database.sql("SELECT conveyor.add_watch('things', 'shop.thing', '{id,value}', 'SELECT id FROM changed')")
    return create_delivery(database, search, alias, "things_to_search", "things", options=options, view="shop.thing_document")


@pytest.mark.every_server
def test_json_with_raw_newlines_stays_one_document(database, search, alias, make_target, start_agent):
    things = deliver(database, search, alias, make_target, "json", "(E'{\"a\":\\n\\r\\n  [1,\\n2], \"b\": \"x\\\\ny\"}')::json", 200)
    agent = start_agent(database)
    things.wait_delivered(agent)
    database.sql("UPDATE shop.thing SET value = E'{\\n\"c\"\\t:\\n{\\n}}' WHERE id < 50")
    things.wait_delivered(agent)
    assert things.dead_letters() == {}
    assert assert_equal_both_ways(things) == 200


@pytest.mark.every_server
def test_a_document_does_not_depend_on_the_settings_of_who_reads_or_owns_it(database, search, alias, make_target, start_agent):
    for setting in ("TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German'", "IntervalStyle = 'sql_standard'", "bytea_output = 'escape'", "extra_float_digits = -3"):
        database.sql(f"ALTER DATABASE {database.name} SET {setting}")
    database.close()
    values = "ROW('2026-01-01'::timestamptz + n * interval '1 hour', n * interval '1 day 1 second', decode(md5(n::text), 'hex'), n / 7.0::float8, current_setting('TimeZone'))"
    database.sql("CREATE TYPE shop.mixture AS (at timestamptz, after interval, bytes bytea, number float8, zone text)")
    things = deliver(database, search, alias, make_target, "shop.mixture", f"{values}::shop.mixture", 100)
    agent = start_agent(database)
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 100


@pytest.mark.every_server
def test_a_value_whose_type_does_not_become_json_is_a_dead_letter_and_holds_nothing_back(database, search, alias, make_target, start_agent):
    """A type's own cast to json makes the JSON, and may fail for a value: as it is filled, and as it changes."""
    database.sql(
        """CREATE TYPE shop.fragile AS ENUM ('whole', 'broken');
        CREATE FUNCTION shop.fragile_json(shop.fragile) RETURNS json LANGUAGE plpgsql IMMUTABLE AS
            'BEGIN IF $1 = ''broken'' THEN RAISE EXCEPTION ''there is no JSON for it''; END IF; RETURN to_json($1::text); END';
        CREATE CAST (shop.fragile AS json) WITH FUNCTION shop.fragile_json(shop.fragile)"""
    )
    things = deliver(database, search, alias, make_target, "shop.fragile", "CASE n WHEN 7 THEN 'broken' ELSE 'whole' END::shop.fragile", 50)
    agent = start_agent(database)
    things.wait_delivered(agent)
    database.sql("UPDATE shop.thing SET value = 'broken' WHERE id = 8; INSERT INTO shop.thing VALUES (100, 'whole')")
    things.wait_delivered(agent)
    dead = things.dead_letters()
    assert set(dead) == {"7", "8"} and all("there is no JSON for it" in reason for _, reason in dead.values()), dead
    assert search.get(alias, "100") == {"id": 100, "value": "whole"}
    database.sql("UPDATE shop.thing SET value = 'whole' WHERE id IN (7, 8)")
    things.wait_delivered(agent)
    assert things.dead_letters() == {}
    assert assert_equal_both_ways(things) == 51


def test_a_document_of_50_megabytes_arrives_and_its_memory_is_given_back(database, search, alias, make_target, start_agent):
    mapping = {"index": {"mappings": {"properties": {"value": {"type": "object", "enabled": False}}}}}
    things = deliver(database, search, alias, make_target, "jsonb", "jsonb_build_object('n', n)", 50, mapping)
    agent = start_agent(database)
    things.wait_delivered(agent)
    database.sql(f"UPDATE shop.thing SET value = jsonb_build_object('text', repeat('0123456789abcde ', {50 * MEGABYTE // 16})) WHERE id = 7")
    database.sql("UPDATE shop.thing SET value = '{\"beside\": 1}' WHERE id <> 7")
    things.wait_delivered(agent, timeout=60)
    assert things.dead_letters() == {}
    assert len(search.get(alias, "7")["value"]["text"]) == 50 * MEGABYTE
    database.sql("UPDATE shop.thing SET value = '{}' WHERE id = 7")
    things.wait_delivered(agent)
    assert assert_equal_both_ways(things) == 50


def test_a_document_over_the_targets_limit_is_a_dead_letter_and_holds_nothing_back(database, search, alias, make_target, start_agent):
    mapping = {"index": {"mappings": {"properties": {"value": {"type": "object", "enabled": False}}}}}
    things = deliver(database, search, alias, make_target, "jsonb", "jsonb_build_object('n', n)", 50, mapping)
    # Past http.max_content_length, 100 MB by default.
    database.sql(f"UPDATE shop.thing SET value = jsonb_build_object('text', repeat('0123456789abcde ', {110 * MEGABYTE // 16})) WHERE id = 7")
    agent = start_agent(database)
    things.wait_delivered(agent, timeout=60)
    assert list(things.dead_letters()) == ["7"]
    database.sql("UPDATE shop.thing SET value = '{}' WHERE id = 7")
    things.wait_delivered(agent)
    assert things.dead_letters() == {}
    assert assert_equal_both_ways(things) == 50
