"""Random parts of views: items of FROM, sub-selects, aggregates. Some, named traps, look like what can be followed and are not."""

import dataclasses

from scope import Names, Source, columns_of, join_condition, local_predicate, made_columns, pick, plain, total_order
from tree import Join, Nested, Query, Select, SetOperation, Target, sql

JOINS = ["JOIN", "JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "LEFT JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"]


class Builder:
    """Makes the views of one schema."""

    def __init__(self, chance, tables):
        self.chance = chance
        self.tables = tables
        self.values = tables[0].values
        self.views = []
        self.names = Names()
        self.forms = set()
        self.budget = 0
        self.with_sources = []  # (name, columns, unique) of the WITH queries in reach

    def join_by(self, outer, source):
        """join_condition(), with an eye on traps."""
        conditions = join_condition(self.chance, outer, source)
        if made_columns([*outer, source], "" if conditions is None else [str(condition) for condition in conditions]):
            self.forms.add("trap: joined by a made column")
        return conditions

    # Items of FROM

    def table_source(self, alias, table):
        unique = table.key if table.style != "inherited" else None
        return Source(alias, {column.name: column.kind for column in table.columns}, unique)

    def relation(self):
        """A table or an earlier view: (item, source)."""
        alias = self.names.next()
        if self.with_sources and self.chance.random() < 0.3:
            name, columns, unique = self.chance.choice(self.with_sources)
            self.forms.add("WITH used again")
            return name, Source(alias, dict(columns), unique)
        if self.views and self.chance.random() < 0.12:
            view = self.chance.choice(self.views)
            self.forms.add("view over view")
            return view.name, Source(alias, dict(view.columns), view.key if view.unique else None, set(view.made))
        table = self.chance.choice(self.tables)
        if table.style != "plain":
            self.forms.add(table.style)
        return table.name, self.table_source(alias, table)

    def joined(self, outer, lateral=True):
        """Something to join to the sources `outer`: (item, source, conditions); conditions None: CROSS."""
        self.budget -= 1
        forms = [(12, self._plain_item), (2, self._filtered_item), (2, self._grouped_item), (1, self._distinct_item), (1, self._ranked_item), (1, self._union_item)]
        if lateral:
            forms += [(3, self._lateral_item), (1, self._unnested_item), (0.5, self._constant_item), (1.5, self._nested_item)]
        if self.budget < 0:
            forms = forms[:1]
        for _ in range(5):
            made = self.chance.choices([form for _, form in forms], [weight for weight, _ in forms])[0](outer)
            if made:
                return made
        return None

    def _plain_item(self, outer):
        item, source = self.relation()
        conditions = self.join_by(outer, source)
        if conditions is None:
            return None
        if self.chance.random() < 0.25:
            conditions.append(local_predicate(self.chance, self.chance.choice([source, self.chance.choice(outer)]), self.values))
        if self.chance.random() < 0.08 and self.budget > 0:
            self.forms.add("sub-select in ON")
            conditions.append(self.condition_with_query([*outer, source]))
        return item, source, conditions

    def _nested_item(self, outer):
        """(a JOIN b): joined to each other first."""
        item, source = self.relation()
        nested, sources = Nested(item, source.alias, []), [source]
        self.add_join(nested, sources, lateral=False)
        conditions = self.join_by(outer, self.chance.choice(sources))
        if not nested.joins or conditions is None:
            return None
        self.forms.add("nested join")
        return nested, sources, conditions

    def _derived(self, outer, select, columns, unique, on=None, made=()):
        alias = self.names.next("d")
        source = Source(alias, columns, unique, set(made))
        conditions = on(source) if on else self.join_by(outer, source)
        return (Query(select), source, conditions) if conditions else None

    def _inner(self, joins=0.3):
        """FROM of a derived table: a Select without targets, and its sources."""
        item, source = self.relation()
        select, sources = Select([], item, source.alias), [source]
        if self.chance.random() < joins:
            self.add_join(select, sources, lateral=False)
        if self.chance.random() < 0.3:
            select.where.append(local_predicate(self.chance, self.chance.choice(sources), self.values))
        return select, sources

    def _outputs(self, select, sources, number, *kinds):
        columns = {}
        for position in range(number):
            made = plain(self.chance, sources, *kinds)
            if made:
                name = f"c{position}"
                select.targets.append(Target(made[0], name))
                columns[name] = made[1]
        return columns

    def _filtered_item(self, outer):
        self.forms.add("derived table")
        select, sources = self._inner(0.5)
        columns = self._outputs(select, sources, 4)
        if self.chance.random() < 0.2 and "num" not in columns.values():
            select.distinct = "DISTINCT"
        return self._derived(outer, select, columns, None, made=self.made_targets(select, sources))

    def made_targets(self, select, sources):
        return {target.name for target in select.targets if made_columns(sources, target.expression)}

    def _joined_by(self, column, outer, trap):
        """Conditions that join by this column, or now and then, as a trap, by any other: then rows are chosen by more than the document."""

        def on(source):
            other = pick(self.chance, outer, source.columns[column])
            if self.chance.random() < 0.15:
                self.forms.add(trap)
                return join_condition(self.chance, outer, source)
            if made_columns(outer, other):
                self.forms.add("trap: joined by a made column")
            return [sql(f"{source.alias}.{column} = {other}")] if other else None

        return on

    def _grouped_item(self, outer):
        """Aggregated first, then joined by what it was grouped by."""
        select, sources = self._inner()
        by = pick(self.chance, sources, "int", "text")
        if by is None:
            return None
        kind = dict(zip(columns_of(sources, "int") + columns_of(sources, "text"), ["int"] * len(columns_of(sources, "int")) + ["text"] * 99))[by]
        grouped = by if self.chance.random() < 0.8 or kind == "text" else self.chance.choice([f"coalesce({by}, 0)", f"{by} + 1", f"{by} % 3"])
        select.targets.append(Target(sql(grouped), "g"))
        select.group.append(sql(grouped))
        columns = {"g": kind, **self._aggregates(select, sources)}
        if self.chance.random() < 0.2:
            select.having.append(sql(f"count(*) {self.chance.choice(['>', '<='])} {self.chance.randint(1, 2)}"))
        self.forms.add("grouped, then joined")
        self._note_made(by, sources)
        return self._derived(outer, select, columns, ["g"], self._joined_by("g", outer, "trap: joined by an aggregate"), set(columns) - {"g"})

    def _note_made(self, column, sources):
        """Rows are put together by this column."""
        if made_columns(sources, column):
            self.forms.add("trap: grouped by a made column")

    def _aggregates(self, select, sources):
        columns = {}
        for position in range(self.chance.randint(1, 3)):
            expression, kind = self.aggregate(sources)
            select.targets.append(Target(expression, f"g{position}"))
            columns[f"g{position}"] = kind
        return columns

    def _distinct_item(self, outer):
        select, sources = self._inner()
        by = pick(self.chance, sources, "int")
        if by is None:
            return None
        select.targets.append(Target(sql(by), "g"))
        select.distinct = f"DISTINCT ON ({by})"
        columns = {"g": "int", **self._outputs(select, sources, 3, "int", "text", "bool")}
        first = plain(self.chance, sources, "int", "text")
        select.order = [sql(by), first[0], *total_order(sources, [target.expression for target in select.targets])]
        self.forms.add("distinct on, then joined")
        self._note_made(by, sources)
        return self._derived(outer, select, columns, ["g"], self._joined_by("g", outer, "trap: joined by what DISTINCT ON chose"), set(columns) - {"g"})

    def _ranked_item(self, outer):
        """Window functions, partitioned by what it is joined by."""
        select, sources = self._inner()
        by = pick(self.chance, sources, "int")
        if by is None:
            return None
        select.targets.append(Target(sql(by), "g"))
        columns = {"g": "int", **self._outputs(select, sources, 2, "int", "text", "bool")}
        rank, kind = self.window(sources, f"PARTITION BY {by} ", [target.expression for target in select.targets])
        select.targets.append(Target(rank, "w"))
        columns["w"] = kind
        self.forms.add("window, then joined")
        on = self._joined_by("g", outer, "trap: joined by what a window chose")
        limited = self.chance.random() < 0.5

        def conditions(source):
            found = on(source)
            return found + [sql(f"{source.alias}.w <= {self.chance.randint(1, 2)}")] if found and limited else found

        self._note_made(by, sources)
        return self._derived(outer, select, columns, None, conditions, set(columns) - {"g"})

    def window(self, sources, partition, outputs):
        column = pick(self.chance, sources, "int")
        whole = ", ".join(str(order) for order in total_order(sources, outputs))
        if column is None:
            return sql(f"row_number() OVER ({partition}ORDER BY {whole})"), "int"
        return sql(self.chance.choice([
            f"row_number() OVER ({partition}ORDER BY {column}, {whole})", f"rank() OVER ({partition}ORDER BY {column})", f"sum({column}) OVER ({partition})",
            f"count(*) OVER ({partition})", f"lag({column}) OVER ({partition}ORDER BY {column}, {whole})"])), "int"

    def _union_item(self, outer):
        branches, kinds, made_here = [], None, set()
        for _ in range(2):
            select, sources = self._inner(0.2)
            made = [plain(self.chance, sources, kind) for kind in ("int", "int", "text")]
            if any(expression is None for expression in made):
                return None
            select.targets = [Target(sql(f"({expression})::{type_}"), name) for (expression, _), type_, name in zip(made, ("int8", "int8", "text"), ("c0", "c1", "c2"))]
            branches.append(select)
            made_here |= self.made_targets(select, sources)
            kinds = {"c0": "int", "c1": "int", "c2": "text"}
        operator = self.chance.choice(["UNION ALL", "UNION ALL", "UNION", "EXCEPT", "INTERSECT"])
        self.forms.add(f"derived {operator}")
        return self._derived(outer, SetOperation(operator, branches), kinds, None, made=made_here)

    def _lateral_item(self, outer):
        """A correlated derived table: its own rows, limited or aggregated within what it is correlated by."""
        select, sources = self.correlated(outer)
        if select is None:
            return None
        alias = self.names.next("d")
        if self.chance.random() < 0.4:
            columns = self._aggregates(select, sources)
            made_here = set(columns)
        else:
            columns = self._outputs(select, sources, 3, "int", "text", "bool")
            if not columns:
                return None
            made_here = self.made_targets(select, sources)
            if self.chance.random() < 0.6:
                first = plain(self.chance, sources, "int", "text")
                select.order = [first[0], *total_order(sources, [target.expression for target in select.targets])]
                select.limit = self.chance.choice(["LIMIT 1", "LIMIT 2", "LIMIT 2 OFFSET 1", "FETCH FIRST 1 ROWS ONLY"])
                self.forms.add("LIMIT in a lateral")
        self.forms.add("lateral")
        return Query(select, "LATERAL "), Source(alias, columns, None, made_here), None if self.chance.random() < 0.3 else [sql("true")]

    def _unnested_item(self, outer):
        column = pick(self.chance, outer, "list")
        if column is None:
            return None
        alias = self.names.next("u")
        self.forms.add("unnest")
        return _Unnest(f"LATERAL unnest({column})", alias), Source(alias, {"e": "int"}, None), [sql("true")]

    def _constant_item(self, outer):
        """Rows that no table holds."""
        alias, column = self.names.next("c"), pick(self.chance, outer, "int")
        self.forms.add("rows of no table")
        if self.chance.random() < 0.4:
            return _Unnest(f"LATERAL generate_series(1, least({column}, 2))", alias), Source(alias, {"e": "int"}, None), [sql("true")]
        values = ", ".join(f"({value}, '{word}')" for value, word in enumerate("abcd", self.chance.randrange(3)))
        return f"(SELECT q.e, q.w FROM (VALUES {values}) AS q(e, w))", Source(alias, {"e": "int", "w": "text"}, ["e"]), [sql(f"{alias}.e = {column}")]

    def add_join(self, select, sources, lateral=True, kinds=JOINS, reach=()):
        """`reach`: sources of queries around this one, which conditions may refer to as well."""
        made = self.joined([*sources, *reach], lateral)
        if made is None:
            return
        item, source, conditions = made
        added = source if isinstance(source, list) else [source]
        kind = self.chance.choice(kinds)
        needs_outer = str(item).startswith("LATERAL")
        if conditions is None:
            kind = "CROSS JOIN"
        elif needs_outer and kind in ("RIGHT JOIN", "FULL JOIN"):
            kind = "LEFT JOIN"
        elif kind == "FULL JOIN" and not _hashable(conditions):
            kind = "LEFT JOIN"
        self.forms.add(kind)
        alias = "" if isinstance(item, Nested) else f"{item.alias}(e)" if isinstance(item, _Unnest) else source.alias
        select.joins.append(Join(kind, item, alias, conditions))
        sources.extend(added)

    # Expressions with queries in them

    def correlated(self, outer):
        """A Select without targets that is joined to one of the outer sources by its WHERE, and its own sources."""
        item, source = self.relation()
        conditions = self.join_by(outer, source)
        if conditions is None:
            return None, None
        select, sources = Select([], item, source.alias, where=conditions), [source]
        while self.chance.random() < 0.35 and self.budget > 0:
            self.add_join(select, sources, reach=outer if self.chance.random() < 0.25 else ())
        if self.chance.random() < 0.3:
            select.where.append(local_predicate(self.chance, self.chance.choice(sources), self.values))
        if self.chance.random() < 0.15 and self.budget > 0:
            select.where.append(self.condition_with_query(sources + outer))
        return select, sources

    def aggregate(self, sources):
        """An aggregate whose result depends on the data alone."""
        expression, kind = plain(self.chance, sources)
        if kind == "int" and self.chance.random() < 0.6:
            return sql(self.chance.choice([f"sum({expression})", f"max({expression})", f"count(DISTINCT {expression})", "count(*)"])), "int"
        if kind == "text" and self.chance.random() < 0.5:
            return sql(f"string_agg({expression}, ',' ORDER BY {expression})"), "text"
        if kind == "bool" and self.chance.random() < 0.5:
            return sql(f"bool_or({expression})"), "bool"
        if self.budget > 0 and self.chance.random() < 0.25:
            self.budget -= 1
            made = self.scalar(sources)
            if made:
                return sql("jsonb_agg(jsonb_build_object('v', ", expression, ", 'q', ", made[0], ") ORDER BY (", expression, f")::text, ({made[0]})::text)"), "json"
        second = plain(self.chance, sources)[0]
        built = self.chance.choice([f"{expression}", f"jsonb_build_object('x', {expression}, 'y', {second})", f"to_jsonb({self.chance.choice(sources).alias})"])
        filtered = f" FILTER (WHERE {local_predicate(self.chance, self.chance.choice(sources), self.values)})" if self.chance.random() < 0.15 else ""
        return sql(f"jsonb_agg({built} ORDER BY ({built})::text){filtered}"), "json"

    def scalar(self, outer):
        """A correlated scalar sub-select and its kind; None where nothing can be correlated."""
        self.budget -= 1
        select, sources = self.correlated(outer)
        if select is None:
            return None
        form = self.chance.random()
        if form < 0.55:
            expression, kind = self.aggregate(sources)
            select.targets = [Target(expression, "v", True)]
            self.forms.add("correlated aggregate")
        elif form < 0.65:
            expression, kind = plain(self.chance, sources, "int", "text")
            select.targets, select.order = [Target(expression, "v", True)], [sql(f"({expression})::text")]
            self.forms.add("ARRAY")
            return sql("to_jsonb(", Query(select, "ARRAY"), ")"), "json"
        elif form < 0.8:
            expression, kind = plain(self.chance, sources, "int", "text", "bool")
            select.targets = [Target(expression, "v", True)]
            select.order = [*total_order(sources, [expression])]
            select.limit = "LIMIT 1"
            self.forms.add("correlated LIMIT 1")
        else:
            return self._limited_aggregate(select, sources)
        return Query(select), kind

    def _limited_aggregate(self, select, sources):
        """An aggregate over the first few rows, or over numbered ones."""
        columns = self._outputs(select, sources, 2, "int", "text", "bool")
        if not columns:
            return None
        outputs = [target.expression for target in select.targets]
        if self.chance.random() < 0.5:
            number, _ = self.window(sources, "", outputs)
            select.targets.append(Target(number, "w"))
            self.forms.add("window in a sub-select")
        if self.chance.random() < 0.6:
            select.order, select.limit = [*total_order(sources, outputs)], "LIMIT 2"
        alias = self.names.next("d")
        built = f"to_jsonb({alias})"
        return Query(Select([Target(sql(f"jsonb_agg({built} ORDER BY {built}::text)"), "v", True)], Query(select), alias)), "json"

    def condition_with_query(self, outer):
        """EXISTS, IN and their like."""
        self.budget -= 1
        form = self.chance.random()
        if form < 0.45:
            select, sources = self.correlated(outer)
            if select is not None:
                select.targets = [Target(sql("1"), "one", True)]
                word = self.chance.choice(["EXISTS ", "NOT EXISTS "])
                self.forms.add(word.strip())
                return Query(select, word)
        elif form < 0.6:
            made = self.scalar(outer)
            if made and made[1] == "int":
                self.forms.add("compared sub-select")
                return sql(made[0], f" {self.chance.choice(['>', '<', '='])} ", self.chance.choice(["1", "2", pick(self.chance, outer, "int") or "1"]))
        # IN over all rows of something: joined by what is compared.
        select, sources = self._inner()
        column, inner = pick(self.chance, outer, "int"), pick(self.chance, sources, "int")
        if column is None or inner is None:
            return local_predicate(self.chance, self.chance.choice(outer), self.values)
        select.targets = [Target(sql(inner), "v", True)]
        if made_columns([*outer, *sources], f"{column} {inner}"):
            self.forms.add("trap: joined by a made column")
        word = self.chance.choice(["IN ", "IN ", "NOT IN ", "NOT IN ", "= ANY ", "<> ALL ", "<> ALL ", "< ALL ", ">= ANY ", "= ALL ", "<> ANY "])
        second_column, second = pick(self.chance, outer, "int"), pick(self.chance, sources, "int")
        self.forms.add(word.strip())
        if self.chance.random() < 0.2 and word[0] not in "<>" and word != "= ALL ":
            select.targets.append(Target(sql(second), "v2", True))
            if made_columns([*outer, *sources], f"{second_column} {second}"):
                self.forms.add("trap: joined by a made column")
            return sql(f"({column}, {second_column}) {word}", Query(select))
        return sql(f"{column} {word}", Query(select))

    def value(self, sources):
        """Something for a target list, and its kind."""
        if self.budget > 0 and self.chance.random() < 0.45:
            if self.chance.random() < 0.2:
                return self.condition_with_query(sources), "bool"
            made = self.scalar(sources)
            if made and self.chance.random() < 0.15:
                other = plain(self.chance, sources, made[1])
                return (sql("coalesce(", made[0], ", ", other[0], ")"), made[1]) if other and made[1] in ("int", "text", "bool") else made
            if made and made[1] == "text" and self.chance.random() < 0.2:
                return sql("CASE WHEN ", self.condition_with_query(sources), " THEN ", made[0], " END"), "text"
            if made:
                return made
        if self.chance.random() < 0.05:
            self.forms.add("whole row")
            return sql(f"to_jsonb({self.chance.choice(sources).alias})"), "json"
        return plain(self.chance, sources)


@dataclasses.dataclass
class _Unnest:
    text: str
    alias: str

    def __str__(self):
        return self.text


def _hashable(conditions):
    """FULL JOIN takes only what can be merged or hashed."""
    return all(" = " in str(c) and " OR " not in str(c) and "ANY" not in str(c) and "coalesce" not in str(c) and "(" not in str(c) for c in conditions)
