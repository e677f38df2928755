"""What consuming the change log costs: the rate of large windows, and small windows before a large backlog."""
import time
from statistics import median

from lib import frames
from lib.captures import CONVEYOR, PGQ, PLPGSQL, VARIANTS
from lib.rounds import column, interleave
from lib.stats import paired_ratio, quantile

TITLE = "The change log: large windows, and small ones before a backlog"
DISTINCT, REPEATED = "every key once", "every key ten times"
SMALL, LARGE = "small backlog", "large backlog"
WINDOW_CHANGES = 100
READ_ONLY = "-c default_transaction_read_only=on"      # as the agent reads


def run(bench, results):
    cluster = bench.cluster(wal_level="replica", **{"conveyor.max_log_size": "-1"})
    cluster.start()
    try:
        _large_windows(bench, cluster, results)
        _small_windows(bench, cluster, results)
    finally:
        cluster.drop()


def _prepare(cluster, database, keys, variant):
    cluster.create_database(database, *VARIANTS[variant].extensions)
    with cluster.connect(database) as db:
        db.run("CREATE SCHEMA bench")
        db.run("CREATE TABLE bench.narrow (id bigint PRIMARY KEY, v int NOT NULL) WITH (fillfactor = 50)")
        db.run("INSERT INTO bench.narrow SELECT n, 0 FROM generate_series(1::bigint, %s) n", (keys,))
        db.run("VACUUM (FREEZE, ANALYZE) bench.narrow")
        VARIANTS[variant].prepare(db)
        VARIANTS[variant].attach(db, "bench.narrow", "id")


def _create_deliveries(db, *deliveries):
    """Nobody runs them: what is measured is the work of the server, called as the agent calls it."""
    db.run("SELECT conveyor.create_target('files', 'ndjson', '{\"directory\": \"/nowhere\"}')")
    for delivery in deliveries:
        db.run("SELECT conveyor.create_delivery(%s, 'narrow', 'files', %s, '{\"backfill\": false}')", (delivery, delivery))


def _set_cursor(db, delivery, snapshot="latest"):
    value = db.value("SELECT conveyor.latest_snapshot()::text") if snapshot == "latest" else snapshot
    db.run("UPDATE conveyor.delivery_state SET cursor = %s::pg_snapshot WHERE delivery = %s", (value, delivery))


def _update(db, times=1):
    for _ in range(times):
        db.run("UPDATE bench.narrow SET v = v + 1")
        db.run("VACUUM bench.narrow")


# Large windows -------------------------------------------------------------------------------------------------------

