"""The built agent as a process: started with the rights of conveyor_agent, killed, stopped, woken."""

import os
import re
import signal
import subprocess
import urllib.error
import urllib.request

from ports import free_port
from waiting import until


SOURCE = os.path.join(os.path.dirname(__file__), "..", "..", "agent")


def failpoints():
    """The points at which the agent can be killed, as its source names them."""
    found = set()
    for folder, _, files in os.walk(SOURCE):
        for name in files:
            if name.endswith(".cpp"):
                with open(os.path.join(folder, name)) as file:
                    found |= set(re.findall(r'\bfailpoint\("([a-z_]+)"\)', file.read()))
    return sorted(found)


class Agent:
    def __init__(self, binary, conninfos, name, log, failpoint=None, environment=None, arguments=()):
        self.name = name
        self.log = str(log)
        self.http = free_port()
        databases = [part for conninfo in conninfos for part in ("--database", conninfo)]
        self.command = [binary, "agent", *databases, "--name", name, "--http", f"127.0.0.1:{self.http}", *arguments]
        # Nothing of the caller's own PostgreSQL or proxy settings may reach the agent.
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PG", "CONVEYOR_")) and not key.lower().endswith("_proxy")}
        self.environment = {**kept, "HOME": "/nonexistent", **(environment or {})}
        if failpoint:
            self.environment["CONVEYOR_FAILPOINT"] = failpoint
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def assert_alive(self):
        assert self.alive(), f"the agent {self.name} ended with {self.process.returncode}:\n{self.log_tail()}"

    def signal(self, number):
        if self.alive():
            self.process.send_signal(number)

    def kill(self):
        """kill -9; works on a stalled one too."""
        self.signal(signal.SIGKILL)
        return self.process.wait(10)

    def stall(self):
        self.signal(signal.SIGSTOP)

    def wake(self):
        self.signal(signal.SIGCONT)

    def terminate(self, timeout=15):
        """SIGTERM; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def wait(self, timeout=20):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the agent {self.name} still runs after {timeout} s:\n{self.log_tail()}") from None

    def end(self):
        if self.alive():
            self.kill()

    def log_text(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def log_tail(self, lines=25):
        return "".join(self.log_text().splitlines(keepends=True)[-lines:])

    def wait_log(self, text, timeout=20):
        until(lambda: text in self.log_text(), lambda: f"{text!r} in the agent's log:\n{self.log_tail()}", timeout)

    def memory_peak(self):
        """Most resident memory so far, in bytes (VmHWM)."""
        with open(f"/proc/{self.process.pid}/status") as file:
            line = next(line for line in file if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def get(self, path):
        """(status, text) of the agent's own HTTP server."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
