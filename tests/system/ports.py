"""Free TCP ports on loopback."""

import os
import socket

_given = set()


def free_port(candidates=None):
    """A port nobody listens on, never the same one twice: of `candidates`, of CONVEYOR_TEST_PORTS ("first-last") when that is set, or any."""
    wanted = os.environ.get("CONVEYOR_TEST_PORTS")
    if candidates is None and wanted:
        first, last = (int(part) for part in wanted.split("-"))
        candidates = range(first, last + 1)
    elif candidates is None:
        candidates = [0] * 50
    for candidate in candidates:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", candidate))
            except OSError:
                continue
            port = probe.getsockname()[1]
        if port not in _given:
            _given.add(port)
            return port
    raise RuntimeError("no free port")
