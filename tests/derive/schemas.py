"""The schemas of the kind that people have (schemas/*.sql), and random work on them that respects what they declare."""

import dataclasses
import pathlib

import psycopg2

from case import contents, create_feed, window

FOLDER = pathlib.Path(__file__).with_name("schemas")
# What leads somewhere without a foreign key: to a partitioned or an inherited table, or from one.
LINKS = {("fee", "loan_id"): ("loan", "id"), ("country", "capital_id"): ("place", "id"), ("place_name", "place_id"): ("place", "id"),
         ("serves", "country"): ("postal_code", "country"), ("serves", "code"): ("postal_code", "code"), ("serves", "place_id"): ("place", "id")}
for _table in ("place", "hamlet"):
    LINKS[_table, "country"], LINKS[_table, "region"] = ("country", "code"), ("region", "code")
ROWS = 60  # a table's, at first


@dataclasses.dataclass
class Feed:
    name: str
    key: list


@dataclasses.dataclass
class Relation:
    name: str
    columns: list  # (name, type, nullable)
    key: list
    links: dict  # column: (table, column)


def ddl(schema):
    return (FOLDER / f"{schema}.sql").read_text(encoding="utf-8")


def relations(sessions, schema):
    """The tables in an order in which they can be filled."""
    found = []
    rows = sessions.execute("""
        SELECT c.relname, c.oid,
               (SELECT array_agg(a.attname::text ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(a, n) JOIN pg_attribute a ON a.attnum = k.a
                 WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid)
          FROM pg_class c WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.oid""", (schema,))
    for name, oid, key in rows:
        columns = sessions.execute("SELECT attname::text, format_type(atttypid, NULL), NOT attnotnull FROM pg_attribute "
                                   "WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum", (oid,))
        links = {column: LINKS[name, column] for column, _, _ in columns if (name, column) in LINKS}
        for column, other, far in sessions.execute("""
                SELECT a.attname::text, k.confrelid::regclass::text, f.attname::text
                  FROM pg_constraint k, unnest(k.conkey, k.confkey) AS u(near, far)
                  JOIN pg_attribute a ON a.attnum = u.near JOIN pg_attribute f ON f.attnum = u.far
                 WHERE k.contype = 'f' AND k.conrelid = %s AND a.attrelid = k.conrelid AND f.attrelid = k.confrelid ORDER BY 1""", (oid,)):
            links[column] = (other, far)
        found.append(Relation(name, columns, key, links))
    return found


class Store:
    """A schema in a database, filled, each of its document views with a feed that create_feed() alone has made."""

    def __init__(self, sessions, chance, schema, feeds):
        self.sessions, self.chance, self.feeds = sessions, chance, feeds
        sessions.execute(f"CREATE SCHEMA {schema}")
        sessions.execute(ddl(schema))
        self.relations = relations(sessions, schema)
        for relation in self.relations:
            for number in range(1, ROWS + 1):
                self.attempt(self.insert(relation, number))
        for feed in feeds:
            create_feed(sessions, feed)
        self.before = {feed.name: contents(sessions, feed) for feed in feeds}
        for feed in feeds:
            window(sessions, feed.name)

    def attempt(self, text):
        """What the schema's own constraints refuse is not done."""
        try:
            self.sessions.execute(text)
        except (psycopg2.errors.IntegrityError, psycopg2.errors.InFailedSqlTransaction):
            pass

    # Random work

    def _value(self, relation, column, kind, nullable, number=None):
        if nullable and self.chance.random() < 0.2:
            return "NULL"
        if number is not None and relation.key == [column] and column not in relation.links:
            return f"'c{number % 8}'" if kind == "text" else str(number)
        if column in relation.links:
            other, far = relation.links[column]
            return f"(SELECT {far} FROM {other} ORDER BY hashtext({far}::text || '{self.chance.randrange(999)}'), {far} LIMIT 1)"
        if kind in ("integer", "bigint", "smallint"):
            return str(self.chance.randint(1, 9))
        if kind == "numeric":
            return f"{self.chance.randint(1, 9)}.{self.chance.randint(0, 9)}"
        if kind == "boolean":
            return "true" if self.chance.random() < 0.4 else "false"
        if kind == "date":
            return f"DATE '2024-06-01' + {self.chance.randrange(500)}"
        if kind == "text[]":
            return "'{" + ",".join(self.chance.sample(["cut scenes", "comment", "trailer"], self.chance.randrange(3))) + "}'"
        if column in ("kind", "language"):
            return self.chance.choice(["'home'", "'billing'"] if column == "kind" else ["'en'", "'de'"])
        return f"'c{self.chance.randrange(6)}'" if column in relation.key else f"'word {self.chance.randrange(30)}'"

    def insert(self, relation, number=None):
        number = number or self.chance.randint(1, 2 * ROWS)
        if relation.name == "hamlet":
            number += 1000  # no two places have the same id
        values = [self._value(relation, column, kind, nullable, number) for column, kind, nullable in relation.columns]
        return f"INSERT INTO {relation.name} ({', '.join(column for column, _, _ in relation.columns)}) VALUES ({', '.join(values)}) ON CONFLICT DO NOTHING"

    def some_row(self, relation):
        """A condition that one present row meets."""
        key = ", ".join(relation.key)
        rows = self.sessions.execute(f"SELECT {key} FROM {relation.name} ORDER BY {key}")
        if not rows:
            return "false"
        row = self.chance.choice(rows)
        with self.sessions.of(0).cursor() as cursor:
            return cursor.mogrify(" AND ".join(f"{column} = %s" for column in relation.key), row).decode()

    def statement(self):
        relation, form = self.chance.choice(self.relations), self.chance.random()
        if form < 0.2:
            return self.insert(relation)
        if form < 0.32:
            return f"DELETE FROM {relation.name} WHERE {self.some_row(relation)}"
        column, kind, nullable = self.chance.choice(relation.columns)
        return f"UPDATE {relation.name} SET {column} = {self._value(relation, column, kind, nullable)} WHERE {self.some_row(relation)}"

    # Windows

    def windows(self):
        """{feed: (changed, reported)} since the last call; nothing that changed may be missing."""
        found = {}
        for feed in self.feeds:
            reported, signals = window(self.sessions, feed.name)
            before, after = self.before[feed.name], contents(self.sessions, feed)
            self.before[feed.name] = after
            changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
            assert not signals, f"{feed.name} is to be looked at again: {signals}"
            found[feed.name] = changed, reported
        return found