def _large_windows(bench, cluster, results):
    """The same ten changes of every key for all; the log of each is scanned and made unique by key."""
    keys, rounds = bench.size(1_000_000, 50_000), bench.rounds or bench.size(5, 2)
    times = 10
    bench.say(f"large windows: {keys:,} keys changed {times} times")
    readers = {}
    for number, variant in enumerate((CONVEYOR, PLPGSQL, PGQ)):
        database = f"log_{number}"
        _prepare(cluster, database, keys, variant)
        with cluster.connect(database) as db:
            if variant == CONVEYOR:
                _create_deliveries(db, "once", "ten_times")
                _set_cursor(db, "ten_times")
                _update(db, times - 1)
                _set_cursor(db, "once")
                _update(db)
                _check_recorded(db, "ten_times", keys * times)
                _check_recorded(db, "once", keys)
            elif variant == PGQ:
                db.run("SELECT pgq.register_consumer('bench', 'reader')")
                _update(db, 1)          # ten times would take minutes
                db.run("SELECT pgq.ticker('bench')")
            else:
                _update(db, times)
        readers[variant] = database
    sessions = {variant: cluster.connect(database, READ_ONLY if variant == CONVEYOR else "") for variant, database in readers.items()}
    try:
        measures = {
            f"conveyor, {REPEATED}": (keys * times, lambda: _window(sessions[CONVEYOR], "ten_times", keys)),
            f"conveyor, {DISTINCT}": (keys, lambda: _window(sessions[CONVEYOR], "once", keys)),
            "floor: sequential scan of conveyor's log": (keys * times, lambda: _scan(sessions[CONVEYOR])),
            f"PL/pgSQL log table, {REPEATED}": (keys * times, lambda: sessions[PLPGSQL].value(
                "SELECT count(*) FROM (SELECT DISTINCT key FROM public.change_log) keys")),
            f"pgq batch, {DISTINCT}": (keys, lambda: _pgq_batch(sessions[PGQ])),
        }
        for measure in measures.values():       # once to warm up
            measure[1]()
        taken = interleave({name: rounds for name in measures}, rounds, lambda name: _timed(*measures[name]), bench.say)
    finally:
        for session in sessions.values():
            session.raw.close()
    results.table("Reading one window, captured keys a second (medians)", ["what", "captured keys", "million keys/s", "rounds"],
                  [[name, measures[name][0], median(column(taken, name, "keys_per_second")) / 1e6, len(taken[name])]
                   for name in taken])
    for kind in (REPEATED, DISTINCT):
        results.claim(f"scanning and coalescing a window, {kind}: captured keys a second",
                      median(column(taken, f"conveyor, {kind}", "keys_per_second")) / 1e6, "≥", 10, "million")
    results.remark(f"Large windows: `conveyor.window_keys()` as the agent calls it: the log is scanned, unpacked and made unique, "
                   f"and every distinct key is written into frames. \"{REPEATED}\": {keys * times:,} captured keys of "
                   f"{keys:,} documents, in {times} transactions. The floor reads the same log rows by a plain sequential "
                   "scan that adds up the lengths of their entries: no key is unpacked.")
    results.keep(large_windows=taken)


def _timed(keys, work):
    began = time.perf_counter()
    work()
    return {"keys_per_second": keys / (time.perf_counter() - began)}


def _check_recorded(db, delivery, expected):
    """A key counts again when a spill of the buffer falls between a row's old and its new image."""
    recorded = db.value("SELECT changes FROM conveyor.log_pending((SELECT cursor FROM conveyor.delivery_state WHERE delivery = %s), "
                    "(SELECT array_agg(capture) FROM conveyor.capture WHERE retired_at IS NULL))", (delivery,))
    if not expected <= recorded <= expected * 1.001:
        raise RuntimeError(f"{recorded} changes lie before {delivery}, not {expected}")


def _window(db, delivery, expected):
    """The frames are made and thrown away: their way to the client is not the log's."""
    _, size = db.rows("SELECT count(*), sum(octet_length(frame)) FROM (SELECT conveyor.window_keys(%s) AS frame) frames", (delivery,))[0]
    if size < expected:
        raise RuntimeError(f"window_keys returned {size} bytes for {expected} keys")


def _scan(db):
    for (segment,) in db.rows("SELECT relation::text FROM conveyor.log_segment WHERE pg_relation_size(relation) > 0"):
        db.run(f"SELECT sum(octet_length(entries)) FROM {segment}")


def _pgq_batch(db):
    """The same batch again and again: it is never finished."""
    batch = db.value("SELECT pgq.next_batch('bench', 'reader')")
    db.run("SELECT count(DISTINCT ev_data) FROM pgq.get_batch_events(%s)", (batch,))


# Small windows before a backlog --------------------------------------------------------------------------------------

