"""A throw-away OpenSearch node (tools/opensearch.sh) and the few requests that the benchmarks make themselves."""
import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "opensearch.sh"
# Garbage counts as used by default, and peers that do not repeat what is refused with 429 die of it.
SETTINGS = ["indices.breaker.total.use_real_memory=false"]


class Search:
    def __init__(self, directory, port, heap="2g"):
        self.dir, self.port, self.heap = Path(directory), port, heap
        self.url = f"http://127.0.0.1:{port}"

    def start(self):
        subprocess.run([TOOL, "start", self.dir, str(self.port), self.heap, *SETTINGS], check=True)

    def stop(self):
        subprocess.run([TOOL, "stop", self.dir, str(self.port)], check=True)

    def pid(self):
        return int((self.dir / "pid").read_text())

    def request(self, method, path, body=None, missing_is_none=False):
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = "application/x-ndjson" if path.endswith("_bulk") else "application/json"
        request = urllib.request.Request(f"{self.url}/{path}", data, {"Content-Type": kind}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code == 404 and missing_is_none:
                return None
            raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:500]!r}") from error

    def count(self, index):
        self.request("POST", f"{index}/_refresh")
        return self.request("GET", f"{index}/_count")["count"]

    def source(self, index, key):
        return self.request("GET", f"{index}/_doc/{key}")["_source"]

    def drop(self, index):
        self.request("DELETE", index, missing_is_none=True)

    def create_like(self, index, model):
        """An index with the mappings of `model` and settings for a fill: no refresh, no replicas."""
        mappings = next(iter(self.request("GET", f"{model}/_mapping").values()))["mappings"]
        mappings.pop("_meta", None)
        self.request("PUT", index, {"mappings": mappings, "settings": {
            "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "-1"}})
