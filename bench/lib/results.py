"""What one part of the benchmark found: claims with their targets, tables, remarks and the raw measurements."""
import json
import operator
import os
import time

from lib import machine

COMPARE = {"≤": operator.le, "≥": operator.ge, "<": operator.lt}


class Results:
    """Collects while the part runs; save() writes build/bench/PART.json, from which docs/results.md is made."""

    def __init__(self, part, title, directory, arguments):
        self.path = directory / f"{part}.json"
        self._began = time.time()
        command = f"bench/run {part}"
        command += "".join(f" --{name} {value}" for name, value in
                           (("rounds", arguments.rounds), ("orders", arguments.orders)) if value)
        command += " --quick" * arguments.quick + " --without-pgsync" * arguments.without_pgsync
        self.data = {"part": part, "title": title, "quick": arguments.quick, "command": command,
                     "started": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()), "machine": machine.describe(),
                     "load_before": os.getloadavg()[0], "claims": [], "tables": [], "remarks": [], "measurements": {}}

    def claim(self, text, figure, comparison, target, unit="×"):
        """`figure` is a number, or a paired_ratio(). The verdict is the figure's own, not its interval's kinder end."""
        figure = figure if isinstance(figure, dict) else {"value": figure}
        reached = COMPARE[comparison](figure["value"], target)
        self.data["claims"].append({"claim": text, **figure, "unit": unit, "comparison": comparison, "target": target,
                                    "reached": reached})
        return reached

    def unmeasured(self, text, comparison, target, reason, unit="×"):
        self.data["claims"].append({"claim": text, "value": None, "unit": unit, "comparison": comparison,
                                    "target": target, "reached": None, "reason": reason})

    def table(self, title, head, rows):
        self.data["tables"].append({"title": title, "head": head, "rows": rows})

    def remark(self, text):
        self.data["remarks"].append(text)

    def keep(self, **measurements):
        self.data["measurements"].update(measurements)

    def save(self):
        self.data["load_after"] = os.getloadavg()[0]
        self.data["seconds"] = round(time.time() - self._began)
        self.path.write_text(json.dumps(self.data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
