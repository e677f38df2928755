"""A real OpenSearch (or Elasticsearch), spoken to over its HTTP interface."""

import base64
import http.client
import json
import os
import subprocess
import urllib.parse


class SearchError(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body[:500]}")
        self.status = status
        self.body = body


class Search:
    """Speaks to the server at `url`, as `user` where it asks who is there; start() and stop() are for those that the tests run themselves."""

    def __init__(self, url, user=None, password=None):
        self.url = url.rstrip("/")
        parts = urllib.parse.urlsplit(self.url)
        self.host, self.port = parts.hostname, parts.port
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()} if user else {}

    @classmethod
    def start(cls, tool, directory, port, heap="512m", settings=(), password=None):
        """`settings`: "name=value" for the server's configuration. With a password the server wants it from everyone (tools/elasticsearch.sh)."""
        command = [tool, "start", str(directory), str(port), heap, *settings]
        environment = {**os.environ, **({"ELASTICSEARCH_PASSWORD": password} if password else {})}
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=300, env=environment)
        return cls(f"http://127.0.0.1:{port}", "admin" if password else None, password)

    @staticmethod
    def stop(tool, directory, port):
        subprocess.run([tool, "stop", str(directory), str(port)], check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=60)

    def call(self, method, path, body=None, missing_ok=False):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            payload = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
            connection.request(method, path, payload, {**self.headers, **({"Content-Type": "application/json"} if payload is not None else {})})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status == 404 and missing_ok:
            return None
        if answer.status >= 300:
            raise SearchError(answer.status, text)
        # Numbers with a fraction stay text: 1.0 and 1.00 are different documents.
        return json.loads(text, parse_float=str) if text else {}

    def alias_indices(self, alias):
        found = self.call("GET", f"/_alias/{alias}", missing_ok=True)
        return sorted(found) if found else []

    def indices(self, prefix):
        return sorted(self.call("GET", f"/{prefix}*/_settings?expand_wildcards=all"))

    def settings(self, index):
        """The settings of one index, flat: {"index.number_of_replicas": "1", …}."""
        return self.call("GET", f"/{index}/_settings?flat_settings=true")[index]["settings"]

    def put_settings(self, index, settings):
        self.call("PUT", f"/{index}/_settings", settings)

    def mapping(self, index):
        return self.call("GET", f"/{index}/_mapping")[index]["mappings"]

    def refresh(self, name):
        self.call("POST", f"/{name}/_refresh")

    def count(self, name):
        self.refresh(name)
        return self.call("GET", f"/{name}/_count")["count"]

    def get(self, name, key):
        """The document with this id as it is now (no refresh needed), or None."""
        found = self.call("GET", f"/{name}/_doc/{urllib.parse.quote(key, safe='')}", missing_ok=True)
        return found["_source"] if found and found.get("found") else None

    def documents(self, name, page=2000):
        """All documents: {id: source}."""
        self.refresh(name)
        found = {}
        answer = self.call("POST", f"/{name}/_search?scroll=1m", {"size": page, "sort": ["_doc"], "query": {"match_all": {}}})
        try:
            while answer["hits"]["hits"]:
                for hit in answer["hits"]["hits"]:
                    found[hit["_id"]] = hit["_source"]
                answer = self.call("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": answer["_scroll_id"]})
        finally:
            self.call("DELETE", "/_search/scroll", {"scroll_id": [answer["_scroll_id"]]}, missing_ok=True)
        return found

    def remove(self, prefix):
        """Removes every index whose name starts with `prefix`."""
        names = self.indices(prefix)
        if names:
            self.call("DELETE", "/" + ",".join(names), missing_ok=True)
