"""A document that the target refuses costs itself and nothing else."""

import pytest

from equality import assert_equal_both_ways
from shop import create_delivery, create_feed

# The target refuses a document whose status is no date.
DATES = {"index": {"mappings": {"properties": {"status": {"type": "date"}}}}}


@pytest.fixture
def dated_orders(database, search, alias, make_target):
    """A delivery to which an order is poison when its status is no date."""
    database.sql("UPDATE shop.orders SET status = '2026-01-01'")
    make_target(search.url)
    create_feed(database)
    return create_delivery(database, search, alias, options=DATES)


@pytest.mark.every_server
def test_one_poisoned_document_among_ten_thousand_costs_only_itself(dated_orders, database, start_agent):
    database.sql("INSERT INTO shop.orders (id, customer_id, status) SELECT n, 1, '2026-02-02' FROM generate_series(200001, 208000) n")
    database.sql("UPDATE shop.orders SET status = 'poison' WHERE id = 204000")
    agent = start_agent(database)
    dated_orders.wait_delivered(agent)
    assert list(dated_orders.dead_letters()) == ["204000"]
    type, reason = dated_orders.dead_letters()["204000"]
    assert "pars" in type and "status" in reason, (type, reason)
    assert assert_equal_both_ways(dated_orders, dead={"204000"}) == 9999
    assert dated_orders.status()["dead_letters"] == 1


def test_a_dead_letter_goes_when_its_document_is_mended(dated_orders, database, start_agent):
    agent = start_agent(database)
    dated_orders.wait_delivered(agent)
    database.sql("UPDATE shop.orders SET status = 'poison' WHERE id IN (1, 2, 3)")
    dated_orders.wait_delivered(agent)
    assert sorted(dated_orders.dead_letters()) == ["1", "2", "3"]
    database.sql("UPDATE shop.orders SET status = '2026-03-03' WHERE id = 1; DELETE FROM shop.orders WHERE id = 2")
    dated_orders.wait_delivered(agent)
    assert sorted(dated_orders.dead_letters()) == ["3"]
    assert_equal_both_ways(dated_orders, dead={"3"})


def test_dead_letters_are_sent_again_on_request(dated_orders, database, search, start_agent):
    agent = start_agent(database)
    dated_orders.wait_delivered(agent)
    database.sql("UPDATE shop.orders SET status = 'poison' WHERE id IN (1, 2)")
    dated_orders.wait_delivered(agent)
    assert sorted(dated_orders.dead_letters()) == ["1", "2"]
    # The view is mended, no row changes: only a retry brings them back.
    mend_view(database)
    assert database.one("SELECT conveyor.retry_dead_letters(%s, '{1}')", dated_orders.name) == 1
    dated_orders.wait_dead_letters("2")
    assert database.one("SELECT conveyor.retry_dead_letters(%s)", dated_orders.name) == 1
    dated_orders.wait_dead_letters()
    assert_equal_both_ways(dated_orders)


def mend_view(database):
    definition = database.one("SELECT pg_get_viewdef('shop.order_document')")
    mended = definition.replace("o.status,", "replace(o.status, 'poison', '2026-04-04') AS status,", 1)
    assert mended != definition
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {mended}")


def test_discarded_dead_letters_are_gone_for_good(dated_orders, database, start_agent):
    agent = start_agent(database)
    dated_orders.wait_delivered(agent)
    database.sql("UPDATE shop.orders SET status = 'poison' WHERE id IN (1, 2)")
    dated_orders.wait_delivered(agent)
    assert database.one("SELECT conveyor.discard_dead_letters(%s, '{2}')", dated_orders.name) == 1
    assert list(dated_orders.dead_letters()) == ["1"]
    assert dated_orders.status()["dead_letters"] == 1


def test_too_many_dead_letters_hold_the_delivery_and_it_says_why(dated_orders, database, start_agent):
    database.sql("SELECT conveyor.alter_delivery(%s, '{\"dead_letter_limit\": 10}')", dated_orders.name)
    agent = start_agent(database)
    dated_orders.wait_delivered(agent)
    database.sql("UPDATE shop.orders SET status = 'poison' WHERE id <= 50")
    dated_orders.wait_state("waiting")
    assert "dead" in dated_orders.status()["throttle"], dated_orders.status()
    assert len(dated_orders.dead_letters()) >= 10

    database.sql("UPDATE shop.orders SET status = '2026-05-05' WHERE id <= 50")
    database.sql("SELECT conveyor.resume_delivery(%s)", dated_orders.name)
    dated_orders.wait_delivered(agent)
    assert dated_orders.dead_letters() == {}
    assert_equal_both_ways(dated_orders)


def test_a_row_for_which_the_view_fails_is_a_dead_letter(database, search, alias, make_target, start_agent):
    definition = database.one("SELECT pg_get_viewdef('shop.order_document')")
    failing = definition.replace("o.total,", "(100 / (o.total - 10))::numeric(12,2) AS total,", 1)
    assert failing != definition
    database.sql(f"CREATE OR REPLACE VIEW shop.order_document AS {failing}")
    database.sql("UPDATE shop.orders SET total = 1")
    make_target(search.url)
    create_feed(database)
    orders = create_delivery(database, search, alias)
    database.sql("UPDATE shop.orders SET total = 10 WHERE id = 40")
    agent = start_agent(database)
    orders.wait_delivered(agent)
    assert list(orders.dead_letters()) == ["40"]
    assert "division by zero" in orders.dead_letters()["40"][1]
    assert_equal_both_ways(orders, where="id <> 40", dead={"40"})

    database.sql("UPDATE shop.orders SET total = 10 WHERE id = 41; UPDATE shop.orders SET total = 2 WHERE id = 40")
    orders.wait_delivered(agent)
    assert list(orders.dead_letters()) == ["41"]
    assert_equal_both_ways(orders, where="id <> 41", dead={"41"})
