"""The ndjson target: whole bulk files in a directory, which say together what an index would hold."""

import json

import pytest

import shop
from equality import differences, view_documents
from load import Load
from waiting import until


@pytest.fixture
def exported(database, directory, make_target):
    """The shop's delivery to a directory: (delivery, its folder)."""
    folder = directory / f"export-{database.name}"
    folder.mkdir()
    make_target(None, kind="ndjson", options={"directory": str(folder), "file_bytes": "64kB"})
    shop.create_feed(database)
    return shop.create_delivery(database, None, "orders", options={"batch_bytes": "64kB"}), folder / "orders"


def documents_of(folder):
    """What the finished files say: of the lines for one document the one with the highest version wins."""
    newest = {}
    for path in folder.glob("*.ndjson"):
        data = path.read_bytes()
        assert data.endswith(b"\n"), f"{path.name} is cut off"
        lines = iter(data.decode().removesuffix("\n").split("\n"))
        for line in lines:
            action, details = next(iter(json.loads(line).items()))
            document = None if action == "delete" else json.loads(next(lines), parse_float=str)
            version = int(details["version"])
            if version >= newest.get(details["_id"], (-1, None))[0]:
                newest[details["_id"]] = (version, document)
    return {key: document for key, (_, document) in newest.items() if document is not None}


def assert_files_equal_view(delivery, folder):
    expected, found = view_documents(delivery), documents_of(folder)
    assert differences(expected, found) == ([], [], [])


def test_the_files_say_what_the_view_says(exported, database, start_agent):
    orders, folder = exported
    agent = start_agent(database)
    orders.wait_delivered(agent)
    database.sql("UPDATE shop.orders SET status = 'changed' WHERE id <= 500; DELETE FROM shop.orders WHERE id > 1900")
    database.sql("UPDATE shop.customers SET name = E'two\\nlines' WHERE id = 3")
    orders.wait_delivered(agent)
    assert agent.terminate() == 0
    assert_files_equal_view(orders, folder)
    assert len(list(folder.glob("*.ndjson"))) > 5, "files of 64 kB"
    assert not [path.name for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_killed_agents_half_written_file_does_no_harm(exported, database, start_agent):
    orders, folder = exported
    with Load(database, rate=100) as load:
        for _ in range(2):
            agent = start_agent(database)
            committed = load.committed
            until(lambda: load.committed > committed + 60, "writes")
            agent.kill()
    agent = start_agent(database)
    orders.wait_delivered(agent)
    assert agent.terminate() == 0
    assert_files_equal_view(orders, folder)


def test_a_directory_with_other_peoples_files_holds_the_delivery(exported, database, start_agent):
    orders, folder = exported
    folder.mkdir()
    (folder / "precious.ndjson").write_text("mine\n")
    agent = start_agent(database)
    orders.wait_state("waiting")
    agent.assert_alive()
    assert [path.name for path in folder.iterdir()] == ["precious.ndjson"]
