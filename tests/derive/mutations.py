"""What may be taken out of derived watches, each as SQL: with any of these the generator must find a document that is missed."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutation:
    statements: tuple

    def __call__(self, sessions):
        for statement in self.statements:
            sessions.execute(statement)


def _images(test):
    """Key queries see only some of the images: those that the table still holds, or those that it does not."""
    return Mutation((f"""
        UPDATE conveyor.watch AS w
           SET documents = format('WITH changed AS (SELECT c.* FROM changed AS c WHERE {test} (SELECT FROM %s AS r WHERE %s)) SELECT * FROM (%s) AS d', w.relation,
                                  (SELECT string_agg(format('r.%1$I IS NOT DISTINCT FROM c.%1$I', n), ' AND ') FROM unnest(w.recorded) AS n), w.documents)
         WHERE w.recorded <> '{{}}'""",))


_INSTALL = "SELECT conveyor.install_capture(c.relation) FROM conveyor.capture AS c WHERE c.retired_at IS NULL"

MUTATIONS = {
    "of several places where a table stands only the first is followed": Mutation((r"UPDATE conveyor.watch SET documents = regexp_replace(documents, '\nUNION ALL\n.*$', '')",)),
    "old images are left out": _images("EXISTS"),
    "new images are left out": _images("NOT EXISTS"),
    "a relation is not watched": Mutation((
        "DELETE FROM conveyor.watch AS w USING (SELECT DISTINCT ON (feed) feed, relation FROM conveyor.watch ORDER BY feed, relation DESC) AS last "
        "WHERE (w.feed, w.relation) = (last.feed, last.relation)", _INSTALL)),
    "a column is not compared": Mutation((
        "UPDATE conveyor.watch AS w SET columns = array_remove(w.columns, n) FROM (SELECT DISTINCT ON (feed, relation) feed, relation, n FROM conveyor.watch, unnest(columns) AS n "
        "WHERE n <> ALL (recorded) ORDER BY feed, relation, n) AS c WHERE (w.feed, w.relation) = (c.feed, c.relation) AND cardinality(w.columns) > 1", _INSTALL)),
}
