"""What the system tests share: one PostgreSQL, one search server, a database of its own for every test.

Settings (environment): CONVEYOR_PG_BIN, the bin directory of a PostgreSQL copy with the extension installed; CONVEYOR_AGENT, the built agent;
CONVEYOR_TEST_DIR, where data and logs go (default: a temporary directory, removed at the end); CONVEYOR_SEARCH, which search server is started:
opensearch (default) or elasticsearch (OPENSEARCH_VERSION and ELASTICSEARCH_VERSION say which one of these); CONVEYOR_SEARCH_URL, one that runs
already; CONVEYOR_TEST_PORTS ("first-last"); CONVEYOR_LONG=1, the long forms of the endurance tests.

`pytest -n LANES` (pytest-xdist) runs files side by side, since most of their time is waiting: each lane has servers, ports and a directory of its own.

An Elasticsearch is started with security: the tests are its user `admin`, the agents `shipper`, who may do what docs/operations.md says.
"""

import itertools
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import shop
from agent import Agent
from cluster import Cluster
from database import Database, make_template
from http_proxy import HttpProxy
from ports import LANE, SEARCH_PORTS, free_port
from search import Search
from tcp_proxy import TcpProxy

ROOT = pathlib.Path(__file__).resolve().parents[2]
SEARCH = os.environ.get("CONVEYOR_SEARCH", "opensearch")
SEARCH_TOOL = str(ROOT / "tools" / f"{SEARCH}.sh")
SEARCH_PASSWORD = "correct horse" if SEARCH == "elasticsearch" else None
_numbers = itertools.count(1)
# There is nothing to be tested of a security that the server does not have.
collect_ignore = [] if SEARCH_PASSWORD else ["test_security.py"]


def pytest_configure(config):
    config.addinivalue_line("markers", "endurance: runs long; CONVEYOR_LONG=1 runs it longer")
    config.addinivalue_line("markers", "every_server: make check runs it on a second kind of search server too")


def required(name):
    value = os.environ.get(name)
    if not value:
        pytest.exit(f"{name} is not set: see tests/system/conftest.py", returncode=2)
    return value


@pytest.fixture(scope="session")
def directory():
    given = os.environ.get("CONVEYOR_TEST_DIR")
    whole = pathlib.Path(given or tempfile.mkdtemp(prefix="conveyor-system-"))
    own = whole / LANE
    own.mkdir(parents=True, exist_ok=True)
    whole.chmod(0o755)
    own.chmod(0o755)
    yield own
    if not given:
        shutil.rmtree(whole, ignore_errors=True)


@pytest.fixture(scope="session")
def make_cluster(directory):
    """Makes further clusters; all are destroyed at the end of the session."""
    made = []

    def make(name, settings=None):
        cluster = Cluster(required("CONVEYOR_PG_BIN"), directory / name, settings)
        made.append(cluster)
        cluster.initdb()
        cluster.start()
        return cluster

    make.adopt = made.append
    yield make
    for cluster in reversed(made):
        cluster.destroy()


@pytest.fixture(scope="session")
def cluster(make_cluster):
    cluster = make_cluster("primary")
    make_template(cluster)
    return cluster


@pytest.fixture(scope="session")
def search(directory):
    given = os.environ.get("CONVEYOR_SEARCH_URL")
    if given:
        yield Search(given)
        return
    data, port = directory / SEARCH, free_port(SEARCH_PORTS)
    try:
        yield Search.start(SEARCH_TOOL, data, port, password=SEARCH_PASSWORD)
    finally:
        Search.stop(SEARCH_TOOL, data, port)


@pytest.fixture
def make_database(cluster, search):
    """Makes databases (copies of the shop, with the extension unless told otherwise), dropped at the end of the test."""
    made = []

    def make(on=None, template="shop_template", extension=True):
        name = f"t{next(_numbers):03d}"
        where = on or cluster
        connection = where.connect("postgres")
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        connection.close()
        database = Database(where, name)
        made.append(database)
        if extension:
            database.install()
        return database

    yield make
    for database in made:
        database.close()
        if database.cluster.running():
            connection = database.cluster.connect("postgres")
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE IF EXISTS {database.name} WITH (FORCE)")
            connection.close()
        search.remove(database.name)


@pytest.fixture
def database(make_database):
    return make_database()


@pytest.fixture
def alias(database):
    """A destination of this test's own; everything that starts with it is removed at the end."""
    return f"{database.name}-orders"


@pytest.fixture
def start_agent(make_database, directory, request):
    """Starts agents; all are killed at the end of the test. Depends on make_database so that they end before the databases do."""
    started = []

    def start(*databases, name=None, conninfo=None, **options):
        name = name or f"agent{len(started) + 1}"
        log = directory / "logs" / f"{request.node.name}.{name}.log"
        log.parent.mkdir(exist_ok=True)
        conninfos = [conninfo] if conninfo else [database.agent_conninfo() for database in databases]
        if SEARCH_PASSWORD:
            options["environment"] = {"CONVEYOR_SHIPPER_PASSWORD": SEARCH_PASSWORD, **(options.get("environment") or {})}
        agent = Agent(required("CONVEYOR_AGENT"), conninfos, name, log, **options)
        started.append(agent)
        return agent.start()

    yield start
    for agent in started:
        agent.end()


@pytest.fixture
def make_target(database):
    """Creates a target and returns its name."""

    def make(url, target="search", kind="elasticsearch", options=None):
        definition = {**(options or {})}
        if kind == "elasticsearch":
            definition = {"url": url, **({"user": "shipper", "secret": "shipper"} if SEARCH_PASSWORD else {}), **definition}
            definition = {name: value for name, value in definition.items() if value is not None}
        database.sql("SELECT conveyor.create_target(%s, %s, %s::jsonb)", target, kind, json.dumps(definition))
        return target

    return make


@pytest.fixture
def search_proxy(search):
    """Makes proxies in front of the search server."""
    made = []

    def make(tls=None):
        proxy = HttpProxy(search.host, search.port, tls)
        made.append(proxy)
        return proxy

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def network_proxy():
    """Makes proxies in front of a port of loopback."""
    made = []

    def make(port):
        proxy = TcpProxy(port)
        made.append(proxy)
        return proxy

    yield make
    for proxy in made:
        proxy.close()


@pytest.fixture
def orders(database, search, alias, make_target):
    """The shop's delivery to the search server, defined and not yet run by any agent."""
    make_target(search.url)
    shop.create_feed(database)
    return shop.create_delivery(database, search, alias)


@pytest.fixture
def live_orders(orders, database, start_agent):
    """The shop's delivery, filled and live, and the agent that runs it: (delivery, agent)."""
    agent = start_agent(database)
    orders.wait_delivered(agent)
    return orders, agent


@pytest.fixture(scope="session")
def certificate(directory):
    """A self-signed certificate that nobody trusts: (certificate, key)."""
    certificate, key = directory / "untrusted.pem", directory / "untrusted.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)
