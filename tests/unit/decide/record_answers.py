#!/usr/bin/env python3
"""record_answers.py NAME URL: prints what a real server answers to everything that may go wrong with a bulk request.

    tools/elasticsearch.sh start DIR 9280 512m indexing_pressure.memory.limit=512kb http.max_content_length=1mb \\
        thread_pool.write.size=1 thread_pool.write.queue_size=1
    tests/unit/decide/record_answers.py 'Elasticsearch 8.19.21' http://127.0.0.1:9280 >> tests/unit/decide/answers.tsv

answers.tsv has what the supported versions said; answers_test.cpp says what each of these must mean. A line is `name of the case
<TAB> server <TAB> HTTP status <TAB> body`.
"""

import concurrent.futures
import http.client
import json
import re
import sys
import urllib.parse

FILTER = "filter_path=error.type,error.reason,status,errors,items.*.status,items.*.error.type,items.*.error.reason,items.*.error.caused_by.reason"
INDEX = "recorded"
MAPPINGS = {"properties": {"number": {"type": "integer"}, "word": {"type": "keyword"}, "at": {"type": "date"}, "object": {"type": "object"}}}
BLOCKS = ("index.blocks.read_only", "index.blocks.read_only_allow_delete", "index.blocks.write")


def shortened(text):
    """Without the bulk of long values, and of many items two: one that failed and one that did not."""
    text = re.sub(r"([xy])\1{40,}", r"\1\1\1", text)
    answer = json.loads(text) if text.startswith('{"errors"') else {}
    if len(answer.get("items", [])) > 4:
        ends = {item["index"]["status"]: item for item in answer["items"]}
        text = json.dumps({**answer, "items": list(ends.values())}, separators=(",", ":"))
    return text


class Server:
    def __init__(self, name, url):
        self.name = name
        parts = urllib.parse.urlsplit(url)
        self.address = (parts.hostname, parts.port)

    def call(self, method, path, body=None):
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        payload = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
        try:
            connection.request(method, path, payload, {"Content-Type": "application/json"} if payload is not None else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except OSError as cut:
            return 0, f"connection cut: {cut}"
        finally:
            connection.close()

    def bulk(self, *lines, name=INDEX, parameters="", end="\n"):
        body = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + end
        return self.call("POST", f"/{name}/_bulk?{FILTER}{parameters}", body)

    def fresh(self, settings=None, mappings=None):
        """The index, new."""
        for block in BLOCKS:
            self.call("PUT", f"/{INDEX}/_settings", {block: None})
        self.call("DELETE", f"/{INDEX}")
        status, text = self.call("PUT", f"/{INDEX}?timeout=1s", {"settings": {"number_of_replicas": 0, **(settings or {})}, "mappings": mappings or MAPPINGS, "aliases": {f"{INDEX}-write": {}}})
        assert status == 200, text

    def cluster(self, setting, value):
        status, text = self.call("PUT", "/_cluster/settings", {"transient": {setting: value}})
        assert status == 200, text

    def record(self, case, answer):
        status, text = answer
        text = shortened(text)
        print("\t".join((case, self.name, str(status), text.strip().replace("\n", " "))))


def index(id="1", version=5, **document):
    return {"index": {"_id": id, "version": version, "version_type": "external"}}, document


def delete(id="1", version=5):
    return ({"delete": {"_id": id, "version": version, "version_type": "external"}},)


def refused_documents(server):
    server.fresh()
    documents = {
        "document: a word for a number": {"number": "many"},
        "document: a number too large": {"number": 10**12},
        "document: no date": {"at": "infinity"},
        "document: a word for an object": {"object": "x"},
        "document: an object for a word": {"word": {"x": 1}},
        "document: immense term": {"word": "x" * 40000},
        "document: too many fields": {f"field{number}": 1 for number in range(1200)},
        "document: empty name": {"": 1},
    }
    for case, document in documents.items():
        server.record(case, server.bulk(*index(**document)))
    server.record("document: no JSON", server.bulk(index()[0], '{"number":'))
    server.record("document: a name twice", server.bulk(index()[0], '{"number":1,"number":2}'))
    server.record("document: too deep", server.bulk(index()[0], '{"deeper":' * 30 + "1" + "}" * 30))
    server.fresh(mappings={"dynamic": "strict", **MAPPINGS})
    server.record("document: strict mapping", server.bulk(*index(unknown=1)))


def accepted_and_conflicts(server):
    server.fresh()
    server.record("accepted: index, index anew, delete, delete of nothing", server.bulk(*index("1", 5), *index("1", 6), *delete("1", 7), *delete("2", 5)))
    server.record("conflict: index, delete", server.bulk(*index("1", 7), *delete("1", 6)))


def refused_requests(server):
    server.fresh()
    server.record("request: bad _id", server.bulk(*index("1"), *index("x" * 513)))
    server.record("request: bad action line", server.bulk(*index("1"), {"nonsense": {}}, {}))
    server.record("request: no final newline", server.bulk(*index("1"), end=""))
    server.record("request: too large", server.bulk(*index(word="x" * 1_200_000)))
    server.record("large request: bad _id", server.bulk(*(line for number in range(150) for line in index(str(number), word="x" * 2000)), *index("x" * 513)))


def places(server):
    server.record("place: no such alias", server.bulk(*index(), name="nowhere-write", parameters="&require_alias=true"))
    server.fresh(mappings={"_routing": {"required": True}})
    server.record("place: routing required", server.bulk(*index()))
    server.fresh()
    server.call("POST", f"/{INDEX}/_close")
    server.record("place: closed index", server.bulk(*index(), *delete()))
    server.fresh({"index.blocks.write": True})
    server.record("place: write block", server.bulk(*index(), *delete()))
    server.fresh({"index.blocks.read_only": True})
    server.record("place: read-only index", server.bulk(*index(), *delete()))
    server.fresh()
    server.call("PUT", f"/{INDEX}/_settings", {"index.blocks.read_only_allow_delete": True})
    server.record("place: flood stage", server.bulk(*index(), *delete()))
    server.fresh()
    server.cluster("cluster.blocks.read_only", True)
    server.record("place: read-only cluster", server.bulk(*index()))
    server.cluster("cluster.blocks.read_only", None)
    server.fresh({"index.routing.allocation.require.box": "none"})
    server.record("later: unassigned shard", server.bulk(*index(), parameters="&timeout=300ms"))


def overload(server):
    server.fresh()
    server.record("overload: one document over the indexing pressure", server.bulk(*index(word="x" * 700_000)))
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        lines = [line for number in range(150) for line in index(str(number), word="y" * 2000)]
        answers = list(pool.map(lambda _: server.bulk(*lines), range(200)))
    requests = [answer for answer in answers if answer[0] == 429]
    items = [answer for answer in answers if answer[0] == 200 and '"status":429' in answer[1]]
    server.record("overload: indexing pressure", requests[0])
    if not items:
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = list(pool.map(lambda number: server.bulk(*index(str(number), word="z")), range(5000)))
        items = [answer for answer in answers if '"status":429' in answer[1]]
    server.record("overload: full write queue", items[0])
    # Elasticsearch 9 does not count bulk requests here.
    server.cluster("network.breaker.inflight_requests.limit", "2kb")
    server.record("overload: circuit breaker", server.bulk(*index(word="x" * 4000)))
    server.cluster("network.breaker.inflight_requests.limit", None)


def main():
    server = Server(*sys.argv[1:3])
    for part in (accepted_and_conflicts, refused_documents, refused_requests, places, overload):
        part(server)


main()
