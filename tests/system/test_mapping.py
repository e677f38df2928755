"""What becomes of each of PostgreSQL's types in an index that the delivery makes: kept as it is, or refused with the reason."""

import pytest

from equality import assert_equal_both_ways
from shop import create_delivery

pytestmark = pytest.mark.every_server

TYPES = """
CREATE TYPE shop.colour AS ENUM ('red', 'dark "green"');
CREATE DOMAIN shop.amount AS numeric(40,4) CHECK (value IS DISTINCT FROM 13);
CREATE DOMAIN shop.label AS text;
CREATE TYPE shop.place AS (street text, number int, at timestamptz);
"""

# Column type, the field's type in the index, values that the index takes.
COLUMNS = {
    "int2": ("short", ["32767", "-32768"]),
    "int4": ("integer", ["2147483647", "-2147483648"]),
    "int8": ("long", ["9223372036854775807", "-9223372036854775808"]),
    "float4": ("float", ["3.4e38", "1e-45", "'-0'"]),
    "float8": ("double", ["1.7976931348623157e308", "5e-324", "0.1"]),
    # More digits than a double has are kept, though not searched.
    "numeric": ("double", ["123456789012345678901234567890.123456789", "1.00", "1e300"]),
    "shop.amount": ("double", ["99999999999999999999.0001", "-1"]),
    "bool": ("boolean", ["true", "false"]),
    "text": ("text", ["repeat('long ', 100000)", "repeat('x', 100000)", "''", "E'\\u0001 \\uFFFF \\U0001F600 \\\\ \" \\n'"]),
    "varchar(5)": ("text", ["'abc'"]),
    "char(5)": ("text", ["'abc'"]),
    "shop.label": ("text", ["'a domain'"]),
    "name": ("keyword", ["'pg_class'"]),
    "shop.colour": ("keyword", ["'red'", "'dark \"green\"'"]),
    "uuid": ("keyword", ["'6f9619ff-8b86-d011-b42d-00c04fc964ff'"]),
    "date": ("date", ["'0001-01-01'", "'9999-12-31'", "'2024-02-29'"]),
    "timestamp": ("date", ["'2024-02-29 23:59:59.999999'", "'0001-01-01'"]),
    "timestamptz": ("date", ["'9999-12-31 23:59:59.999999+00'", "'1969-12-31 23:59:59.9+14'"]),
    "time": ("keyword", ["'24:00'", "'12:34:56.123456'"]),
    "interval": ("keyword", ["'1 year -2 days 03:04:05.6'", "'-178000000 years'"]),
    "bytea": ("keyword", ["decode(repeat('00ff', 50000), 'hex')", "''"]),
    "inet": ("ip", ["'10.0.0.1'", "'2001:db8::1'"]),
    "cidr": ("ip_range", ["'10.0.0.0/8'", "'2001:db8::/32'"]),
    "int4range": ("keyword", ["'[1,5)'", "'empty'"]),
    "point": ("keyword", ["'(1,2)'"]),
    "bit(3)": ("keyword", ["'101'"]),
    "int8[]": ("long", ["'{1,NULL,3}'", "'{{1,2},{3,4}}'", "'{}'"]),
    "text[]": ("text", ["'{a,\"b \\\" c\",NULL}'", "'{{a},{b}}'"]),
    "timestamptz[]": ("date", ["'{2024-01-01,9999-12-31}'"]),
    "shop.amount[]": ("double", ["'{1.50,2.25}'"]),
    "shop.place": ("object", ["ROW('Main \"St\"', 5, '2024-01-01')", "ROW(NULL, NULL, NULL)"]),
    "shop.place[]": ("object", ["ARRAY[ROW('a', 1, NULL), ROW('b', NULL, '2024-01-01')]::shop.place[]"]),
    "jsonb": ("object", ["'{\"a\": [2.50, null], \"b\": {\"c\": [[1], [2]]}}'", "'{}'", "'[{\"a\": [3]}, {\"b\": null}]'", "'null'"]),
    "json": ("object", ["E'{\"x\" :\\n 1,\\r\\n\\t\"y\": [ ]}'"]),
}

# What no field of that type can hold.
REFUSED = {
    "float4": ["'NaN'", "'Infinity'"],
    "float8": ["'NaN'", "'-Infinity'"],
    "numeric": ["'NaN'", "'Infinity'", "1e400"],
    "date": ["'infinity'", "'0044-03-15 BC'", "'10000-01-01'"],
    "timestamp": ["'-infinity'", "'294276-01-01'"],
    "timestamptz": ["'infinity'", "'12026-01-01+00'"],
    "inet": ["'10.0.0.1/8'"],
    "jsonb": ["'5'", "'[1, 2]'", "'\"text\"'", "'{\"b\": 5}'", "'{\"\": 1}'"],
    "json": ["'{\"x\": 1, \"x\": 2}'"],
}


