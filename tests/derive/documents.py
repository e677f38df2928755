"""Random document views: every form that feeds are told to follow, and some that look like one and are not."""

import dataclasses
import re

from scope import Source, as_text, local_predicate, made_columns, pick, plain
from tree import Join, Query, Select, SetOperation, Target, With, sql
from views import Builder


@dataclasses.dataclass
class View:
    name: str
    key: list
    query: object
    columns: dict  # name: kind, with the key
    unique: bool  # is the key known to be unique?
    forms: set  # what it is made of, for statistics
    made: set  # columns made of several rows
    feed: bool = True

    def ddl(self):
        return f"CREATE VIEW {self.name} AS {self.query}"


class Documents(Builder):
    """Views with a key, one after another; later ones may read earlier ones."""

    def make(self):
        self.forms = set()
        self.budget = self.chance.choice([0, 1, 2, 3, 4, 6])
        forms = [(8, self._plain), (3, self._grouped), (2, self._distinct_on), (3, self._union), (1.5, self._per_group), (2, self._with), (1, self._full), (1, self._pair), (0.4, self._limited)]
        query, key, columns, unique = self.chance.choices([form for _, form in forms], [weight for weight, _ in forms])[0]()
        view = View(f"v{len(self.views)}", key, query, columns, unique, set(self.forms), self._made(query, key))
        self.views.append(view)
        return view

    def _made(self, query, key):
        """Columns of a view that another one should not join by: whatever is not simply one row's."""
        if isinstance(query, SetOperation):
            return set().union(*(self._made(branch, key) for branch in query.branches))
        simple = re.compile(r"\(*k\d+\.[\w\"' ]+\)*(::\w+)?$")
        chosen = str(query.distinct).startswith("DISTINCT ON") or query.limit
        return {target.name for target in query.targets if target.name not in key and (chosen or not simple.match(str(target.expression)))}

    def _table(self):
        """The table that documents are made of: (its source, the Select that begins with it). Prefers keys of one column a little."""
        table = self.chance.choice(self.tables)
        alias = self.names.next("k")
        if table.style != "plain":
            self.forms.add(table.style)
        return self.table_source(alias, table), table

    def _key(self, source, table):
        computed = " + 100" if self.chance.random() < 0.06 else ""
        return [Target(sql(f"{source.alias}.{name}{computed}"), name, True) for name in table.key]

    def _joins(self, select, sources, most=3):
        for _ in range(self.chance.randint(0, most)):
            if self.budget >= 0:
                self.add_join(select, sources)

    def _where(self, select, sources):
        for _ in range(self.chance.choice([0, 0, 0, 1, 1, 2])):
            if self.chance.random() < 0.35 and self.budget > 0:
                select.where.append(self.condition_with_query(sources))
            else:
                select.where.append(local_predicate(self.chance, self.chance.choice(sources[:2]), self.values))

    def _values(self, select, sources, columns, most=4):
        for position in range(self.chance.randint(1, most)):
            made = self.value(sources)
            if made:
                select.targets.append(Target(made[0], f"x{position}"))
                columns[f"x{position}"] = made[1]

    def _plain(self):
        self.forms.add("plain")
        source, table = self._table()
        select, sources = Select(self._key(source, table), table.name, source.alias), [source]
        if self.chance.random() < 0.12:
            self._from_the_left(select, sources)
        self._joins(select, sources)
        self._where(select, sources)
        columns = {name: "int" for name in table.key}
        self._values(select, sources, columns)
        if self.chance.random() < 0.03:
            expression, _ = self.window(sources, f"PARTITION BY {pick(self.chance, sources, 'int')} ", [target.expression for target in select.targets])
            select.targets.append(Target(expression, "w"))
            columns["w"] = "int"
            self.forms.add("trap: window over documents")
        elif self.chance.random() < 0.08 and set(columns.values()) <= {"int", "text", "bool"}:
            select.distinct = "DISTINCT"
            self.forms.add("distinct documents")
        return select, table.key, columns, not select.joins and table.style != "inherited"

    def _from_the_left(self, select, sources):
        """Something else first, and the key's table joined to it from the right."""
        item, other = self.relation()
        conditions = self.join_by([other], sources[0])
        if conditions:
            select.joins.append(Join("RIGHT JOIN", select.item, select.alias, conditions))
            select.item, select.alias = item, other.alias
            sources.append(other)
            self.forms.add("RIGHT JOIN of the key's table")

    def _grouped(self):
        self.forms.add("grouped by the key")
        source, table = self._table()
        select, sources = Select(self._key(source, table), table.name, source.alias), [source]
        self._joins(select, sources)
        self._where(select, sources)
        select.group = [sql(f"{source.alias}.{name}") for name in table.key]
        columns = {name: "int" for name in table.key}
        for position, column in enumerate(column for column in table.columns if column.kind in ("int", "text", "bool") and column.name not in table.key):
            if self.chance.random() < 0.4:
                # What the key decides needs not be named.
                if table.style == "inherited" or "+" in str(select.targets[0]) or self.chance.random() < 0.6:
                    select.group.append(sql(f"{source.alias}.{column.name}"))
                select.targets.append(Target(sql(f"{source.alias}.{column.name}"), f"x{position}"))
                columns[f"x{position}"] = column.kind
        columns.update(self._aggregates(select, sources))
        if self.chance.random() < 0.25:
            select.having.append(sql("count(*) " + self.chance.choice(["> 1", "< 3", "<> 2"])))
        if self.chance.random() < 0.1 and self.budget > 0:
            # It may look at what the rows are grouped by, and nothing else.
            self.forms.add("sub-select in HAVING")
            select.having.append(self.condition_with_query([Source(source.alias, {name: "int" for name in table.key})]))
        return select, table.key, columns, True

    def _distinct_on(self):
        self.forms.add("distinct on the key")
        source, table = self._table()
        select, sources = Select(self._key(source, table), table.name, source.alias), [source]
        self._joins(select, sources)
        self._where(select, sources)
        columns = {name: "int" for name in table.key}
        self._values(select, sources, columns, 3)
        # Ordered by what the documents show, so that rows which tie are the same.
        comparable = [target for target in select.targets if columns[target.name] in ("int", "text", "bool", "num")]
        select.targets = comparable
        key = [str(target.expression) for target in select.targets if target.essential]
        select.distinct = f"DISTINCT ON ({', '.join(key)})"
        hidden = plain(self.chance, sources, "int", "text")
        select.order = [sql(part) for part in key] + [hidden[0]] + [sql(as_text(target.expression)) for target in select.targets if not target.essential]
        return select, table.key, {target.name: columns[target.name] for target in comparable}, True

    def _union(self):
        operator = self.chance.choice(["UNION ALL", "UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT"])
        self.forms.add(f"documents {operator}")
        kinds = ["int"] + [self.chance.choice(["int", "text", "json"]) for _ in range(self.chance.randint(1, 3))]
        casts = {"int": "int8", "text": "text", "json": "jsonb"}
        tagged = operator == "UNION ALL" and self.chance.random() < 0.5
        branches = []
        for number in range(self.chance.randint(2, 3)):
            source, table = self._table()
            select, sources = Select([], table.name, source.alias), [source]
            self._joins(select, sources, 1)
            self._where(select, sources)
            if tagged:
                select.targets.append(Target(sql(f"'{'xyz'[number]}'::text"), "tag", True))
            for position, kind in enumerate(kinds):
                expression = sql(f"{source.alias}.{table.key[0]}") if position == 0 else self._of_kind(sources, kind)
                select.targets.append(Target(sql("(", expression, f")::{casts[kind]}"), "id" if position == 0 else f"x{position}", True))
            branches.append(select)
        columns = {**({"tag": "text"} if tagged else {}), "id": "int", **{f"x{position}": kind for position, kind in enumerate(kinds) if position}}
        return SetOperation(operator, branches), (["tag"] if tagged else []) + ["id"], columns, False

    def _of_kind(self, sources, kind):
        for _ in range(4):
            made = self.value(sources)
            if made and made[1] == kind:
                return made[0]
        made = plain(self.chance, sources, kind)
        if made:
            return made[0]
        return sql("to_jsonb(", plain(self.chance, sources)[0], ")") if kind == "json" else sql("NULL")

    def _per_group(self):
        """A document for each value of a column that is no key: one a country."""
        self.forms.add("one a group")
        source, table = self._table()
        select, sources = Select([], table.name, source.alias), [source]
        self._joins(select, sources, 2)
        self._where(select, sources)
        kind = "text" if self.chance.random() < 0.5 and pick(self.chance, sources, "text") else "int"
        column = pick(self.chance, sources, kind)
        if made_columns(sources, column):
            self.forms.add("trap: a key made of several rows")
        if kind == "int" and self.chance.random() < 0.3:
            column = self.chance.choice([f"coalesce({column}, 0)", f"{column} % 3", f"least({column}, 2)"])
        select.targets.append(Target(sql(column), "g", True))
        select.group.append(sql(column))
        columns = {"g": kind, **self._aggregates(select, sources)}
        return select, ["g"], columns, True

    def _with(self):
        """Common table expressions: the documents' own table in one, or something that is joined."""
        how = self.chance.choice(["", "MATERIALIZED", "NOT MATERIALIZED"])
        self.forms.add(f"WITH {how}".strip())
        source, table = self._table()
        inner = Select(self._key(source, table), table.name, source.alias)
        columns = {name: "int" for name in table.key}
        sources = [source]
        if self.chance.random() < 0.4:
            self._joins(inner, sources, 1)
        self._where(inner, sources)
        for position, column in enumerate(table.columns):
            if column.name not in table.key and self.chance.random() < 0.8:
                inner.targets.append(Target(sql(f"{source.alias}.{column.name}"), f"y{position}"))
                columns[f"y{position}"] = column.kind
        name, alias = self.names.next("w"), self.names.next("k")
        outer = Source(alias, columns, table.key if not inner.joins and table.style != "inherited" else None)
        select, sources = Select([Target(sql(f"{alias}.{key}"), key, True) for key in table.key], name, alias, withs=[With(name, how, inner)]), [outer]
        if self.chance.random() < 0.4:
            # Used twice: a self join of the expression.
            second = self.names.next("k")
            again = Source(second, columns, outer.unique)
            conditions = self.join_by(sources, again)
            if conditions:
                select.joins.append(Join(self.chance.choice(["LEFT JOIN", "JOIN"]), name, second, conditions))
                sources.append(again)
        self.with_sources = [(name, columns, outer.unique)]
        self._joins(select, sources, 2)
        self._where(select, sources)
        found = {name: "int" for name in table.key}
        self._values(select, sources, found)
        self.with_sources = []
        return select, table.key, found, not select.joins and outer.unique is not None

    def _full(self):
        """FULL JOIN: the key is whichever side is there."""
        self.forms.add("full join of two keys")
        singles = [table for table in self.tables if len(table.key) == 1]
        if len(singles) < 2:
            return self._plain()
        if self.chance.random() < 0.3:
            self.budget = 0
        left, right = self.chance.sample(singles, 2)
        one, other = self.table_source(self.names.next("k"), left), self.table_source(self.names.next("k"), right)
        key = sql(f"coalesce({one.alias}.{left.key[0]}, {other.alias}.{right.key[0]})")
        select, sources = Select([Target(key, "id", True)], left.name, one.alias), [one, other]
        if self.chance.random() < 0.4:
            self.forms.add("USING")
            select.targets[0].expression = sql(left.key[0])
            select.joins.append(Join("FULL JOIN", right.name, f"{other.alias} USING ({left.key[0]})", None))
        else:
            select.joins.append(Join("FULL JOIN", right.name, other.alias, [sql(f"{one.alias}.{left.key[0]} = {other.alias}.{right.key[0]}")]))
        columns = {"id": "int"}
        self._where(select, sources)
        self._values(select, sources, columns)
        return select, ["id"], columns, False

    def _pair(self):
        """A key of columns of two tables. Where they cannot both be had from one of them, rows of both may change in one window, and
        the document that was is found by neither."""
        self.forms.add("a key of two tables")
        source, table = self._table()
        item, other = self.relation()
        conditions = self.join_by([source], other)
        second = pick(self.chance, [other], "int")
        if conditions is None or second is None:
            return self._plain()
        select, sources = Select([], table.name, source.alias), [source, other]
        select.joins.append(Join(self.chance.choice(["JOIN", "LEFT JOIN"]), item, other.alias, conditions))
        if self.chance.random() < 0.5:
            self.forms.add("trap: a key of two tables")
            select.targets = [Target(sql(f"{source.alias}.{table.key[0]}"), "id", True), Target(sql(second), "g", True)]
        else:
            # What is joined by stands for the other side: all of the key is in one row.
            select.joins[0].on = [sql(f"{source.alias}.{table.key[0]} = {second}")]
            third = pick(self.chance, [other], "int")
            select.targets = [Target(sql(f"{source.alias}.{table.key[0]}"), "id", True), Target(sql(third), "g", True)]
        if made_columns(sources, [str(target) for target in select.targets] + [str(select.joins[0])]):
            self.forms.add("trap: a key made of several rows")
        columns = {"id": "int", "g": "int"}
        self._where(select, sources)
        self._values(select, sources, columns)
        return select, ["id", "g"], columns, False

    def _limited(self):
        """LIMIT over the documents themselves: any change may exchange some of them."""
        self.forms.add("trap: LIMIT over documents")
        source, table = self._table()
        select = Select(self._key(source, table), table.name, source.alias)
        columns = {name: "int" for name in table.key}
        self._values(select, [source], columns)
        order = plain(self.chance, [source], "int")[0]
        inner = self.names.next("d")
        select.order = [order, *[sql(f"{source.alias}.{name}") for name in table.key], *[sql(as_text(target.expression)) for target in select.targets if columns[target.name] == "text"]]
        select.limit = "LIMIT 3"
        outer = Select([Target(sql(f"{inner}.{name}"), name, name in table.key) for name in columns], Query(select), inner)
        return outer, table.key, columns, False
