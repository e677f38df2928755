"""The destination is an alias over an index that the delivery made; what is somebody else's stays untouched."""

import pytest

from equality import assert_equal_both_ways
from load import Load
from shop import ORDERS
from waiting import holds, until


@pytest.mark.every_server
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


@pytest.mark.every_server
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


def fill_anew(orders, database, agent):
    database.sql("SELECT conveyor.resync_all(%s)", orders.name)
    database.sql("SELECT conveyor.resume_delivery(%s)", orders.name)
    until(lambda: not database.one("SELECT count(*) FROM conveyor.request WHERE state = 'open'"), lambda: f"the resync ends: {orders.status()}", 60)
    orders.wait_delivered(agent)
    return assert_equal_both_ways(orders)


@pytest.mark.every_server
def test_an_index_deleted_in_the_middle_of_a_stream_is_never_made_anew_by_what_is_sent(live_orders, database, search):
    orders, agent = live_orders
    with Load(database, rate=200) as load:
        until(lambda: load.committed > 100, "writes")
        search.call("DELETE", f"/{orders.index()}")
        orders.wait_state("waiting")
        holds(lambda: search.indices(database.name) == [], lambda: f"an index came back: {search.indices(database.name)}", 1)
    assert "resync_all" in orders.status()["throttle"], orders.status()
    assert not database.one("SELECT conveyor.wait_delivered(%s, '0 s')", orders.name)
    fill_anew(orders, database, agent)


@pytest.mark.every_server
def test_deletes_alone_do_not_make_an_index_either(live_orders, database, search):
    """They ignore require_alias: without the guard that goes with them the server makes an index named like the alias."""
    orders, _ = live_orders
    search.call("DELETE", f"/{orders.index()}")
    database.sql("DELETE FROM shop.orders WHERE id <= 5")
    orders.wait_state("waiting")
    assert search.indices(database.name) == []
    assert "resync_all" in orders.status()["throttle"], orders.status()


def put_back(search, index, aliases):
    """Puts an index of the same name, mark and aliases in the place of this one, as restoring a snapshot does."""
    for source, copy, names in ((index, f"{index}-copy", {}), (f"{index}-copy", index, aliases)):
        search.put_settings(source, {"index.blocks.write": True})
        body = {"settings": {"index.blocks.write": None}, "aliases": names}
        search.call("POST", f"/{source}/_clone/{copy}?wait_for_active_shards=1", body)
        search.call("DELETE", f"/{source}")


@pytest.mark.every_server
def test_an_index_put_back_from_a_backup_is_not_taken_for_the_one_that_was_delivered_to(live_orders, database, search):
    orders, agent = live_orders
    index = orders.index()
    aliases = search.call("GET", f"/{index}/_alias")[index]["aliases"]
    put_back(search, index, aliases)

    def held():
        database.sql("UPDATE shop.orders SET status = status || '.' WHERE id = 1")
        return orders.state() == "waiting"

    until(held, lambda: f"the delivery is held: {orders.status()}", every=0.5)
    assert "not the one that was delivered to" in orders.status()["throttle"], orders.status()
    assert fill_anew(orders, database, agent) == ORDERS


@pytest.mark.every_server
def test_dropping_a_delivery_with_its_destination_removes_its_index_and_no_other(live_orders, database, search):
    orders, agent = live_orders
    index, neighbour = orders.index(), f"{orders.alias}-000002"
    search.call("PUT", f"/{neighbour}/_doc/1?refresh=true", {"mine": True})
    database.sql("SELECT conveyor.drop_delivery(%s, true)", orders.name)
    until(lambda: index not in search.indices(database.name), "the index goes")
    agent.assert_alive()
    assert search.documents(neighbour) == {"1": {"mine": True}}
    assert search.alias_indices(orders.alias) == []


def test_dropping_a_delivery_removes_its_index_only_when_asked(live_orders, database, search):
    orders, agent = live_orders
    index = orders.index()
    database.sql("SELECT conveyor.drop_delivery(%s)", orders.name)
    assert orders.status() is None
    assert search.count(index) == ORDERS
    agent.assert_alive()