@pytest.fixture
def deliver(database, search, alias, make_target):
    """Makes a feed of the table's rows as documents, and a delivery of it."""

    def make(columns, index=None):
        database.sql(TYPES)
        names = [f"c{number}" for number in range(len(columns))]
        database.sql(f"CREATE TABLE shop.thing (id bigint PRIMARY KEY, {', '.join(f'{name} {type}' for name, type in zip(names, columns))})")
        database.sql("CREATE VIEW shop.thing_document AS SELECT * FROM shop.thing")
        make_target(search.url)
        database.sql("SELECT conveyor.create_feed('things', 'shop.thing_document')")
        database.sql("SELECT conveyor.add_watch('things', 'shop.thing', %s, 'SELECT id FROM changed')", ["id", *names])
        options = {"index": {"mappings": {"properties": dict(zip(names, index))}}} if index else None
        return create_delivery(database, search, alias, "things_to_search", "things", options=options, view="shop.thing_document"), dict(zip(columns, names))

    return make


def insert(database, id, column, value):
    database.sql(f"INSERT INTO shop.thing (id, {column}) VALUES ({id}, {value})")


def test_every_type_has_its_field_and_every_value_is_kept_as_it_is(deliver, database, search, start_agent):
    things, columns = deliver(list(COLUMNS))
    values = [(columns[type], value) for type, (_, values) in COLUMNS.items() for value in values]
    # Half of them by the fill, half as live changes.
    for id, (column, value) in enumerate(values[::2]):
        insert(database, 1000 + id, column, value)
    agent = start_agent(database)
    things.wait_delivered(agent)
    for id, (column, value) in enumerate(values[1::2]):
        insert(database, 2000 + id, column, value)
    things.wait_delivered(agent)
    assert things.dead_letters() == {}
    assert assert_equal_both_ways(things) == len(values)
    properties = search.mapping(things.index())["properties"]
    fields = {type: properties[column].get("type", "object") for type, column in columns.items()}
    assert fields == {type: field for type, (field, _) in COLUMNS.items()}


def test_what_a_field_cannot_hold_is_a_dead_letter_that_names_it_and_mended_it_arrives(deliver, database, start_agent):
    things, columns = deliver(list(COLUMNS))
    insert(database, 1, columns["jsonb"], "'{\"b\": {\"c\": 1}}'")  # what `b` is from now on
    agent = start_agent(database)
    things.wait_delivered(agent)
    refused = {}
    for type, values in REFUSED.items():
        for value in values:
            refused[str(100 + len(refused))] = (columns[type], value)
    for id, (column, value) in refused.items():
        insert(database, id, column, value)
        insert(database, int(id) + 1000, column, "NULL")
    things.wait_delivered(agent)
    dead = things.dead_letters()
    assert set(dead) == set(refused), {id: refused[id] for id in set(refused) ^ set(dead)}
    for id, (type, reason) in dead.items():
        column, value = refused[id]
        assert column in reason or "failed to parse: " in reason, (value, type, reason)
    assert assert_equal_both_ways(things, dead=set(refused)) == 1 + len(refused)

    database.sql("DELETE FROM shop.thing WHERE id IN (100, 101); UPDATE shop.thing SET {} WHERE id > 100".format(", ".join(f"{columns[type]} = NULL" for type in REFUSED)))
    things.wait_delivered(agent)
    assert things.dead_letters() == {}
    assert assert_equal_both_ways(things) == 1 + 2 * len(refused) - 2


def test_a_mapping_of_ones_own_takes_what_ours_would_not(deliver, database, search, start_agent):
    types = ["jsonb", "numeric", "date", "inet"]
    own = [{"type": "object", "enabled": False}, {"type": "keyword"}, {"type": "date", "ignore_malformed": True}, {"type": "keyword"}]
    things, columns = deliver(types, own)
    agent = start_agent(database)
    id = 0
    for type in types:
        for value in [*REFUSED[type], *COLUMNS[type][1]]:
            id += 1
            insert(database, id, columns[type], value)
    things.wait_delivered(agent)
    assert things.dead_letters() == {}
    assert assert_equal_both_ways(things) == id
    properties = search.mapping(things.index())["properties"]
    assert properties["c1"] == {"type": "keyword"} and properties["c0"]["enabled"] is False
