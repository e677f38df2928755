"""docs/results.md: the hand-written head, then everything that lies in build/bench/*.json."""
import json

ORDER = ["capture", "tpcb", "log", "backfill", "live", "fanout", "derive", "verify", "migrate", "migrate_depth", "migrate_move", "migrate_windows"]


def _number(value):
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 20 else f"{value:.2f}"


def _figure(claim):
    if claim["value"] is None:
        return "not measured: " + claim["reason"]
    unit = "" if claim["unit"] == "×" else " " + claim["unit"]
    text = _number(claim["value"]) + unit
    if "low" in claim:
        text += f" ({_number(claim['low'])} … {_number(claim['high'])})"
    return text


def _verdict(claim):
    return {True: "yes", False: "**no**", None: "–"}[claim["reached"]]


def _target(claim):
    unit = "" if claim["unit"] == "×" else " " + claim["unit"]
    return f"{claim['comparison']} {_number(claim['target'])}{unit}"


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_number(cell) for cell in row) + " |" for row in rows]
    return lines


def claims_table(parts):
    return _table(["part", "claim", "target", "measured (interval)", "reached"],
                  [[part["part"], claim["claim"], _target(claim), _figure(claim), _verdict(claim)]
                   for part in parts for claim in part["claims"]])


def _section(part):
    quick = " A quick run: sizes too small to judge by." if part["quick"] else ""
    lines = ["", f"## {part['title']}", "",
             f"`{part['command']}`, {part['started']}, {part['seconds']} s, commit {part['machine']['commit']}, load average "
             f"{part['load_before']:.1f} before and {part['load_after']:.1f} after.{quick}", ""]
    for remark in part["remarks"]:
        lines += [f"- {remark}"]
    for table in part["tables"]:
        lines += ["", f"**{table['title']}**", ""] + _table(table["head"], table["rows"])
    return lines


def load(directory):
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in directory.glob("*.json")}
    return [found[part] for part in ORDER if part in found]


def write(directory, head, path):
    parts = load(directory)
    if not parts:
        raise SystemExit(f"nothing in {directory}: run `make bench` first")
    machine = parts[-1]["machine"]
    lines = [head.read_text(encoding="utf-8").rstrip(), "", "## The claims", "",
             f"{machine['processor']}, {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']}, Linux "
             f"{machine['kernel']}.", ""] + claims_table(parts)
    for part in parts:
        lines += _section(part)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
