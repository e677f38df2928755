"""Random work on the tables, as a list of events that can be replayed, and cut down, whatever the tables hold."""

import dataclasses

from tables import literal


@dataclasses.dataclass
class Event:
    """A statement of a session; or, of no session, the windows of some feeds."""

    session: int
    sql: str = ""
    windows: tuple = ()


def insert(chance, table, into=None):
    values = [literal(chance, table, column, column.name in table.key) for column in table.columns]
    others = [column.name for column in table.columns if column.name not in table.key]
    conflict = "DO NOTHING"
    if others and chance.random() < 0.25:
        name = chance.choice(others)
        conflict = f"({', '.join(table.key)}) DO UPDATE SET {name} = excluded.{name}"
    return f"INSERT INTO {into or table.name} ({', '.join(column.name for column in table.columns)}) VALUES ({', '.join(values)}) ON CONFLICT {conflict}"


def _some_rows(chance, table, most=0.12):
    column = table.column(chance.choice(table.key)) if chance.random() < 0.7 else chance.choice([c for c in table.columns if c.kind in ("int", "num", "text")])
    value = literal(chance, table, column, True)
    if chance.random() < most:
        return f"{column.name} <> {value}"
    return f"{column.name} = {value}"


def update(chance, table):
    """Of a column or two; now and then of a key, unless there is such a row already."""
    if chance.random() < 0.15:
        name = chance.choice(table.key)
        to, source = literal(chance, table, table.column(name), True), literal(chance, table, table.column(name), True)
        others = " AND ".join([f"x.{name} = {to}"] + [f"x.{other} = {table.name}.{other}" for other in table.key if other != name])
        return f"UPDATE {table.name} SET {name} = {to} WHERE {name} = {source} AND NOT EXISTS (SELECT FROM {table.name} x WHERE {others})"
    columns = [column for column in table.columns if column.name not in table.key]
    columns = chance.sample(columns, min(len(columns), chance.choice([1, 1, 2])))
    changes = []
    for column in columns:
        if column.kind == "int" and chance.random() < 0.2:
            changes.append(f"{column.name} = ({column.name} + 1) % {table.values}")
        else:
            changes.append(f"{column.name} = {literal(chance, table, column)}")
    return f"UPDATE {table.name} SET {', '.join(changes)} WHERE {_some_rows(chance, table)}"


def delete(chance, table):
    return f"DELETE FROM {table.name} WHERE {_some_rows(chance, table, 0.03)}"


def statement(chance, tables):
    table = chance.choice(tables)
    form = chance.random()
    if form < 0.3:
        return insert(chance, table, f"{table.name}_child" if table.style == "inherited" and chance.random() < 0.5 else None)
    if form < 0.84:
        return update(chance, table)
    if form < 0.97:
        return delete(chance, table)
    return f"WITH gone AS (DELETE FROM {table.name} WHERE {_some_rows(chance, table, 0)} RETURNING 1) " + insert(chance, chance.choice(tables))


def filling(chance, tables):
    """What the tables hold at first."""
    return [insert(chance, table) for table in tables for _ in range(chance.randint(table.values, 2 * table.values + 2))]


class Work:
    """Sessions, a few of them in the middle of a transaction at any time; windows fall between any two statements."""

    SESSIONS = 3

    def __init__(self, chance, tables, feeds):
        self.chance, self.tables, self.feeds = chance, tables, feeds
        self.open = {}  # session: names of savepoints
        self.events = []

    def make(self, windows):
        for _ in range(windows):
            for _ in range(self.chance.choice([1, 2, 3, 4, 6])):
                self._step()
            chosen = tuple(feed for feed in self.feeds if self.chance.random() < 0.8)
            self.events.append(Event(0, windows=chosen or tuple(self.feeds)))
        for session in list(self.open):
            self._finish(session)
        self.events.append(Event(0, windows=tuple(self.feeds)))
        return self.events

    def _add(self, session, text):
        self.events.append(Event(session, text))

    def _step(self):
        """One transaction, a piece of one, or a statement by itself."""
        if self.chance.random() < 0.35:
            # Whoever empties a table keeps everybody off it, readers too: that is done at once.
            truncate = f"TRUNCATE {self.chance.choice(self.tables).name}"
            self._add(1, truncate if self.chance.random() < 0.01 else statement(self.chance, self.tables))
            return
        session = self.chance.choice(sorted(self.open)) if self.open and self.chance.random() < 0.5 else self.chance.randint(2, 1 + self.SESSIONS)
        if session not in self.open:
            self._add(session, self.chance.choice(["BEGIN", "BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ"]))
            self.open[session] = 0
        for _ in range(self.chance.randint(1, 4)):
            self._inside(session)
        if self.chance.random() < 0.7:
            self._finish(session)

    def _inside(self, session):
        depth, form = self.open[session], self.chance.random()
        if form < 0.12:
            self.open[session] = depth + 1
            self._add(session, f"SAVEPOINT s{depth + 1}")
        elif form < 0.2 and depth:
            to = self.chance.randint(1, depth)
            self.open[session] = to
            self._add(session, f"ROLLBACK TO SAVEPOINT s{to}")
        elif form < 0.24 and depth:
            self.open[session] = depth - 1
            self._add(session, f"RELEASE SAVEPOINT s{depth}")
        else:
            self._add(session, statement(self.chance, self.tables))

    def _finish(self, session):
        del self.open[session]
        self._add(session, "COMMIT" if self.chance.random() < 0.85 else "ROLLBACK")
