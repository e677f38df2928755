"""The destination is an alias over an index that the delivery made; what is somebody else's stays untouched."""

from equality import assert_equal_both_ways
from shop import ORDERS
from waiting import until


def test_an_index_of_that_name_that_is_not_ours_holds_the_delivery_and_stays_untouched(orders, database, search, start_agent):
    search.call("PUT", f"/{orders.alias}/_doc/1?refresh=true", {"mine": True})
    agent = start_agent(database)
    orders.wait_state("waiting")
    assert orders.alias in orders.status()["throttle"], orders.status()
    agent.assert_alive()
    assert search.documents(orders.alias) == {"1": {"mine": True}}

    search.call("DELETE", f"/{orders.alias}")
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    assert assert_equal_both_ways(orders) == ORDERS


def test_an_alias_of_that_name_that_is_not_ours_holds_the_delivery_and_stays_untouched(orders, database, search, start_agent):
    theirs = f"{database.name}-theirs"
    search.call("PUT", f"/{theirs}/_doc/1?refresh=true", {"mine": True})
    search.call("POST", "/_aliases", {"actions": [{"add": {"index": theirs, "alias": orders.alias}}]})
    start_agent(database)
    orders.wait_state("waiting")
    assert search.alias_indices(orders.alias) == [theirs]
    assert search.documents(theirs) == {"1": {"mine": True}}
    assert search.indices(database.name) == [theirs]


def test_mappings_come_from_the_views_column_types(live_orders, search):
    orders, _ = live_orders
    properties = search.mapping(orders.index())["properties"]
    assert properties["id"]["type"] == "long"
    assert properties["placed_at"]["type"] == "date"
    assert properties["status"]["type"] == "text"
    assert any(field["type"] == "keyword" for field in properties["status"]["fields"].values())
    assert properties["customer"].get("type", "object") == "object"


def test_an_index_that_vanishes_holds_the_delivery_until_it_is_filled_anew(live_orders, database, search):
    orders, agent = live_orders
    search.call("DELETE", f"/{orders.index()}")

    def held():
        database.sql("UPDATE shop.orders SET status = status || '.' WHERE id < 10; DELETE FROM shop.orders WHERE id = 10")
        return orders.state() == "waiting"

    until(held, lambda: f"the delivery is held: {orders.status()}", every=0.5)
    assert "resync_all" in orders.status()["throttle"] or "index" in orders.status()["throttle"], orders.status()
    for index in search.indices(database.name):
        search.call("DELETE", f"/{index}")
    database.sql("SELECT conveyor.resync_all(%s)", orders.name)
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    orders.wait_delivered(agent)
    until(lambda: not database.one("SELECT count(*) FROM conveyor.request WHERE state = 'open'"), lambda: f"the resync ends: {orders.status()}")
    assert assert_equal_both_ways(orders) == ORDERS - 1


def test_dropping_a_delivery_removes_its_index_only_when_asked(live_orders, database, search):
    orders, agent = live_orders
    index = orders.index()
    database.sql("SELECT conveyor.drop_delivery(%s)", orders.name)
    assert orders.status() is None
    assert search.count(index) == ORDERS
    agent.assert_alive()
