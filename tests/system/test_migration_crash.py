"""Each row of a job is gone through once, whatever dies, is cancelled, paused, locked or run twice meanwhile."""

import os
import re
import signal
import threading

import psycopg2
import pytest

from moving import OWNER, SETTINGS, Moving, Writers
from waiting import holds, until

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "extension", "migrate")


def failpoints():
    """The points at which a runner can be stopped, as its source names them."""
    found = set()
    for name in os.listdir(FOLDER):
        if name.endswith(".cpp"):
            with open(os.path.join(FOLDER, name)) as file:
                found |= set(re.findall(r'\bfailpoint\("(migrate_[a-z_]+)"\)', file.read()))
    return sorted(found)


@pytest.fixture(scope="module")
def server(make_cluster):
    return make_cluster("migrating", SETTINGS)


@pytest.fixture
def moving(server, request):
    moving = Moving(server, re.sub(r"\W", "_", request.node.name)[:60])
    yield moving
    moving.database.close()


def arm(server, points):
    """For all sessions there are and will be, workers included."""
    connection = server.connect("postgres")
    with connection.cursor() as cursor:
        cursor.execute("LOAD 'pg_conveyor'")
        if points:
            cursor.execute("ALTER SYSTEM SET conveyor.failpoint = %s", (points,))
        else:
            cursor.execute("ALTER SYSTEM RESET conveyor.failpoint")
        cursor.execute("SELECT pg_reload_conf()")
    connection.close()


