"""What deriving the watches costs: a view of twelve tables is looked at again, and a table that five feeds watch is written."""
import time
from statistics import median

from lib import proc
from lib.rounds import column, interleave
from lib.stats import interval, paired_ratio

TITLE = "Derived watches: a view looked at again, a table watched by many feeds"
RELATIONS = 12
ONE, FIVE, FIVE_WAYS = "one feed", "five feeds", "five feeds, each by a column of its own"
WORKLOADS = {
    "INSERT": "INSERT INTO bench.wide SELECT * FROM bench.template",
    "UPDATE": "UPDATE bench.wide SET v = v + 1",
}


def run(bench, results):
    rows, rounds = bench.size(500_000, 50_000), bench.rounds or bench.size(5, 2)
    cluster = bench.cluster(wal_level="replica")
    cluster.start()
    try:
        cluster.create_database("derive", "pg_conveyor")
        with cluster.connect("derive") as db:
            _derivation(bench, results, db, bench.size(30, 5))
        for name in (ONE, FIVE, FIVE_WAYS):
            _prepare(cluster, _database(name), name, rows)
        taken = {}
        for workload in WORKLOADS:
            bench.say(f"{workload} of {rows:,} rows, {rounds} rounds")
            taken[workload] = interleave({name: rounds for name in (ONE, FIVE, FIVE_WAYS)}, rounds,
                                         lambda name, workload=workload: _measure(cluster, name, workload, rows), bench.say)
    finally:
        cluster.drop()
    _report(results, taken)


# A view of twelve relations

def view_of_twelve(version, more=False):
    """A document of what is usual: parents joined over two hops, children gathered, one of them limited, one tested, one counted."""
    parent = "a.name || coalesce(a.title, '')" if more else "a.name"
    return f"""
        SELECT d.id, d.title, {version} AS version, {parent} AS parent, b.name AS grandparent, c.name AS other, g.total AS children,
               (SELECT jsonb_agg(jsonb_build_object('v', e.v, 'of', f.name) ORDER BY e.id) FROM bench.t4 e JOIN bench.t5 f ON f.id = e.p WHERE e.d = d.id) AS gathered,
               (SELECT jsonb_agg(jsonb_build_object('v', h.v, 'words', (SELECT jsonb_agg(i.name ORDER BY i.id) FROM bench.t8 i WHERE i.p = h.id)) ORDER BY h.id)
                  FROM bench.t7 h WHERE h.d = d.id) AS nested,
               l.v AS latest, EXISTS (SELECT FROM bench.t10 m JOIN bench.t11 n ON n.id = m.p WHERE m.d = d.id AND n.v > 0) AS marked
          FROM bench.t0 d
          JOIN bench.t1 a ON a.id = d.p
          LEFT JOIN bench.t2 b ON b.id = a.p
          LEFT JOIN bench.t3 c ON c.id = d.q
          LEFT JOIN (SELECT d, count(*) AS total FROM bench.t6 GROUP BY d) g ON g.d = d.id
          LEFT JOIN LATERAL (SELECT k.v FROM bench.t9 k WHERE k.d = d.id ORDER BY k.id DESC LIMIT 1) l ON true"""


def _derivation(bench, results, db, times):
    """The view gets another definition, which asks for the same watches or for others."""
    db.run("CREATE SCHEMA bench")
    for number in range(RELATIONS):
        db.run(f"CREATE TABLE bench.t{number} (id bigint PRIMARY KEY, d bigint, p bigint, q bigint, v int, name text, title text)")
    for name in ("watched", "plain"):
        db.run(f"CREATE VIEW bench.{name} AS {view_of_twelve(0)}")
    db.run("SELECT conveyor.create_feed('watched', 'bench.watched')")
    watched = db.value("SELECT count(*) FROM conveyor.watch WHERE feed = 'watched'")
    if watched != RELATIONS:
        raise RuntimeError(f"{watched} relations are watched, not {RELATIONS}")
    found = {}
    for what, changes in (("the same watches", False), ("another column of one table", True)):
        bench.say(f"a view of {RELATIONS} relations, replaced {times} times: {what}")
        found[what] = taken = {"plain": [], "watched": []}
        for number in range(1, times + 1):
            query = view_of_twelve(f"{number} + {int(changes)}", changes and number % 2 == 1)
            for name in taken if number % 2 else reversed(taken):
                taken[name].append(_replace(db, name, query))
        derived = [watched - plain for watched, plain in zip(taken["watched"], taken["plain"], strict=True)]
        low, high = interval(derived)
        results.claim(f"watches derived anew from a view of {RELATIONS} relations: {what}",
                      {"value": median(derived), "low": low, "high": high, "rounds": times}, "<", 50, "ms")
    results.table(f"CREATE OR REPLACE VIEW over {RELATIONS} relations, medians", ["the new definition asks for", "ms without a feed", "ms with its watches derived anew", "times"],
                  [[what, median(taken["plain"]), median(taken["watched"]), times] for what, taken in found.items()])
    results.keep(derivation=found)


