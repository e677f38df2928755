"""CPU time and memory of processes, from /proc."""
import os
import threading

TICK = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid):
    """User and system time of a process, all its threads, without its children."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def machine_cpu_seconds():
    """What all processes have used since the machine's start, without waiting for disks."""
    with open("/proc/stat", encoding="ascii") as stat:
        user, nice, system = map(int, stat.readline().split()[1:4])
    return (user + nice + system) / TICK


def status_bytes(pid, field):
    """A field of /proc/PID/status that is given in kB, e.g. VmHWM or RssAnon; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0


class PeakMemory:
    """Watches private memory (RssAnon) of a changing set of processes; `pids` is asked ten times a second.

    For backends: their VmHWM counts every page of shared buffers that they ever touched.
    """

    def __init__(self, pids):
        self._pids, self._stop = pids, threading.Event()
        self.peak = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._stop.wait(0.1):
            for pid in self._pids():
                self.peak = max(self.peak, status_bytes(pid, "RssAnon"))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
