"""What one writes in Python: a server-side cursor and opensearch-py's parallel_bulk.

    parallel_bulk.py CONNINFO URL INDEX QUERY          QUERY gives (id, document)

The documents go through as text, not parsed and dumped again. Prints one line of JSON.
"""
import json
import resource
import sys
import time

import psycopg2
from opensearchpy import OpenSearch
from opensearchpy.helpers import parallel_bulk


def main():
    conninfo, url, index, query = sys.argv[1:]
    began = time.perf_counter()
    connection = psycopg2.connect(conninfo)
    cursor = connection.cursor("documents")
    cursor.itersize = 1000
    cursor.execute(query)
    actions = ({"_index": index, "_id": key, "version": 1_000_000, "version_type": "external", "_source": document}
               for key, document in cursor)
    sent = 0
    for done, item in parallel_bulk(OpenSearch(url, timeout=120, maxsize=4), actions, thread_count=4, chunk_size=1000):
        if not done:
            raise SystemExit(f"refused: {item}")
        sent += 1
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"documents": sent, "seconds": time.perf_counter() - began, "cpu": used.ru_utime + used.ru_stime}))


if __name__ == "__main__":
    main()
