"""A private PostgreSQL: made, started, crashed, copied to a standby and promoted by the tests."""

import contextlib
import os
import shutil
import subprocess

import psycopg2
import psycopg2.extensions

from ports import free_port
from waiting import until

# fsync off: the tests kill processes, never the machine.
SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "fsync": "off",
    "wal_level": "logical",
    "max_connections": "120",
    "max_prepared_transactions": "20",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "max_logical_replication_workers": "4",
    "max_wal_size": "'4GB'",
    "shared_buffers": "'256MB'",
    "log_min_messages": "warning",
    "log_line_prefix": "'%m [%p] %a %d '",
    "restart_after_crash": "on",
    # Takeovers are frequent here; the default of 10 s has a test of its own.
    "conveyor.lease_timeout": "'3s'",
}


def runs_as_postgres():
    """The command prefix that leaves root, since PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []


class Cluster:
    """One data directory and its server. `bin` is the directory of a PostgreSQL copy that has the extension installed."""

    def __init__(self, bin, directory, settings=None):
        self.bin = bin
        self.directory = str(directory)
        self.data = os.path.join(self.directory, "data")
        self.log = os.path.join(self.directory, "postgres.log")
        self.port = free_port()
        self.settings = {**SETTINGS, **(settings or {})}

    def _run(self, program, *arguments, **options):
        command = [*runs_as_postgres(), os.path.join(self.bin, program), *arguments]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}{self.log_tail()}")
        return done.stdout

    def _make_directory(self):
        os.makedirs(self.directory, exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")

    def initdb(self):
        self._make_directory()
        self._run("initdb", "-D", self.data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
        self._configure()

    def _configure(self):
        lines = [f"{name} = {value}" for name, value in self.settings.items()]
        lines += [f"port = {self.port}", f"unix_socket_directories = '{self.directory}'"]
        with open(os.path.join(self.data, "postgresql.auto.conf"), "a") as file:
            file.write("\n".join(lines) + "\n")

    def start(self):
        # pg_ctl would hand its pipes to the server and keep us waiting for their end: the output goes to a file.
        command = [*runs_as_postgres(), os.path.join(self.bin, "pg_ctl"), "-D", self.data, "-w", "-t", "60", "-s", "-l", self.log, "start"]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"PostgreSQL did not start: {self.log_tail()}")

    def stop(self, mode="fast"):
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "-m", mode, "stop")

    def restart(self, mode="fast"):
        self.stop(mode)
        self.start()

    def crash(self):
        """An immediate stop: nothing is written or flushed on the way out, recovery runs at the next start."""
        self.stop("immediate")

    def running(self):
        return os.path.exists(os.path.join(self.data, "postmaster.pid"))

    def destroy(self):
        if self.running():
            self.crash()
        shutil.rmtree(self.directory, ignore_errors=True)

    @contextlib.contextmanager
    def restarting(self):
        """Around something that makes the postmaster restart all backends; returns when they are restarted."""
        witness = self.connect("postgres")
        yield

        def thrown_out():
            try:
                with witness.cursor() as cursor:
                    cursor.execute("SELECT 1")
                return False
            except psycopg2.Error:
                return True

        until(thrown_out, "the postmaster throws everybody out", 30)
        witness.close()
        self.wait_ready()

    def wait_ready(self, timeout=30):
        def answers():
            try:
                self.connect("postgres").close()
                return True
            except psycopg2.OperationalError:
                return False

        until(answers, lambda: f"PostgreSQL answers: {self.log_tail()}", timeout)

    def standby(self, directory):
        """A streaming standby of this cluster, started."""
        other = Cluster(self.bin, directory, self.settings)
        other._make_directory()
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-D", other.data, "-R", "-c", "fast", "-X", "stream")
        other._configure()
        other.start()
        return other

    def backup(self, directory):
        """A base backup, from which restored() makes clusters."""
        os.makedirs(directory)
        if os.geteuid() == 0:
            shutil.chown(directory, "postgres", "postgres")
        self._run("pg_basebackup", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-D", str(directory), "-c", "fast", "-X", "none")

    def restored(self, directory, backup, archive, restore_point):
        """A cluster made from a backup and the archive of this one, as it was at a named restore point; started, and promoted when it is there."""
        other = Cluster(
            self.bin,
            directory,
            {
                **self.settings,
                "restore_command": f"'cp {archive}/%f %p'",
                "recovery_target_name": f"'{restore_point}'",
                "recovery_target_action": "promote",
            },
        )
        other._make_directory()
        shutil.copytree(backup, other.data)
        os.chmod(other.data, 0o700)
        with open(os.path.join(other.data, "recovery.signal"), "w"):
            pass
        other._configure()
        if os.geteuid() == 0:
            for path, folders, files in os.walk(other.data):
                for name in [".", *folders, *files]:
                    shutil.chown(os.path.join(path, name), "postgres", "postgres")
        other.start()
        other.wait_recovered()
        return other

    def wait_recovered(self):
        connection = self.connect("postgres")
        with connection.cursor() as cursor:

            def recovered():
                cursor.execute("SELECT pg_is_in_recovery()")
                return not cursor.fetchone()[0]

            until(recovered, lambda: f"the recovery ends: {self.log_tail()}", 60)
        connection.close()

    def dump(self, database, file, *options):
        self._run("pg_dump", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-f", str(file), *options)

    def load_dump(self, database, file):
        """What pg_dump wrote, into a database that is empty; any error of the restore is an error here."""
        program = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"] if str(file).endswith(".sql") else ["pg_restore", "--exit-on-error"]
        self._run(program[0], "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, *program[1:], str(file))

    def promote(self):
        self._run("pg_ctl", "-D", self.data, "-w", "-s", "promote")

    def connect(self, database, user="postgres", autocommit=True, options="", port=None):
        connection = psycopg2.connect(
            host="127.0.0.1", port=port or self.port, dbname=database, user=user, options=options, connect_timeout=10, application_name="test"
        )
        connection.autocommit = autocommit
        return connection

    def conninfo(self, database, user, port=None):
        return f"host=127.0.0.1 port={port or self.port} dbname={database} user={user}"

    def log_tail(self, lines=30):
        try:
            with open(self.log, errors="replace") as file:
                return "".join(file.readlines()[-lines:])
        except FileNotFoundError:
            return ""
