"""From commit to acknowledged, without a hand in either: the server stamps every commit (track_commit_timestamp), the
application's and those that move the cursor alike."""
import http.client
import threading
import time
from bisect import bisect_right


class CursorWatch:
    """Reads a delivery's cursor every 2 ms; what it misses in between only makes the latency look longer."""

    def __init__(self, connection, delivery):
        self._db, self._delivery = connection, delivery
        self._stop, self.seen = threading.Event(), []
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        last = None
        while not self._stop.wait(0.002):
            mover, cursor = self._db.rows("SELECT xmin::text, cursor::text FROM conveyor.delivery_state WHERE delivery = %s",
                                          (self._delivery,))[0]
            if cursor != last:
                self.seen.append((int(mover), cursor))
                last = cursor

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()


def _parse(cursor):
    xmin, xmax, running = cursor.split(":")
    return int(xmin), int(xmax), frozenset(map(int, running.split(","))) if running else frozenset()


def commit_times(connection, xids):
    """{xid: seconds since 1970}"""
    return dict(connection.rows("SELECT x::bigint, extract(epoch FROM pg_xact_commit_timestamp(x::text::xid))::float8 "
                                "FROM unnest(%s::bigint[]) x", (sorted(set(xids)),)))


def latencies(connection, changes, watch):
    """Seconds from each change's commit to the commit that moved the cursor over it. `changes`: {xid: commit time}."""
    moved = commit_times(connection, [mover for mover, _ in watch.seen])
    cursors = [(moved[mover], *_parse(cursor)) for mover, cursor in watch.seen]
    ends = [xmax for _, _, xmax, _ in cursors]
    found, missing = [], 0
    for xid, committed in changes.items():
        for at, xmin, xmax, running in cursors[bisect_right(ends, xid):]:
            if xid < xmin or (xid < xmax and xid not in running):
                found.append(at - committed)
                break
        else:
            missing += 1
    if missing:
        raise RuntimeError(f"{missing} of {len(changes)} changes were not acknowledged before the watch ended")
    return found


def bare_bulk(search, index, documents, seconds, pause):
    """The floor: what one bulk request with so many documents takes, again and again; seconds of each."""
    connection = http.client.HTTPConnection("127.0.0.1", search.port)
    taken, version, until = [], int(time.time() * 1000), time.monotonic() + seconds
    while time.monotonic() < until:
        version += 1
        body = b"".join(b'{"index":{"_id":"%d","version":%d,"version_type":"external"}}\n%s\n' % (n, version, text)
                        for n, text in enumerate(documents))
        began = time.perf_counter()
        connection.request("POST", f"/{index}/_bulk?filter_path=errors", body, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse().read()
        taken.append(time.perf_counter() - began)
        if b'"errors":false' not in answer:
            raise RuntimeError(f"bulk failed: {answer[:300]!r}")
        time.sleep(pause)
    connection.close()
    return taken
