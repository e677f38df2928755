"""What a query under construction may refer to, and the expressions and conditions that are made of it."""

import dataclasses
import re

from tables import WORDS
from tree import sql


@dataclasses.dataclass
class Source:
    """An item of FROM."""

    alias: str
    columns: dict  # name: kind
    unique: list | None = None  # columns that no two of its rows share; None: nobody knows
    made: set = dataclasses.field(default_factory=set)  # columns made of, or chosen among, several rows: joining by them is a trap

    def of(self, *kinds):
        return [f"{self.alias}.{name}" for name, kind in self.columns.items() if kind in kinds]


def made_columns(sources, text):
    """Whether the text mentions a column that is made of several rows."""
    return any(re.search(rf"\b{source.alias}\.{re.escape(name)}(?!\w)", str(text)) for source in sources for name in source.made)


class Names:
    """Aliases, each used once in a view."""

    def __init__(self):
        self._count = 0

    def next(self, prefix="x"):
        self._count += 1
        return f"{prefix}{self._count}"


def columns_of(sources, *kinds):
    return [column for source in sources for column in source.of(*kinds)]


def pick(chance, sources, *kinds):
    """A column of one of these kinds, or None."""
    found = columns_of(sources, *kinds)
    return chance.choice(found) if found else None


def constant(chance, values):
    return str(chance.randrange(values))


def local_predicate(chance, source, values):
    """About one row alone."""
    column = f"{source.alias}.{chance.choice(list(source.columns))}"
    kind = source.columns[column.split(".")[1]]
    if kind in ("json", "doc") or chance.random() < 0.08:
        return sql(f"{column} IS {chance.choice(['NOT ', 'NOT ', 'NOT ', ''])}NULL")
    value = constant(chance, values)
    if kind in ("int", "num"):
        return sql(chance.choice([f"{column} < {values - 1}", f"{column} > 0", f"{column} <> {value}", f"{column} <> {value}", f"{column} <= {value}", f"{column} = {value}",
                                  f"{column} IN ({value}, {constant(chance, values)}, {constant(chance, values)})", f"{column} IS DISTINCT FROM {value}",
                                  f"coalesce({column}, 1) NOT BETWEEN 3 AND 4"]))
    if kind == "text":
        word = chance.choice(WORDS).replace("'", "''")
        return sql(chance.choice([f"{column} <> '{word}'", f"{column} NOT LIKE 'a%'", f"lower({column}) >= 'a'", f"{column} IN ('a', 'b', 'c')"]))
    if kind == "bool":
        return sql(chance.choice([column, f"NOT {column}", f"{column} IS NOT TRUE", f"{column} IS NOT FALSE"]))
    return sql(chance.choice([f"cardinality({column}) < 3", f"{value} = ANY ({column})"]))


def join_condition(chance, outer, inner):
    """How a row of `inner` (one source) is joined to those of `outer` (several); None where they have nothing in common."""
    near, far = pick(chance, [inner], "int"), pick(chance, outer, "int")
    if near is None or far is None:
        near, far = pick(chance, [inner], "text"), pick(chance, outer, "text")
        return None if near is None or far is None else [sql(f"{far} = {near}")]
    # Keys join more often than other columns.
    if inner.unique and len(inner.unique) == 1 and chance.random() < 0.4 and inner.columns.get(inner.unique[0]) == "int":
        near = f"{inner.alias}.{inner.unique[0]}"
    second_near, second_far = pick(chance, [inner], "int"), pick(chance, outer, "int")
    lists, near_lists = columns_of(outer, "list"), inner.of("list")
    near_num, far_num = pick(chance, [inner], "num", "int"), pick(chance, outer, "num", "int")
    docs, near_docs = columns_of(outer, "doc"), inner.of("doc")
    near_text, far_text = pick(chance, [inner], "text"), pick(chance, outer, "text")
    forms = [(16, lambda: [sql(f"{near} = {far}")]), (3, lambda: [sql(f"{far} = {near}"), sql(f"{second_near} = {second_far}")]),
             (1, lambda: [sql(f"({near}, {second_near}) = ({far}, {second_far})")]), (1, lambda: [sql(f"{near} IS NOT DISTINCT FROM {far}")]),
             (1, lambda: [sql(f"{near} = {far} OR {second_near} = {second_far}")]), (1, lambda: [sql(f"{near} + 1 = {far}")]),
             (1, lambda: [sql(f"coalesce({near}, 0) = {far}")]), (1, lambda: [sql(f"{near} = {far}"), sql(f"{second_near} < {second_far}")]),
             (1, lambda: [sql(f"{near} BETWEEN {far} AND {far} + 1")]), (2, lambda: [sql(f"{near_num} = {far_num}")])]
    if lists:
        forms.append((3, lambda: [sql(f"{near} = ANY ({chance.choice(lists)})")]))
    if near_lists:
        forms.append((3, lambda: [sql(f"{far} = ANY ({chance.choice(near_lists)})")]))
    if docs:
        forms.append((3, lambda: [sql(f"{near} = ({chance.choice(docs)} ->> 'id')::int4")]))
    if near_docs:
        forms.append((3, lambda: [sql(f"({chance.choice(near_docs)} ->> 'id')::int8 = {far}")]))
    if near_text and far_text:
        forms.append((2, lambda: [sql(f"{near_text} = {far_text}")]))
        forms.append((1, lambda: [sql(f"lower({near_text}) = lower({far_text})")]))
    return chance.choices([form for _, form in forms], [weight for weight, _ in forms])[0]()


def plain(chance, sources, *kinds):
    """An expression over columns of the sources, and its kind; kinds: those wanted, none: any."""
    kinds = kinds or ("int", "num", "text", "bool", "list", "json", "doc")
    column = pick(chance, sources, *kinds)
    if column is None:
        return None
    kind = next(source for source in sources if source.alias == column.split(".")[0]).columns[column.split(".")[1]]
    if kind == "doc":
        return sql(chance.choice([column, f"{column} -> 'more'"])), "json"
    if chance.random() < 0.75 or kind in ("list", "json"):
        return sql(column), kind
    if kind == "int":
        other = pick(chance, sources, "int")
        return sql(chance.choice([f"coalesce({column}, -1)", f"{column}::int8 + {other}", f"CASE WHEN {column} > 2 THEN {other} ELSE {column} END",
                                  f"nullif({column}, {other})", f"greatest({column}, {other})"])), kind
    if kind == "num":
        return sql(f"{column} + 1"), kind
    if kind == "text":
        other = pick(chance, sources, "text")
        return sql(chance.choice([f"upper({column})", f"{column} || {other}", f"coalesce({column}, {other})"])), kind
    return sql(f"NOT {column}"), kind


def as_text(expression):
    return f"({expression})::text"


def total_order(sources, outputs):
    """An ORDER BY list that leaves no two different rows alike: else what a LIMIT keeps would depend on more than the data."""
    if all(source.unique for source in sources):
        return [sql(f"{source.alias}.{name}") for source in sources for name in source.unique]
    return [sql(as_text(expression)) for expression in outputs]
