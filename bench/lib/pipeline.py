"""Runs the floor of all deliveries, peers/pipeline.py."""
import json
import subprocess


def run(bench, cluster, search, index, version, connections, *queries):
    """Each query gives (id, document); returns {documents, seconds, cpu}."""
    output = subprocess.run(
        [bench.python, bench.peer_dir / "pipeline.py", cluster.bin / "psql", cluster.conninfo("shop"), search.url, index,
         str(version), str(connections)], input=json.dumps(queries), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output)
