"""Free TCP ports on loopback. Lanes (pytest -n) never meet: each takes every n-th port."""

import os
import random
import socket

LANE = os.environ.get("PYTEST_XDIST_WORKER", "")
_number = int(LANE.removeprefix("gw") or 0)
_lanes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
_given = set()


def of_this_lane(first, last):
    return range(first + _number, last + 1, _lanes)


# tools/opensearch.sh takes no higher one.
SEARCH_PORTS = of_this_lane(9201, 9299)
# Below those that the kernel gives to outgoing connections: such a one could take a port between the look and the use, or while a server restarts.
PORTS = of_this_lane(*(int(part) for part in os.environ.get("CONVEYOR_TEST_PORTS", "20000-31999").split("-")))


def free_port(candidates=PORTS):
    """A port nobody listens on, never the same one twice; the search begins anywhere, so that several runs seldom look at the same one."""
    begin = random.randrange(len(candidates)) if candidates is PORTS else 0
    for candidate in [*candidates[begin:], *candidates[:begin]]:
        if candidate in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        _given.add(candidate)
        return candidate
    raise RuntimeError("no free port")