def _small_windows(bench, cluster, results):
    """Two databases: in one a slow delivery is 1M keys behind, in the other 100M. A live delivery drains small windows in
    both, in turns."""
    keys, factor, windows = bench.size(1_000_000, 20_000), bench.size(100, 10), bench.size(400, 40)
    for database, name in (("backlog_small", SMALL), ("backlog_large", LARGE)):
        _prepare(cluster, database, keys, CONVEYOR)
        with cluster.connect(database) as db:
            _create_deliveries(db, "slow", "live")
            _set_cursor(db, "slow")
            _update(db)
            if name == LARGE:
                bench.say(f"making a backlog of {keys * factor:,} keys")
                _multiply(db, factor)
            _set_cursor(db, "live")
            db.run("CHECKPOINT")
            _check_recorded(db, "slow", keys * (factor if name == LARGE else 1))
    bench.say(f"{windows} windows of {WINDOW_CHANGES} changes before each backlog")
    databases = {SMALL: "backlog_small", LARGE: "backlog_large"}
    writers = {name: cluster.connect(database) for name, database in databases.items()}
    readers = {name: cluster.connect(database, READ_ONLY) for name, database in databases.items()}
    try:
        for name in databases:
            for _ in range(5):
                _small_window(writers[name], readers[name], keys)
        taken = interleave({SMALL: windows, LARGE: windows}, windows,
                           lambda name: _small_window(writers[name], readers[name], keys), lambda _: None)
        drain = interleave({SMALL: 3, LARGE: 3}, 3, lambda name: _timed(
            keys * (factor if name == LARGE else 1), lambda: _window(readers[name], "slow", keys)), bench.say)
    finally:
        for session in [*writers.values(), *readers.values()]:
            session.raw.close()
    _report_small(results, taken, drain, keys, factor)


def _multiply(db, factor):
    """More backlog without changing rows 100M times: the packed log rows of a real UPDATE, copied, a transaction each."""
    segments = [row[0] for row in db.rows("SELECT relation::text FROM conveyor.log_segment ORDER BY number")]
    source = next(segment for segment in segments if db.value(f"SELECT count(*) FROM {segment}"))
    db.run(f"CREATE UNLOGGED TABLE bench.rows AS SELECT * FROM {source} WHERE kind = 'k'")
    for copy in range(factor - 1):
        db.run(f"INSERT INTO {segments[copy % len(segments)]} SELECT pg_current_xact_id(), now(), capture, changes, kind, entries "
               "FROM bench.rows")
    db.run("DROP TABLE bench.rows")


def _small_window(writer, reader, keys):
    first = 1 + hash((writer.pid, time.perf_counter_ns())) % (keys - WINDOW_CHANGES)
    writer.run("UPDATE bench.narrow SET v = v + 1 WHERE id BETWEEN %s AND %s", (first, first + WINDOW_CHANGES - 1))
    began = time.perf_counter()
    pending = reader.value("SELECT conveyor.log_has_pending((SELECT cursor FROM conveyor.delivery_state WHERE delivery = 'live'), "
                           "(SELECT array_agg(capture) FROM conveyor.capture WHERE retired_at IS NULL))")
    polled = time.perf_counter()
    answer = reader.rows("SELECT conveyor.window_keys('live')")
    read = time.perf_counter()
    found = frames.records(answer[-1][0])
    if not pending or found < WINDOW_CHANGES:
        raise RuntimeError(f"a window of {WINDOW_CHANGES} changes has {found} records (pending: {pending})")
    _set_cursor(writer, "live", frames.snapshot(answer[0][0]))
    return {"poll_ms": (polled - began) * 1e3, "window_ms": (read - polled) * 1e3}


def _report_small(results, taken, drain, keys, factor):
    rows = []
    for name in (SMALL, LARGE):
        window, poll = column(taken, name, "window_ms"), column(taken, name, "poll_ms")
        rows.append([f"{keys * (factor if name == LARGE else 1):,}", median(window), quantile(window, 0.99), median(poll),
                     median(column(drain, name, "keys_per_second")) / 1e6])
    results.table(f"A live delivery's windows of {WINDOW_CHANGES} changes while another delivery is behind",
                  ["backlog (keys)", "window ms, median", "p99", "poll ms, median", "draining the backlog itself, M keys/s"], rows)
    windows = paired_ratio(column(taken, LARGE, "window_ms"), column(taken, SMALL, "window_ms"))
    results.claim(f"cost per change of small windows: backlog of {keys * factor / 1e6:g}M / {keys / 1e6:g}M", windows, "≤", 1.1)
    results.remark("The large backlog is made of the packed rows that a real UPDATE logged, copied in a transaction each; its "
                   "keys repeat.")
    results.keep(small_windows=taken, drain=drain)
