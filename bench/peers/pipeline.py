"""The floor of a backfill: COPY makes ready bulk bodies, and these are cut to size and sent; nothing else is done.

    pipeline.py PSQL CONNINFO URL INDEX VERSION CONNECTIONS < QUERIES

QUERIES: a JSON array. Each query gives (id, document) and runs in a psql of its own, which reads it from its standard input (it
may name more keys than an argument may be long); CONNECTIONS requests of up to 5 MB are under way at once.
No document is looked at here: the bodies come out of PostgreSQL, action lines, ids and versions included. In CSV a value with a
newline in it is quoted; with the control characters \\x01 as quote and \\x02 as delimiter, which JSON cannot contain, undoing that is
removing all \\x01. Prints one line of JSON.
"""
import http.client
import json
import os
import queue
import resource
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

BODY_BYTES = 5 * 1024 * 1024
ROW_END = b"\x01\n"


def copy_command(query, version):
    return ("COPY (SELECT '{\"index\":{\"_id\":\"' || id || '\",\"version\":%d,\"version_type\":\"external\"}}' || E'\\n' || document "
            "FROM (%s) rows (id, document)) TO STDOUT (FORMAT csv, DELIMITER E'\\x02', QUOTE E'\\x01');" % (version, query))


def produce(psql, copy, bodies):
    """Cuts one COPY's output into bodies at row ends."""
    psql = subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    psql.stdin.write(copy.encode())
    psql.stdin.close()
    parts, size = [], 0
    while block := os.read(psql.stdout.fileno(), 1 << 20):
        parts.append(block)
        size += len(block)
        if size >= BODY_BYTES and (cut := block.rfind(ROW_END)) >= 0:
            cut += len(ROW_END)
            parts[-1] = block[:cut]
            bodies.put(b"".join(parts))
            parts, size = [block[cut:]], len(block) - cut
    if size:
        bodies.put(b"".join(parts))
    if psql.wait():
        raise SystemExit("COPY failed")


def send(url, index, bodies, sent, failures):
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname, place.port)
    while (body := bodies.get()) is not None:
        try:
            connection.request("POST", f"/{index}/_bulk?filter_path=errors", body.translate(None, b"\x01"),
                               {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200 or b'"errors":false' not in text:
                failures.append(f"{answer.status} {text[:300]!r}")
            sent.append(body.count(ROW_END))
        except OSError as error:
            failures.append(str(error))


def main():
    psql, conninfo, url, index, version, connections = sys.argv[1:]
    queries = json.load(sys.stdin)
    bodies, sent, failures = queue.Queue(maxsize=2), [], []
    began = time.perf_counter()
    senders = [threading.Thread(target=send, args=(url, index, bodies, sent, failures)) for _ in range(int(connections))]
    command = [psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", conninfo]
    producers = [threading.Thread(target=produce, args=(command, copy_command(query, int(version)), bodies)) for query in queries]
    for thread in senders + producers:
        thread.start()
    for thread in producers:
        thread.join()
    for _ in senders:
        bodies.put(None)
    for thread in senders:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise SystemExit(f"{len(failures)} requests failed: {failures[0]}")
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps({"documents": sum(sent), "seconds": seconds, "cpu": sum(u.ru_utime + u.ru_stime for u in used)}))


if __name__ == "__main__":
    main()
