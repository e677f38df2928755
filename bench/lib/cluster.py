"""Throw-away PostgreSQL servers (tools/cluster.sh) and sessions on them."""
import os
import subprocess
from pathlib import Path

import psycopg2

TOOL = Path(__file__).resolve().parents[2] / "tools" / "cluster.sh"
SETTINGS = {
    "shared_buffers": "1GB",
    "max_wal_size": "20GB",          # no checkpoint falls into a measurement but those that we ask for
    "checkpoint_timeout": "1h",
    "autovacuum": "off",             # likewise vacuum
    "work_mem": "64MB",
    "maintenance_work_mem": "256MB",
    "jit": "off",
    "log_min_messages": "warning",
}


class Cluster:
    def __init__(self, pg_config, directory, settings=()):
        self.pg_config, self.dir = str(pg_config), Path(directory)
        self.bin = Path(subprocess.check_output([self.pg_config, "--bindir"], text=True).strip())
        self.settings = SETTINGS | dict(settings)

    def _manage(self, *arguments):
        subprocess.run([TOOL, *arguments], check=True, env=os.environ | {"PG_CONFIG": self.pg_config},
                       stdin=subprocess.DEVNULL)

    def start(self):
        """A new, empty cluster; whatever an earlier run left there goes."""
        self._manage("drop", self.dir)
        self._manage("start", self.dir, *(f"{name}={value}" for name, value in self.settings.items()))

    def drop(self):
        self._manage("drop", self.dir)

    def conninfo(self, database, user="postgres"):
        return f"host={self.dir} dbname={database} user={user}"

    def connect(self, database="postgres", options=""):
        return Connection(psycopg2.connect(self.conninfo(database), options=options))

    def create_database(self, name, *extensions):
        with self.connect() as admin:
            admin.run(f"DROP DATABASE IF EXISTS {name}")
            admin.run(f"CREATE DATABASE {name}")
        with self.connect(name) as fresh:
            for extension in extensions:
                fresh.run(f"CREATE EXTENSION {extension} CASCADE")

    def tool(self, name, *arguments, database, **kwargs):
        """One of PostgreSQL's client programs; returns what it printed."""
        command = [self.bin / name, "-h", self.dir, "-U", "postgres", *arguments, database]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, **kwargs)
        if done.returncode:
            raise RuntimeError(f"{name} failed: {done.stdout[-1000:]}{done.stderr[-2000:]}")
        return done.stdout


class Connection:
    """A session in autocommit mode."""

    def __init__(self, raw):
        self.raw = raw
        raw.autocommit = True
        self.pid = raw.get_backend_pid()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def run(self, sql, parameters=None):
        with self.raw.cursor() as cursor:
            cursor.execute(sql, parameters)

    def rows(self, sql, parameters=None):
        with self.raw.cursor() as cursor:
            cursor.execute(sql, parameters)
            return cursor.fetchall()

    def value(self, sql, parameters=None):
        return self.rows(sql, parameters)[0][0]

    def wal_position(self):
        return int(self.value("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')"))
