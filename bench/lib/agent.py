"""The agent under test: one process with nothing but the role conveyor_agent."""
import signal
import subprocess
import time

from lib import proc

ROLE = "bench_agent"


def create_role(connection):
    """For the whole cluster; the extension made conveyor_agent."""
    if not connection.rows("SELECT FROM pg_roles WHERE rolname = %s", (ROLE,)):
        connection.run(f"CREATE ROLE {ROLE} LOGIN IN ROLE conveyor_agent")


class Agent:
    def __init__(self, program, cluster, database, log):
        self.command = [str(program), "agent", "--name", "bench", "--database", cluster.conninfo(database, ROLE)]
        self._log, self.process = log, None

    def __enter__(self):
        with open(self._log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return self

    def wait_ready(self, connection, seconds=15):
        """Until it has registered and would take work at once."""
        deadline = time.monotonic() + seconds
        while not connection.value("SELECT count(*) FROM conveyor.agent_status WHERE agent = 'bench' AND pid = %s",
                                   (self.process.pid,)):
            self.check(deadline)
            time.sleep(0.05)

    def check(self, deadline=None):
        """Raises when the agent has died, or the deadline (time.monotonic) has passed."""
        if self.process.poll() is not None or (deadline and time.monotonic() > deadline):
            state = "is late" if self.process.poll() is None else f"exited with {self.process.returncode}"
            with open(self._log, encoding="utf-8", errors="replace") as log:
                raise RuntimeError(f"the agent {state}: {log.read()[-3000:]}")

    def cpu(self):
        return proc.cpu_seconds(self.process.pid)

    def peak_bytes(self):
        return proc.status_bytes(self.process.pid, "VmHWM")

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
