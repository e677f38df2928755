"""Documents are read with the feed owner's rights, never with the agent's."""

import psycopg2
import pytest

import shop
from equality import assert_equal_both_ways
from waiting import until

OWNER = "shopkeeper"


@pytest.fixture
def owned(database, make_target, search, alias):
    """The shop and its feed belong to a role without special rights; its documents say who read them."""
    database.sql(f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{OWNER}') THEN CREATE ROLE {OWNER} LOGIN; END IF; END $$")
    database.sql(f"GRANT USAGE ON SCHEMA shop TO {OWNER}; GRANT ALL ON ALL TABLES IN SCHEMA shop TO {OWNER}")
    for relation in ("customers", "orders", "items"):
        database.sql(f"ALTER TABLE shop.{relation} OWNER TO {OWNER}")
    database.sql(f"ALTER VIEW shop.order_document OWNER TO {OWNER}")
    definition = database.one("SELECT pg_get_viewdef('shop.order_document')")
    view = definition.replace("o.status,", "o.status || (current_user::text COLLATE \"default\") AS status,", 1)
    assert view != definition
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {view}")
    make_target(search.url)
    database.sql("SELECT conveyor.create_feed('orders', 'shop.order_document', options => '{\"ignore\": [\"current_user\"]}')")
    database.sql(f"UPDATE conveyor.feed_definition SET owner = '{OWNER}'::regrole")
    return shop.create_delivery(database, search, alias)


def test_the_view_sees_its_feeds_owner_whoever_runs_the_agent(owned, database, search, start_agent):
    agent = start_agent(database)
    owned.wait_delivered(agent)
    assert search.get(owned.alias, "1")["status"] == f"new{OWNER}"


def test_a_policy_that_would_hide_rows_is_an_error_and_not_a_mass_delete(owned, database, search, start_agent):
    agent = start_agent(database)
    owned.wait_delivered(agent)
    database.sql("ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY; ALTER TABLE shop.orders FORCE ROW LEVEL SECURITY")
    database.sql("CREATE POLICY few ON shop.orders USING (id <= 10)")
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 100")
    owned.wait_status(lambda status: "row" in (status["last_error"] or "") + (status["throttle"] or ""), "says what is wrong")
    assert search.count(owned.alias) == shop.ORDERS
    agent.assert_alive()
    database.sql("DROP POLICY few ON shop.orders; ALTER TABLE shop.orders NO FORCE ROW LEVEL SECURITY; ALTER TABLE shop.orders DISABLE ROW LEVEL SECURITY")
    if owned.state() == "waiting":
        database.sql("SELECT conveyor.resume_delivery(%s)", owned.name)
    owned.wait_delivered(agent)
    assert search.get(owned.alias, "100")["status"] == f"changed{OWNER}"


def test_a_right_that_is_taken_away_is_an_error_and_not_a_mass_delete(owned, database, search, start_agent):
    agent = start_agent(database)
    owned.wait_delivered(agent)
    database.sql(f"ALTER TABLE shop.items OWNER TO postgres; REVOKE ALL ON shop.items FROM {OWNER}")
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 100")
    owned.wait_status(lambda status: "permission" in (status["last_error"] or "") + (status["throttle"] or ""), "says what is wrong")
    assert search.count(owned.alias) == shop.ORDERS
    assert owned.dead_letters() == {}
    database.sql(f"ALTER TABLE shop.items OWNER TO {OWNER}")
    if owned.state() == "waiting":
        database.sql("SELECT conveyor.resume_delivery(%s)", owned.name)
    owned.wait_delivered(agent)
    assert search.get(owned.alias, "100")["status"] == f"changed{OWNER}"


def test_a_view_that_times_out_holds_back_its_own_delivery_and_says_so(orders, database, start_agent, search, alias):
    database.sql("SELECT conveyor.alter_delivery(%s, '{\"fetch_timeout\": \"1 s\"}')", orders.name)
    agent = start_agent(database)
    orders.wait_delivered(agent)
    definition = database.one("SELECT pg_get_viewdef('shop.order_document')")
    slow = definition.replace("o.status,", "CASE WHEN o.id = 3 AND o.status = 'slow' THEN pg_sleep(8)::text ELSE o.status END AS status,", 1)
    assert slow != definition
    database.sql("UPDATE conveyor.feed_definition SET options = '{\"ignore\": [\"pg_sleep\"]}'")
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {slow}")
    database.sql("UPDATE shop.orders SET status = 'slow' WHERE id <= 3")
    until(lambda: "3" in orders.dead_letters() or orders.status()["last_error"], lambda: f"says what is wrong: {orders.status()}", timeout=40)
    database.sql("UPDATE shop.orders SET status = 'fast' WHERE id <= 3")
    orders.wait_delivered(agent, timeout=60)
    assert orders.dead_letters() == {}
    assert_equal_both_ways(orders)


@pytest.mark.parametrize("url", ["http://user:hunter2@127.0.0.1:9200", "https://:hunter2@127.0.0.1/", "not a url", "ftp://127.0.0.1", ""])
def test_a_url_that_is_none_or_has_a_password_in_it_is_refused(database, url):
    with pytest.raises(psycopg2.Error) as refused:
        database.sql("SELECT conveyor.create_target('search', 'elasticsearch', jsonb_build_object('url', %s::text))", url)
    assert "hunter2" not in str(refused.value), "the message repeats the secret"
    assert refused.value.diag.message_hint
    assert database.one("SELECT count(*) FROM conveyor.target_definition") == 0
