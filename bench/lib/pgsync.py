"""PGSync as a peer: triggers and a replication slot, Redis between, documents made by its own queries.

Tuned as its users do for speed (poll and chunk settings below); everything speaks through Unix sockets but OpenSearch.
"""
import json
import os
import signal
import subprocess
import time

from lib import proc

INDEX = "pgsync_orders"
TUNED = {"POLL_TIMEOUT": "0.005", "REDIS_WRITE_CHUNK_SIZE": "20", "ELASTICSEARCH_CHUNK_SIZE": "2000"}
SCHEMA = [{
    "database": "shop", "index": INDEX,
    "nodes": {
        "table": "orders", "schema": "shop", "columns": ["id", "status", "ordered_at", "total", "note"],
        "children": [
            {"table": "customers", "schema": "shop", "label": "customer", "columns": ["id", "name", "email", "city", "tier"],
             "relationship": {"variant": "object", "type": "one_to_one",
                              "foreign_key": {"child": ["id"], "parent": ["customer_id"]}}},
            {"table": "items", "schema": "shop", "label": "items",
             "columns": ["id", "order_id", "sku", "title", "quantity", "price"],
             "relationship": {"variant": "object", "type": "one_to_many",
                              "foreign_key": {"child": ["order_id"], "parent": ["id"]}}},
        ]}}]


class PgSync:
    def __init__(self, bench, cluster, search):
        self._programs = bench.python.parent
        self._dir = bench.folder / "pgsync"
        self._dir.mkdir(exist_ok=True)
        self._config = self._dir / "schema.json"
        self._config.write_text(json.dumps(SCHEMA), encoding="utf-8")
        self._env = os.environ | TUNED | {
            "PG_URL": f"postgresql+psycopg2://postgres@/shop?host={cluster.dir}", "PG_USER": "postgres",
            "REDIS_URL": f"unix://{self._dir}/redis.sock", "OPENSEARCH": "true", "ELASTICSEARCH": "false",
            "ELASTICSEARCH_URL": search.url, "CHECKPOINT_PATH": str(self._dir)}
        self._log = self._dir / "log"
        self._redis = self._daemon = None

    def __enter__(self):
        self._redis = subprocess.Popen(
            ["redis-server", "--port", "0", "--unixsocket", f"{self._dir}/redis.sock", "--save", "", "--dir", self._dir],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while not (self._dir / "redis.sock").exists():
            if self._redis.poll() is not None:
                raise RuntimeError(f"redis-server ended with {self._redis.returncode}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.stop()
        self._redis.terminate()
        self._redis.wait()

    def _start(self, *command):
        with open(self._log, "w", encoding="utf-8") as log:
            return subprocess.Popen([self._programs / command[0], *command[1:], "-c", self._config], env=self._env,
                                    cwd=self._dir, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _finish(self, process, seconds):
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            status = "a timeout"
        if status:
            raise RuntimeError(f"PGSync ended with {status}: {self._log.read_text(errors='replace')[-2000:]}")

    def bootstrap(self):
        """Its triggers, slot and materialised view."""
        self._finish(self._start("bootstrap"), 300)

    def initial_load(self):
        """Everything once, without --daemon: {seconds, cpu}."""
        began, cpu = time.perf_counter(), _children_cpu()
        self._finish(self._start("pgsync"), 1800)
        return {"seconds": time.perf_counter() - began, "cpu": _children_cpu() - cpu}

    def start(self):
        self._daemon = self._start("pgsync", "--daemon")

    def cpu(self):
        return proc.cpu_seconds(self._daemon.pid)

    def stop(self):
        if self._daemon and self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGTERM)
            try:
                self._daemon.wait(10)
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()

    def teardown(self):
        self.stop()
        self._finish(self._start("bootstrap", "--teardown"), 120)


def _children_cpu():
    times = os.times()
    return times.children_user + times.children_system
