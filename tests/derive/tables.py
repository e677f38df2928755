"""Random tables: few rows with few different values, so that everything joins with something and every change matters somewhere."""

import dataclasses

# kind -> types. A `num` joins with an `int`, and two that are equal need not look alike (1, 1.0): it is kept away from GROUP BY and DISTINCT,
# where any of them may stand for the others. A `doc` is a jsonb column with members that join; `json` is what views make.
TYPES = {"int": ["int4", "int4", "int4", "int8", "int2"], "num": ["numeric"], "text": ["text", "text", "varchar(9)"], "bool": ["bool"], "list": ["int4[]"], "doc": ["jsonb"]}
WORDS = ["a", "A", "b", "Bb", "c", "", "d'", 'e"', "ab"]
# Names that only work where they are quoted.
ODD = {"id": '"Id"', "a": '"A b"', "r0": '"select"', "n": '"N"', "s": '"it\'s"', "f": '"key"'}


@dataclasses.dataclass
class Column:
    name: str
    kind: str
    type: str
    nullable: bool


@dataclasses.dataclass
class Table:
    name: str
    key: list
    columns: list  # with those of the key
    style: str = "plain"  # list, hash: partitioned; inherited: has a child
    values: int = 6  # how many different ones a column has

    def column(self, name):
        return next(column for column in self.columns if column.name == name)

    @property
    def writable(self):
        """Relations that rows are inserted into: itself, and parts of it, which are written directly now and then."""
        return [self.name] + ([f"{self.name}_child"] if self.style == "inherited" else [])

    def ddl(self):
        columns = [f"{c.name} {c.type}" + ("" if c.nullable else " NOT NULL") for c in self.columns]
        body = ", ".join(columns + [f"PRIMARY KEY ({', '.join(self.key)})"])
        first = self.key[0]
        if self.style == "list":
            half = self.values // 2
            low = ", ".join(str(value) for value in range(-1, half))
            return [f"CREATE TABLE {self.name} ({body}) PARTITION BY LIST ({first})",
                    f"CREATE TABLE {self.name}_low PARTITION OF {self.name} FOR VALUES IN ({low})",
                    f"CREATE TABLE {self.name}_rest PARTITION OF {self.name} DEFAULT"]
        if self.style == "hash":
            return [f"CREATE TABLE {self.name} ({body}) PARTITION BY HASH ({first})"] + [
                f"CREATE TABLE {self.name}_{n} PARTITION OF {self.name} FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in range(2)]
        if self.style == "inherited":
            return [f"CREATE TABLE {self.name} ({body})", f"CREATE TABLE {self.name}_child (PRIMARY KEY ({', '.join(self.key)})) INHERITS ({self.name})"]
        return [f"CREATE TABLE {self.name} ({body})"]


def literal(chance, table, column, key=False):
    """A value of a column as SQL; of a key column never NULL."""
    if column.nullable and not key and chance.random() < 0.15:
        return "NULL"
    if column.kind == "int":
        return str(chance.randrange(table.values))
    if column.kind == "num":
        return str(chance.randrange(table.values)) + chance.choice(["", "", ".0", ".00"])
    if column.kind == "text":
        return "'" + chance.choice(WORDS[: table.values]).replace("'", "''") + "'"
    if column.kind == "bool":
        return chance.choice(["true", "false"])
    if column.kind == "doc":
        return f"""'{{"id": {chance.randrange(table.values)}, "word": "{chance.choice("abc")}", "more": [{chance.randrange(3)}]}}'"""
    return "'{" + ",".join(str(chance.randrange(table.values)) for _ in range(chance.randrange(4))) + "}'"


def _columns(chance, key):
    columns = [Column(name, "int", chance.choice(TYPES["int"]), False) for name in key]
    for number in range(chance.randint(1, 3)):
        columns.append(Column(f"r{number}", "int", chance.choice(TYPES["int"]), chance.random() < 0.6))
    for name, kind, likely in (("n", "int", 0.7), ("s", "text", 0.8), ("f", "bool", 0.4), ("d", "num", 0.25), ("l", "list", 0.2), ("w", "text", 0.3), ("j", "doc", 0.15)):
        if chance.random() < likely:
            columns.append(Column(name, kind, chance.choice(TYPES[kind]), chance.random() < 0.5))
    return columns


def random_tables(chance):
    values = chance.choice([3, 4, 5, 6, 6, 8])
    tables, odd = [], chance.random() < 0.15
    names = [f"t{number}" for number in range(6)]
    if chance.random() < 0.05:
        names[1] = "changed"  # what key queries call the rows that changed
    for number in range(chance.randint(2, 6)):
        key = ["a", "b"] if chance.random() < 0.2 else ["id"]
        columns = _columns(chance, key)
        chance.shuffle(columns)
        if odd:
            for column in columns:
                column.name = ODD.get(column.name, column.name)
            key = [ODD.get(name, name) for name in key]
        style = chance.choices(["plain", "list", "hash", "inherited"], [7, 1, 1, 1])[0]
        tables.append(Table(names[number], key, columns, style, values))
    return tables
