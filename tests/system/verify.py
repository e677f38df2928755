"""`conveyor verify` as a process, with the rights of an agent and no more."""

import os
import subprocess


class Verify:
    def __init__(self, binary, conninfo, environment=None):
        self.binary = binary
        self.conninfo = conninfo
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "CONVEYOR_")) and not key.lower().endswith("_proxy")}
        self.environment = {**kept, "HOME": "/nonexistent", **(environment or {})}

    def __call__(self, delivery, *arguments, failpoint=None, timeout=120):
        """Runs it to its end; returns (exit status, {kind: set of keys}, what it said on standard error)."""
        environment = {**self.environment, **({"CONVEYOR_FAILPOINT": failpoint} if failpoint else {})}
        command = [self.binary, "verify", delivery, "--database", self.conninfo, *arguments]
        ended = subprocess.run(command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False)
        found = {}
        for line in ended.stdout.splitlines():
            kind, key, *_ = line.split("\t")
            found.setdefault(kind, set()).add(key)
        return ended.returncode, found, ended.stderr
