#!/usr/bin/python3
"""Compares a view with a search index, both ways and by content, and names every document that differs.

    compare.py --database CONNINFO --view shop.order_document --key id --url http://127.0.0.1:9200 --index orders

Documents are equal when they are the same JSON: the order of members does not count, the spelling of numbers does (1.0 is not
1.00: they are different documents). Exit status: 0 equal, 1 different, 2 wrong usage, 3 a side could not be read.
Only a digest of each document is held, 100 bytes or so, so that a million documents can be compared anywhere.
"""
import argparse
import csv
import hashlib
import io
import json
import subprocess
import sys
import urllib.error
import urllib.request

# As the extension pins them: a document must not depend on who reads it.
PINNED = {
    "TimeZone": "UTC", "DateStyle": "ISO", "IntervalStyle": "iso_8601", "extra_float_digits": "1", "bytea_output": "hex",
    "row_security": "off", "jit": "off",
}
PAGE = 2000


class Unreadable(Exception):
    """A side could not be read; the text says why."""


def canonical(document):
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def parse(text):
    """JSON with its numbers kept as they are spelled. No text of PostgreSQL's holds a NUL, so none looks like a number."""
    return json.loads(text, parse_int=lambda n: "\0" + n, parse_float=lambda n: "\0" + n)


def digest(document):
    return hashlib.blake2b(canonical(document).encode(), digest_size=16).digest()


def identifier(name):
    return '"' + name.replace('"', '""') + '"'


def documents_of_view(database, view, key, psql="psql"):
    """Yields (id, parsed document); view is an SQL name, key a list of column names."""
    columns = ["v." + identifier(column) + "::text" for column in key]
    ident = columns[0] if len(columns) == 1 else f"array_to_json(ARRAY[{', '.join(columns)}])::text"
    script = "".join(f"SET {name} = '{value}';\n" for name, value in PINNED.items())
    script += f"COPY (SELECT {ident}, row_to_json(v)::text FROM {view} v) TO STDOUT (FORMAT csv);\n"
    command = [psql, "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
    csv.field_size_limit(2**31 - 1)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(script.encode())
        process.stdin.close()
        for ident, document in csv.reader(io.TextIOWrapper(process.stdout, encoding="utf-8", newline="")):
            yield ident, parse(document)
    if process.returncode != 0:
        raise Unreadable(f"psql could not read {view} (its words are above)")


def call(url, path, body=None):
    request = urllib.request.Request(url.rstrip("/") + path, method="POST", headers={"Content-Type": "application/json"},
                                     data=json.dumps(body or {}).encode())
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return parse(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise Unreadable(f"{path}: {error.read().decode(errors='replace')[:500]}") from error
    except OSError as error:
        raise Unreadable(f"could not reach {url}: {error}") from error


def documents_of_index(url, index):
    """Yields (id, parsed document), after a refresh."""
    call(url, f"/{index}/_refresh")
    page = call(url, f"/{index}/_search?scroll=2m", {"size": PAGE, "sort": ["_doc"]})
    while page["hits"]["hits"]:
        for hit in page["hits"]["hits"]:
            yield hit["_id"], hit["_source"]
        page = call(url, "/_search/scroll", {"scroll": "2m", "scroll_id": page["_scroll_id"]})


def compare(view, index):
    """Returns (number of equal documents, {key: what is wrong})."""
    wanted, differing, equal = {}, {}, 0
    for key, document in view:
        if key in wanted:
            differing[key] = "twice in the view"
        wanted[key] = digest(document)
    for key, document in index:
        expected = wanted.pop(key, None)
        if expected is None:
            differing[key] = "only in the index"
        elif expected != digest(document):
            differing[key] = "different content"
        else:
            equal += 1
    for key in wanted:
        differing[key] = "only in the view"
    return equal, differing


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--database", default="", help="libpq connection string (default: libpq's environment)")
    parser.add_argument("--view", required=True, help="the feed's view, as in SQL")
    parser.add_argument("--key", required=True, action="append", help="a column of the key; again for each further one")
    parser.add_argument("--url", required=True, help="the search server")
    parser.add_argument("--index", required=True, help="the index or alias")
    parser.add_argument("--show", type=int, default=20, help="how many differing keys to print (default: 20)")
    arguments = parser.parse_args()
    try:
        equal, differing = compare(documents_of_view(arguments.database, arguments.view, arguments.key),
                                   documents_of_index(arguments.url, arguments.index))
    except Unreadable as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 3
    for key in sorted(differing)[:arguments.show]:
        print(f"{key}: {differing[key]}")
    if len(differing) > arguments.show:
        print(f"… and {len(differing) - arguments.show} more (--show)")
    print(f"{equal} equal, {len(differing)} different")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
