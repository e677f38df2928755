"""Flyway's command line, and the scripts of docs/flyway.md, which are run as they stand there."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
# `V10__name.sql` on a line of its own names the block of code that follows.
SCRIPT = re.compile(r"^`(V[^`]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def documented_scripts():
    scripts = dict(SCRIPT.findall((ROOT / "docs" / "flyway.md").read_text()))
    assert set(scripts) == {"V10__split_orders.sql", "V15__wait_for_orders.sql", "V15__wait_for_orders.sql.conf", "V20__drop_legacy_orders.sql"}
    return scripts


class Flyway:
    def __init__(self, database, directory, user):
        self.url = f"jdbc:postgresql://127.0.0.1:{database.cluster.port}/{database.name}"
        self.directory = directory
        self.user = user

    def script(self, name, text):
        (self.directory / name).write_text(text)

    def command(self, *arguments):
        return [
            str(ROOT / "tools" / "flyway.sh"), "run", f"-url={self.url}", f"-user={self.user}", f"-locations=filesystem:{self.directory}",
            "-defaultSchema=flyway", "-outOfOrder=true", *arguments,
        ]

    def migrate(self, *arguments, target="latest"):
        """Runs `flyway migrate`; returns whether it succeeded, and what it printed."""
        done = subprocess.run(self.command(f"-target={target}", *arguments, "migrate"), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        return done.returncode == 0, done.stdout + done.stderr

    def begin(self, *arguments):
        return subprocess.Popen(self.command(*arguments, "migrate"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