def _replace(db, name, query):
    """Milliseconds of one transaction that gives the view another definition and, of a feed's, derives the watches."""
    began = time.perf_counter()
    db.run("BEGIN")
    db.run(f"CREATE OR REPLACE VIEW bench.{name} AS {query}")
    if name == "watched":
        db.run("SELECT conveyor.derive_watches('watched')")
    db.run("COMMIT")
    return (time.perf_counter() - began) * 1e3


# Writers of a table with many feeds

def _database(name):
    return "derive_" + {ONE: "one", FIVE: "five", FIVE_WAYS: "ways"}[name]


def _prepare(cluster, database, name, rows):
    cluster.create_database(database, "pg_conveyor")
    with cluster.connect(database) as db:
        db.run("CREATE SCHEMA bench")
        db.run("CREATE UNLOGGED TABLE bench.template AS SELECT n AS id, n %% 1000 AS p1, n %% 1001 AS p2, n %% 1002 AS p3, n %% 1003 AS p4, 0 AS v, "
               "repeat('x', 80) AS pad FROM generate_series(1::bigint, %s) n", (rows,))
        db.run("CREATE TABLE bench.parent (id bigint PRIMARY KEY, name text)")
        db.run("VACUUM (FREEZE, ANALYZE) bench.template")


def _views(name):
    """(the view, its query): documents of the rows themselves, or of parents that gather them, each by another column."""
    if name == ONE:
        return [("document", "SELECT * FROM bench.wide")]
    if name == FIVE:
        return [(f"document_{number}", "SELECT * FROM bench.wide") for number in range(5)]
    return [("document", "SELECT * FROM bench.wide")] + [
        (f"document_{number}", f"SELECT p.id, p.name, (SELECT sum(w.v) FROM bench.wide w WHERE w.p{number} = p.id) AS v FROM bench.parent p") for number in range(1, 5)]


def _measure(cluster, name, workload, rows):
    with cluster.connect(_database(name)) as db:
        db.run("CREATE TABLE bench.wide (id bigint PRIMARY KEY, p1 bigint NOT NULL, p2 bigint NOT NULL, p3 bigint NOT NULL, p4 bigint NOT NULL, "
               "v int NOT NULL, pad text NOT NULL)")
        if workload == "UPDATE":
            db.run(WORKLOADS["INSERT"])
            db.run("VACUUM (FREEZE, ANALYZE) bench.wide")
        for view, query in _views(name):
            db.run(f"CREATE VIEW bench.{view} AS {query}")
            db.run("SELECT conveyor.create_feed(%s, %s)", (view, f"bench.{view}"))
        db.run("CHECKPOINT")
        wal = db.wal_position()
        began, cpu = time.perf_counter(), proc.cpu_seconds(db.pid)
        db.run(WORKLOADS[workload])
        seconds, cpu = time.perf_counter() - began, proc.cpu_seconds(db.pid) - cpu
        wal = db.wal_position() - wal
        for view, _ in _views(name):
            db.run("SELECT conveyor.drop_feed(%s)", (view,))
        db.run("DROP TABLE bench.wide CASCADE")
        db.run("SELECT conveyor.log_rotate()")
    return {"seconds": seconds, "cpu": cpu, "wal_per_row": wal / rows}


def _report(results, taken):
    for workload, measured in taken.items():
        base = column(measured, ONE, "seconds")
        results.table(f"Bulk {workload} into a table that feeds watch, medians of interleaved rounds", ["watched by", "seconds", "× one feed", "CPU × one feed", "WAL bytes a row"],
                      [[name, median(column(measured, name, "seconds")), paired_ratio(column(measured, name, "seconds"), base)["value"],
                        paired_ratio(column(measured, name, "cpu"), column(measured, ONE, "cpu"))["value"], median(column(measured, name, "wal_per_row"))] for name in measured])
        results.claim(f"bulk {workload}: a table watched by five feeds / by one", paired_ratio(column(measured, FIVE, "seconds"), base), "≤", 1.2)
    results.remark("Five feeds that lead to documents by five columns make each change record five columns instead of one: that is what the third row shows.")
    results.keep(capture=taken)
