"""The root Makefile where little or nothing is installed yet."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def make(*arguments):
    command = ["make", "--no-print-directory", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"})


def test_help_and_deps_need_no_postgresql():
    done = make("-n", "PG_CONFIG=/nonexistent/pg_config", "help", "deps", "demo", "check")
    assert done.returncode == 0, done.stderr
    assert "tools/deps.sh" in done.stdout and "demo/run" in done.stdout and "tests/run" in done.stdout


def test_building_without_postgresql_says_what_to_do():
    done = make("PG_CONFIG=/nonexistent/pg_config")
    assert done.returncode != 0
    assert "make deps" in done.stderr and "/nonexistent/pg_config" in done.stderr


def test_the_help_names_every_goal():
    goals = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("house = ")).split()[2:]
    text = make("help").stdout
    assert [goal for goal in goals if f"make {goal}" not in text and goal != "help"] == []


def variable(name):
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    return set(next(line for line in lines if line.startswith(f"{name} = ")).split("=", 1)[1].split())


def test_every_sql_test_and_isolation_spec_is_run():
    assert {path.stem for path in (ROOT / "tests/regress/sql").glob("*.sql")} == variable("REGRESS")
    assert {path.stem for path in (ROOT / "tests/isolation/specs").glob("*.spec")} == variable("ISOLATION")
