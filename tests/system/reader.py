"""Someone who searches through an alias all the time."""

import threading


class Reader:
    """Counts, again and again, the documents with 1 <= id <= `number`, of which there must always be that many, and looks which index the alias names."""

    def __init__(self, search, alias, number):
        self.search = search
        self.alias = alias
        self.number = number
        self.searches = 0
        self.indices = []  # as they followed each other
        self.wrong = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the reader hangs"
        assert not self.wrong, f"of {self.searches} searches {len(self.wrong)} went wrong: {self.wrong[:5]}"

    def _read(self):
        query = {"size": 0, "track_total_hits": True, "query": {"range": {"id": {"gte": 1, "lte": self.number}}}}
        while not self._over.is_set():
            try:
                answer = self.search.call("POST", f"/{self.alias}/_search", query)
                hits, shards = answer["hits"]["total"]["value"], answer["_shards"]
                if hits != self.number or shards["failed"]:
                    self.wrong.append(f"{hits} documents, shards {shards}, after {self.indices}")
                names = self.search.alias_indices(self.alias)
                if len(names) != 1:
                    self.wrong.append(f"the alias names {names}")
                elif self.indices[-1:] != names:
                    self.indices += names
            except Exception as failure:  # noqa: BLE001 - shown at the end
                self.wrong.append(repr(failure))
            self.searches += 1
