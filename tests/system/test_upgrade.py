"""ALTER EXTENSION UPDATE while an agent works: it goes on by what is there afterwards, and loses nothing."""

import pathlib
import subprocess

import pytest

from equality import assert_equal_both_ways
from load import Load
from waiting import until

NEXT = "0.999.1"


def scripts(database):
    """The folder of the extension's scripts, and the version that is installed."""
    bin = pathlib.Path(database.cluster.bin)
    shared = subprocess.run([bin / "pg_config", "--sharedir"], check=True, capture_output=True, text=True).stdout.strip()
    return pathlib.Path(shared) / "extension", database.one("SELECT extversion FROM pg_extension WHERE extname = 'pg_conveyor'")


def functions_anew(database):
    """Every function that is not in C, as an update script would replace it."""
    rows = database.sql(
        """SELECT pg_get_functiondef(p.oid) FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
            WHERE p.pronamespace = 'conveyor'::regnamespace AND l.lanname IN ('sql', 'plpgsql') ORDER BY p.oid"""
    )
    return ";\n".join(text for (text,) in rows) + ";\n"


def made_anew(database, function):
    """A function that is dropped and made anew: sessions that have it prepared must find the new one."""
    signature, text, grants = database.sql(
        """SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid),
                  (SELECT string_agg(format('GRANT EXECUTE ON FUNCTION %%s TO %%s;', p.oid::regprocedure, a.grantee::regrole), ' ')
                     FROM aclexplode(p.proacl) AS a WHERE a.grantee <> p.proowner)
             FROM pg_proc p WHERE p.oid = %s::regproc""",
        f"conveyor.{function}",
    )[0]
    return f"DROP FUNCTION {signature};\n{text};\nREVOKE ALL ON FUNCTION {signature} FROM PUBLIC;\n{grants}\n"


def view_anew(database, view):
    text = database.one("SELECT pg_get_viewdef(%s::text::regclass)", f"conveyor.{view}")
    return f"DROP VIEW conveyor.{view};\nCREATE VIEW conveyor.{view} AS {text}\nGRANT SELECT ON conveyor.{view} TO conveyor_reader, conveyor_operator;\n"


@pytest.fixture
def next_version(live_orders, database):
    """An update script to a next version, made from what is installed; removed at the end."""
    folder, version = scripts(database)
    script = folder / f"pg_conveyor--{version}--{NEXT}.sql"
    script.write_text(
        functions_anew(database)
        + "".join(made_anew(database, function) for function in ("agent_poll", "advance", "fence", "range_claim"))
        + view_anew(database, "agent_status")
        + "ALTER TABLE conveyor.delivery_state ADD COLUMN of_the_next_version int;\n"
        + "ALTER TABLE conveyor.watch ADD COLUMN of_the_next_version text;\n"
        + "CREATE TABLE conveyor.of_the_next_version (id int PRIMARY KEY);\n"
    )
    yield live_orders
    script.unlink()


def test_the_extension_is_updated_under_an_agent_that_works(next_version, database):
    orders, agent = next_version
    with Load(database, clients=4, rate=200) as load:
        until(lambda: load.committed > 100, "some writes")
        database.sql(f"ALTER EXTENSION pg_conveyor UPDATE TO '{NEXT}'")
        committed = load.committed
        until(lambda: load.committed > committed + 200, "writes afterwards")
        request = database.one("SELECT conveyor.resync_all(%s)", orders.name)
    assert database.one("SELECT extversion FROM pg_extension WHERE extname = 'pg_conveyor'") == NEXT
    orders.wait_request(request, agent, timeout=60)
    orders.wait_delivered(agent, timeout=60)
    assert orders.state() == "live"
    assert_equal_both_ways(orders)
    # DDL is followed as before.
    text = database.one("SELECT pg_get_viewdef('shop.order_document')").replace("o.status", "o.status || '!' AS status", 1)
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {text}")
    orders.wait_delivered(agent)
    assert orders.search.get(orders.alias, str(database.one("SELECT max(id) FROM shop.orders")))["status"].endswith("!")
    assert_equal_both_ways(orders)
    assert database.sql("SELECT * FROM conveyor.audit()") == []


def test_an_update_that_takes_long_or_is_taken_back_loses_nothing(next_version, database):
    """The agent's calls wait for the tables that the update has locked; its lease may run out meanwhile."""
    orders, agent = next_version
    with Load(database, rate=100) as load:
        for end in ("rollback", "commit"):
            committed = load.committed
            update = database.connect(autocommit=False)
            update.cursor().execute(f"ALTER EXTENSION pg_conveyor UPDATE TO '{NEXT}'")
            until(
                lambda: database.one("SELECT count(*) FROM pg_stat_activity WHERE usename = 'shipping_agent' AND wait_event_type = 'Lock'") > 0,
                "the agent waits for the update",
            )
            until(lambda: load.committed > committed + 500, "writes during five seconds, which is longer than a lease")
            getattr(update, end)()
            update.close()
            committed = load.committed
            until(lambda: load.committed > committed + 50, "writes afterwards")
    orders.wait_delivered(agent, timeout=60)
    assert orders.state() == "live"
    assert_equal_both_ways(orders)