def stopped(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "T"
    except FileNotFoundError:
        return False


def test_there_are_failpoints():
    assert len(failpoints()) >= 7


def test_a_worker_killed_at_every_point_repeats_nothing_and_loses_nothing(server, moving):
    moving.define(batch=10)
    with Writers(moving) as writers:
        moving.start()
        for point in failpoints():
            since = moving.job("rows_done")
            until(moving.progressed(since, 20), moving.describe)
            assert moving.state() == "running", f"the job was over before {point}"
            with server.restarting():
                arm(server, f"{point}=kill")
                moving.database.close()
            arm(server, "")
            moving.tick()
        moving.finish()
        assert writers.committed > 0
    moving.assert_each_once()


def test_a_server_stopped_at_once_at_every_point_repeats_nothing_and_loses_nothing(server, moving):
    moving.define(workers=1, batch=10)
    with Writers(moving):
        moving.start()
        for point in failpoints():
            since = moving.job("rows_done")
            until(moving.progressed(since, 20), moving.describe)
            assert moving.state() == "running", f"the job was over before {point}"
            arm(server, f"{point}=stop")
            at_point = until(lambda: [pid for pid in moving.workers() if stopped(pid)], f"a worker stops at {point}")
            moving.database.close()
            crash = threading.Thread(target=server.crash)
            crash.start()
            os.kill(at_point[0], signal.SIGKILL)  # a stopped process does not hear the postmaster
            crash.join()
            server.start()
            arm(server, "")
            moving.tick()
        moving.finish()
    moving.assert_each_once()


def test_pauses_terminated_workers_and_several_sessions_that_run_it(server, moving):
    moving.define()
    over = threading.Event()
    notices = []

    def run():
        while not over.is_set():
            connection = moving.database.connect(OWNER)
            try:
                with connection.cursor() as cursor:
                    cursor.execute("CALL conveyor.run_migration('m')")
                notices.extend(connection.notices)
                return
            except psycopg2.Error as error:  # paused, cancelled or terminated
                notices.append(str(error))
            finally:
                connection.close()

    def throw_out(number):
        """The workers now, the sessions in the foreground the next time, nobody the third time."""
        sessions = "FROM pg_stat_activity WHERE datname = current_database() AND"
        if number % 3 == 0:
            moving.database.sql(f"SELECT pg_terminate_backend(pid) {sessions} backend_type = 'conveyor migration'")
        if number % 3 == 1:
            moving.database.sql(f"SELECT pg_cancel_backend(pid) {sessions} query LIKE 'CALL conveyor.run_migration%'")

    with Writers(moving):
        moving.start()
        runners = [threading.Thread(target=run) for _ in range(2)]
        for runner in runners:
            runner.start()
        number = 0
        while moving.state() == "running":
            number += 1
            moving.pause_and_resume(lambda: throw_out(number))
            moving.tick()
            since = moving.job("rows_done")
            until(moving.progressed(since, 20), moving.describe)
        moving.finish()
        over.set()
        for runner in runners:
            runner.join()
    moving.assert_each_once()
    assert any("cancel" in notice for notice in notices), notices


def test_a_migration_that_is_paused_and_resumed_at_once_goes_on_by_itself(server, moving):
    """Nobody ticks: whoever leaves because of the pause sees that it is over."""
    moving.define(workers=1, batch=20)
    moving.start()
    while moving.state() == "running":
        moving.pause_and_resume()
        since = moving.job("rows_done")
        until(moving.progressed(since, 20), moving.describe)
    moving.assert_each_once()


def test_a_batch_that_runs_out_of_time_is_done_in_pieces(server, moving):
    statement = "UPDATE account a SET times = a.times + 1 FROM batch b WHERE b.id = a.id AND (b.id % 100 <> 7 OR pg_sleep(0.02) IS NOT NULL)"
    moving.define(statement=statement, batch=400, min_batch_size=10, statement_timeout="100 ms")
    with Writers(moving):
        moving.start()
        moving.finish()
    moving.assert_each_once()


def test_a_lock_that_somebody_keeps_is_waited_for(server, moving):
    """It is no failure of the job, however long it takes, and leaves no rows behind."""
    moving.define(workers=1, max_retry_delay="100 ms", max_attempts=2)
    with moving.database.transaction() as holder:
        holder.execute("LOCK TABLE account IN SHARE MODE")
        moving.start()
        until(lambda: moving.job("retries") >= 6, moving.describe, 30)
        assert "55P03" in moving.job("last_error")
        assert moving.state() == "running"
    moving.finish()
    moving.assert_each_once()


def test_without_a_free_background_worker_it_waits_and_says_so(server, moving):
    """Six slots, one of them is the logical replication launcher's: four workers of one job and a runner leave none."""
    moving.define("first", workers=6, throttle_query="SELECT 'held by the test'")
    moving.start("first")
    until(lambda: len(moving.workers()) >= 5, moving.describe)
    moving.define("second", workers=1)
    moving.start("second")

    def says_so():
        moving.tick()
        return "max_worker_processes = 6 are in use" in (moving.job("throttle", "second") or "")

    until(says_so, lambda: moving.describe("second"))
    holds(lambda: moving.state("second") == "running", "it waits", 0.5)
    moving.as_owner("SELECT conveyor.cancel_migration('first')")
    moving.finish("second")
    assert moving.job("throttle", "second") is None
    assert moving.database.sql("SELECT times, count(*) FROM account GROUP BY times") == [(1, moving.rows)]


def test_an_owner_who_loses_a_right_stops_the_job_until_it_is_given_back(server, moving):
    moving.database.sql("CREATE TABLE copied (id int PRIMARY KEY)")
    moving.database.sql(f"GRANT SELECT, INSERT ON copied TO {OWNER}")
    moving.define(statement="INSERT INTO copied SELECT id FROM batch", batch=20)
    moving.start()
    until(moving.progressed(0), moving.describe)
    moving.database.sql(f"REVOKE INSERT ON copied FROM {OWNER}")
    until(lambda: moving.state() == "failed", moving.describe)
    assert "42501: permission denied for table copied HINT: Grant the migration's owner" in moving.job("last_error")
    moving.database.sql(f"GRANT INSERT ON copied TO {OWNER}")
    moving.as_owner("SELECT conveyor.retry_migration('m')")
    moving.finish()
    assert moving.database.one("SELECT count(*) FROM copied") == moving.rows


def test_a_source_that_changes_while_it_runs(server, moving):
    """A new column and a new index are no obstacle; a source that is gone stops the job."""
    moving.define(batch=20, statement="SELECT pg_sleep(0.005), count(*) FROM batch")
    moving.start()
    until(moving.progressed(0), moving.describe)
    moving.as_owner("ALTER TABLE account ADD COLUMN more text DEFAULT 'x'")
    moving.as_owner("CREATE INDEX ON account (amount)")
    since = moving.job("rows_done")
    until(moving.progressed(since), moving.describe)
    assert moving.state() == "running"
    moving.as_owner("DROP TABLE account")
    until(lambda: moving.state() == "failed", moving.describe)
    assert "42P01" in moving.job("last_error")
