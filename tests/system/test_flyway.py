"""Migrations that are started, waited for and asked about by Flyway's scripts."""

import subprocess

import pytest

from cluster import runs_as_postgres
from flyway import Flyway, documented_scripts
from waiting import until

ROWS = 5000


@pytest.fixture
def flyway(database, tmp_path):
    """A database with the old table, and Flyway as a role that is no superuser. Batches are small and slow, so that there is something to see."""
    for statement in (
        "DO $$ BEGIN CREATE ROLE migrator LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT conveyor_operator TO migrator",
        f"GRANT CREATE ON DATABASE {database.name} TO migrator",
        "GRANT CREATE, USAGE ON SCHEMA shop TO migrator",
        "DROP TABLE IF EXISTS shop.orders CASCADE",
        "CREATE SCHEMA legacy AUTHORIZATION migrator",
        "SET ROLE migrator",
        "CREATE TABLE legacy.orders (id bigint PRIMARY KEY, amount numeric NOT NULL)",
        f"INSERT INTO legacy.orders SELECT n, n / 100.0 FROM generate_series(1, {ROWS}) AS n",
        "RESET ROLE",
    ):
        database.sql(statement)
    return Flyway(database, tmp_path, "migrator")


def slowly(script):
    """The documented script with options that make it last."""
    return script.replace("create_migration('split_orders')", """create_migration('split_orders', '{"rate": 2000, "batch_size": 100, "max_batch_size": 100}')""")


def equal(database):
    return database.one("SELECT count(*) FROM shop.orders o JOIN legacy.orders l ON l.id = o.id AND l.amount = o.total") == ROWS


def test_a_script_starts_the_work_and_a_later_one_fails_until_it_is_done(flyway, database):
    scripts = documented_scripts()
    flyway.script("V10__split_orders.sql", slowly(scripts["V10__split_orders.sql"]))
    flyway.script("V20__drop_legacy_orders.sql", scripts["V20__drop_legacy_orders.sql"])
    done, output = flyway.migrate()
    assert not done
    assert 'migration "split_orders" is not finished: it is running' in output
    assert "0 of 1 jobs are finished" in output and "rows are done" in output
    assert "CALL conveyor.wait_finished('split_orders', '1 h')" in output
    assert database.one("SELECT to_regclass('legacy.orders') IS NOT NULL"), "the failed script changed nothing"
    until(lambda: database.one("SELECT state FROM conveyor.migration_status") == "finished", "the migration is finished")
    assert equal(database)
    done, output = flyway.migrate()
    assert done, output
    assert database.one("SELECT to_regclass('legacy.orders_until_2026') IS NOT NULL")


def test_a_script_without_a_transaction_waits_and_pins_nothing(flyway, database):
    scripts = documented_scripts()
    for name, text in scripts.items():
        flyway.script(name, slowly(text))
    running = flyway.begin("-postgresql.transactional.lock=false")
    until(lambda: database.one("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL conveyor.wait_finished%'"), "Flyway waits")
    # Each look has a snapshot for a moment: so it is looked at often.
    until(
        lambda: database.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'migrator' AND backend_type = 'client backend' AND backend_xmin IS NOT NULL") == 0,
        "nothing of Flyway's holds a snapshot",
    )
    output = running.communicate(timeout=120)[0]
    assert running.returncode == 0, output
    assert database.one("SELECT to_regclass('legacy.orders_until_2026') IS NOT NULL")


def test_flyways_own_lock_holds_a_snapshot_by_default(flyway, database):
    """What the documentation warns of; when this fails, Flyway has changed and the warning can go."""
    for name, text in documented_scripts().items():
        flyway.script(name, slowly(text))
    running = flyway.begin()
    until(lambda: database.one("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CALL conveyor.wait_finished%'"), "Flyway waits")
    assert database.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'migrator' AND state = 'idle in transaction' AND backend_xmin IS NOT NULL") == 1
    output = running.communicate(timeout=120)[0]
    assert running.returncode == 0, output


def test_a_script_that_fails_behind_the_start_starts_nothing(flyway, database):
    scripts = documented_scripts()
    flyway.script("V10__split_orders.sql", scripts["V10__split_orders.sql"] + "\nSELECT 1 / 0;\n")
    done, output = flyway.migrate()
    assert not done and "division by zero" in output
    assert database.one("SELECT count(*) FROM conveyor.migration_status") == 0
    assert database.one("SELECT to_regclass('shop.orders') IS NULL")
    flyway.script("V10__split_orders.sql", scripts["V10__split_orders.sql"])
    done, output = flyway.migrate()
    assert done, output
    until(lambda: database.one("SELECT state FROM conveyor.migration_status") == "finished", "the migration is finished")
    assert equal(database)


def test_the_same_script_does_in_one_transaction_of_psql(flyway, database, tmp_path):
    script = tmp_path / "start.sql"
    script.write_text(documented_scripts()["V10__split_orders.sql"])
    tmp_path.chmod(0o755)
    arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-f", "-", "-h", "127.0.0.1", "-p", str(database.cluster.port), "-U", "migrator", "-d", database.name]
    with script.open() as text:
        subprocess.run([*runs_as_postgres(), f"{database.cluster.bin}/psql", *arguments], check=True, stdin=text, cwd="/", capture_output=True)
    until(lambda: database.one("SELECT state FROM conveyor.migration_status") == "finished", "the migration is finished")
    assert equal(database)
