"""Queries as trees, so that a failing one can be cut down: whatever stands in a list here may be taken out of it."""

import copy
import dataclasses


@dataclasses.dataclass
class Sql:
    """An expression: text with queries in between."""

    parts: list

    def __str__(self):
        return "".join(str(part) for part in self.parts)


def sql(*parts):
    return Sql(list(parts))


@dataclasses.dataclass
class Query:
    """A query in parentheses, as an expression or as an item of FROM."""

    select: object
    before: str = ""  # EXISTS, LATERAL …

    def __str__(self):
        return f"{self.before}({self.select})"


@dataclasses.dataclass
class Target:
    expression: object
    name: str
    essential: bool = False  # the key

    def __str__(self):
        return f"{self.expression} AS {self.name}"


@dataclasses.dataclass
class Join:
    kind: str
    item: object
    alias: str
    on: list | None  # None: CROSS

    def __str__(self):
        condition = "" if self.on is None else " ON " + conjunction(self.on)
        return f"{self.kind} {named(self.item, self.alias)}{condition}"


@dataclasses.dataclass
class Nested:
    """Joins in parentheses, as one side of another join; it has no name of its own."""

    item: object
    alias: str
    joins: list

    def __str__(self):
        return f"({named(self.item, self.alias)}" + "".join(f" {join}" for join in self.joins) + ")"


def named(item, alias):
    return f"{item} AS {alias}" if alias else str(item)


@dataclasses.dataclass
class With:
    name: str
    how: str  # "", MATERIALIZED, NOT MATERIALIZED
    query: object

    def __str__(self):
        return f"{self.name} AS {self.how} ({self.query})" if self.how else f"{self.name} AS ({self.query})"


@dataclasses.dataclass
class Select:
    targets: list
    item: object = None  # the first of FROM
    alias: str = ""
    joins: list = dataclasses.field(default_factory=list)
    where: list = dataclasses.field(default_factory=list)
    group: list = dataclasses.field(default_factory=list)
    having: list = dataclasses.field(default_factory=list)
    order: list = dataclasses.field(default_factory=list)
    withs: list = dataclasses.field(default_factory=list)
    distinct: str = ""
    limit: str = ""

    def __str__(self):
        text = f"WITH {', '.join(map(str, self.withs))} " if self.withs else ""
        text += f"SELECT {self.distinct + ' ' if self.distinct else ''}{', '.join(map(str, self.targets))}"
        text += f" FROM {self.item} AS {self.alias}" + "".join(f" {join}" for join in self.joins)
        if self.where:
            text += f" WHERE {conjunction(self.where)}"
        if self.group:
            text += f" GROUP BY {', '.join(map(str, self.group))}"
        if self.having:
            text += f" HAVING {conjunction(self.having)}"
        if self.order:
            text += f" ORDER BY {', '.join(map(str, self.order))}"
        return text + (f" {self.limit}" if self.limit else "")


@dataclasses.dataclass
class SetOperation:
    operator: str
    branches: list

    def __str__(self):
        return f" {self.operator} ".join(f"({branch})" for branch in self.branches)


def conjunction(quals):
    return " AND ".join(f"({qual})" for qual in quals) or "true"


def _lists(node):
    """The lists in a tree whose elements may be taken out, outermost first."""
    if isinstance(node, list):
        for element in node:
            yield from _lists(element)
    elif dataclasses.is_dataclass(node):
        for field in dataclasses.fields(node):
            value = getattr(node, field.name)
            if isinstance(value, list) and not isinstance(node, Sql):
                yield value
            yield from _lists(value)


def smaller(tree):
    """Trees that lack one part each. Many are no longer valid: whoever tries them must see that."""
    for number, elements in enumerate(_lists(tree)):
        for position, element in enumerate(elements):
            if getattr(element, "essential", False):
                continue
            other = copy.deepcopy(tree)
            del list(_lists(other))[number][position]
            yield other
    if isinstance(tree, SetOperation) and len(tree.branches) == 1:
        yield tree.branches[0]
