"""Keeping an index exact: steady changes a second, and from commit to acknowledged at 1,000 small transactions a second."""
import re
import shutil
import threading
import time
from statistics import median

from lib import delivery, latency, pipeline, shop
from lib.agent import Agent, create_role
from lib.pgsync import INDEX as PGSYNC_INDEX
from lib.pgsync import PgSync
from lib.rounds import column, interleave
from lib.stats import paired_ratio, quantile

TITLE = "Live: steady changes, and from commit to acknowledged"
NAME, FLOOR = "live", "floor"
DOCUMENTS = "SELECT d.id, row_to_json(d) FROM shop.order_document d"
TRANSACTIONS, PER_TRANSACTION = 200, 100
# Both give the transaction's id.
WRITES = {
    "orders": "WITH changed AS (UPDATE shop.orders SET note = %s WHERE id = ANY (%s)) SELECT pg_current_xact_id()::text::bigint",
    "items": "WITH changed AS (UPDATE shop.items SET title = %s WHERE id = ANY (%s)) SELECT pg_current_xact_id()::text::bigint",
}
RATE = 1000


def run(bench, results):
    orders, rounds = bench.orders or bench.size(500_000, 30_000), bench.rounds or bench.size(4, 1)
    cluster = bench.cluster(wal_level="logical", track_commit_timestamp="on")
    search = bench.search()
    cluster.start()
    try:
        search.start()
        cluster.create_database("shop", "pg_conveyor")
        with cluster.connect("shop") as db:
            bench.say(f"filling the shop with {orders:,} orders")
            shop.fill(db, orders, orders // 10)
            shop.create_feed(db)
            create_role(db)
            db.run("CHECKPOINT")
            steady = Steady(bench, cluster, search, db, orders)
            with Agent(bench.conveyor, cluster, "shop", bench.results_dir / "agent-live.log") as agent:
                steady.agent = agent
                agent.wait_ready(db)
                delivery.create(db, NAME, "orders", "elasticsearch", {"url": search.url}, NAME)
                delivery.wait_backfilled(db, NAME, agent)
                bench.say("filling the floor's index")
                search.create_like(FLOOR, NAME)
                pipeline.run(bench, cluster, search, FLOOR, 1_000_000, 2, DOCUMENTS)
                search.request("PUT", f"{FLOOR}/_settings", {"index": {"refresh_interval": None}})
                bench.say(f"{TRANSACTIONS * PER_TRANSACTION:,} changes in {TRANSACTIONS} transactions")
                kinds = list(WRITES)
                for kind in kinds:
                    steady.conveyor(kind)
                taken = interleave({f"conveyor: {kind}": rounds for kind in kinds} | {f"floor: {kind}": rounds for kind in kinds},
                                   rounds, steady.measure, bench.say)
                lags = _latency(bench, cluster, search, db, agent, orders)
            delivery.drop(db, NAME)
            db.run("SELECT conveyor.drop_feed('orders')")
            if bench.pgsync:
                bench.say("PGSync loads its index")
                taken |= _pgsync(bench, cluster, search, steady)
    finally:
        search.stop()
        cluster.drop()
        shutil.rmtree(search.dir, ignore_errors=True)
    _report(results, taken, lags)


class Steady:
    """20,000 rows changed in 200 transactions, as fast as one session can, and what follows until all have arrived."""

    def __init__(self, bench, cluster, search, db, orders):
        self.bench, self.cluster, self.search, self.db, self.orders = bench, cluster, search, db, orders
        self.agent, self.count = None, 0

    def measure(self, name):
        who, kind = name.split(": ")
        return {"conveyor": self.conveyor, "floor": self.floor}[who](kind)

    def write(self, kind):
        """Returns the word that all changed documents now contain, the last transaction, and the orders changed."""
        self.count += 1
        word, orders, xid = f"mark{self.count}", [], None
        rows = self.orders * (3 if kind == "items" else 1)
        stride = rows // (TRANSACTIONS * PER_TRANSACTION)
        for number in range(TRANSACTIONS):
            # Scattered over the table: neighbours in a transaction are `TRANSACTIONS` strides apart.
            ids = [1 + ((n * TRANSACTIONS + number) * stride + self.count) % rows for n in range(PER_TRANSACTION)]
            xid = self.db.value(WRITES[kind], (f"{word} of {kind}", ids))
            orders += ids if kind == "orders" else [1 + (item - 1) // 3 for item in ids]
        return word, xid, orders

    def conveyor(self, kind):
        began, cpu = time.perf_counter(), self.agent.cpu()
        _, xid, _ = self.write(kind)
        wrote = time.perf_counter() - began
        delivery.wait_acknowledged(self.db, NAME, xid, self.agent)
        return self._figures(time.perf_counter() - began, wrote, cpu=self.agent.cpu() - cpu)

    def floor(self, kind):
        """The same writes while the delivery rests, then COPY of exactly their documents, piped into bulk bodies."""
        self.db.run("SELECT conveyor.pause_delivery(%s)", (NAME,))
        time.sleep(1)
        began = time.perf_counter()
        _, xid, orders = self.write(kind)
        wrote = time.perf_counter() - began
        done = pipeline.run(self.bench, self.cluster, self.search, FLOOR, 1_000_000 + self.count, 2, DOCUMENTS + " WHERE d.id = ANY ('{"
                            + ",".join(map(str, sorted(set(orders)))) + "}')")
        self.db.run("SELECT conveyor.resume_delivery(%s)", (NAME,))
        delivery.wait_acknowledged(self.db, NAME, xid, self.agent)
        return self._figures(wrote + done["seconds"], wrote, cpu=done["cpu"])

    def pgsync(self, kind, peer):
        """Until a search finds all of them; asked four times a second."""
        began, cpu = time.perf_counter(), peer.cpu()
        word, _, orders = self.write(kind)
        wrote = time.perf_counter() - began
        expected = len(set(orders))
        while (found := self._found(word)) != expected:
            if time.perf_counter() - began > 300:
                raise RuntimeError(f"PGSync shows {found} of {expected} changed documents after 300 s")
            time.sleep(0.25)
        return self._figures(time.perf_counter() - began, wrote, cpu=peer.cpu() - cpu)

    def _found(self, word):
        self.search.request("POST", f"{PGSYNC_INDEX}/_refresh")
        return self.search.request("GET", f"{PGSYNC_INDEX}/_count", {
            "query": {"multi_match": {"query": word, "fields": ["note", "items.title"]}}})["count"]

    @staticmethod
    def _figures(seconds, wrote, **more):
        return {"seconds": seconds, "changes_per_second": TRANSACTIONS * PER_TRANSACTION / seconds, "writing": wrote, **more}


def _latency(bench, cluster, search, db, agent, orders):
    """The load is pgbench's, at a fixed rate; first with the delivery at work, then with bare bulk requests instead of it."""
    seconds = bench.size(30, 5)
    script = bench.folder / "latency.sql"
    script.write_text(f"\\set id random(1, {orders})\nUPDATE shop.orders SET note = 'a change' WHERE id = :id;\n", encoding="utf-8")
    bench.say(f"{RATE} small transactions a second for {seconds} s")
    # Keys repeat seldom, and a row keeps the id of the last transaction that changed it: a sample of nearly all.
    first = db.value("SELECT pg_current_xact_id()::text::bigint")
    with cluster.connect("shop") as watcher, latency.CursorWatch(watcher, NAME) as watch:
        sustained = _load(cluster, script, seconds)
        delivery.wait_acknowledged(db, NAME, db.value("SELECT pg_current_xact_id()::text::bigint"), agent)
        time.sleep(0.1)
    changed = [row[0] for row in db.rows("SELECT xmin::text::bigint FROM shop.orders WHERE note = 'a change' AND "
                                         "xmin::text::bigint > %s", (first,))]
    found = latency.latencies(db, latency.commit_times(db, changed), watch)
    window = max(1, round(len(changed) / max(1, len(watch.seen))))
    bench.say(f"{len(found)} changes, {len(watch.seen)} cursors; now bare bulks of {window} documents")
    db.run("SELECT conveyor.pause_delivery(%s)", (NAME,))
    time.sleep(1)
    texts = [row[0].encode() for row in db.rows(shop.DOCUMENTS.replace("row_to_json(d)", "row_to_json(d)::text") + " LIMIT %s", (window,))]
    load = threading.Thread(target=_load, args=(cluster, script, seconds))
    load.start()
    bare = latency.bare_bulk(search, FLOOR, texts, seconds - 1, 0.005)
    load.join()
    return {"latency": found, "bare": bare, "window": window, "cursors": len(watch.seen), "sustained": sustained}


def _load(cluster, script, seconds):
    output = cluster.tool("pgbench", "-n", "-M", "prepared", "-c", 4, "-j", 1, "-R", RATE, "-T", seconds, "-f", script, database="shop")
    return float(re.search(r"tps = ([\d.]+)", output).group(1))


def _pgsync(bench, cluster, search, steady):
    with PgSync(bench, cluster, search) as peer:
        peer.bootstrap()
        peer.initial_load()
        peer.start()
        time.sleep(5)
        taken = {f"PGSync: {kind}": [steady.pgsync(kind, peer)] for kind in WRITES}
        peer.teardown()
    return taken


def _report(results, taken, lags):
    rows = [[name, median(column(taken, name, "changes_per_second")), median(column(taken, name, "seconds")),
             median(column(taken, name, "writing")), median(column(taken, name, "cpu")), len(taken[name])] for name in taken]
    results.table("20,000 rows changed in 200 transactions by one session, until acknowledged (PGSync: until a search finds them)",
                  ["what", "changes/s", "seconds in all", "of which writing", "client CPU s", "rounds"], rows)
    for kind in WRITES:
        mine, floor, peer = f"conveyor: {kind}", f"floor: {kind}", f"PGSync: {kind}"
        results.claim(f"steady changes of {kind}: rate / writes, then COPY piped into bulk bodies",
                      paired_ratio(column(taken, floor, "seconds"), column(taken, mine, "seconds")), "≥", 0.95)
        text = f"steady changes of {kind}: rate / PGSync"
        if peer in taken:
            results.claim(text, taken[peer][0]["seconds"] / median(column(taken, mine, "seconds")), "≥", 10)
        else:
            results.unmeasured(text, "≥", 10, "left out by --without-pgsync")
    found, bare = lags["latency"], lags["bare"]
    ms = lambda values, q: quantile(values, q) * 1e3  # noqa: E731
    results.table(f"Milliseconds at {lags['sustained']:.0f} small transactions a second",
                  ["what", "p50", "p90", "p99", "samples"],
                  [["commit to acknowledged", ms(found, .5), ms(found, .9), ms(found, .99), len(found)],
                   [f"floor: a bare bulk of {lags['window']} documents", ms(bare, .5), ms(bare, .9), ms(bare, .99), len(bare)]])
    results.claim("commit to acknowledged, p50", ms(found, .5), "<", 15, "ms")
    results.claim("commit to acknowledged, p99", ms(found, .99), "<", 60, "ms")
    results.remark(f"From commit to acknowledged: both ends are commit times stamped by the server, of the change and of the transaction "
                   f"that moved the delivery's cursor over it ({lags['cursors']:,} of them, about {lags['window']} changes each).")
    results.remark("The floor of steady changes writes first and sends afterwards; a delivery may send while the writer still writes, so "
                   "its ratio may pass 1.")
    results.keep(rounds=taken, latency_ms=[round(v * 1e3, 2) for v in found[::10]], bare_ms=[round(v * 1e3, 2) for v in bare])
