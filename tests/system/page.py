"""A page of documentation that is run as it stands: its blocks in psql and a shell, what they print compared with what the page shows.

    `name` on a line of its own       the block that follows is a file of that name
    ```sql, ```bash                   run, in psql or in a shell; `\\c DATABASE [USER]` holds for the blocks that follow
    ```sql watch                      run again and again until it shows what the page shows: somebody looks at work that goes on
    ```text                           what the block before printed, but for the width of columns; a line `…` stands for any others
    ```text about                     the same with other figures: times and speeds
"""

import dataclasses
import os
import re
import subprocess

from waiting import TooLate, until

BLOCK = re.compile(r"^```(\w+)( \w+)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAME = re.compile(r"`([^`\n]+)`\n\n\Z")
CONNECT = re.compile(r"^\\c (\w+|-)(?: (\w+))?$", re.MULTILINE)
ANY = "…"


@dataclasses.dataclass
class Block:
    line: int
    language: str
    watched: bool
    text: str
    name: str = None  # of the file that it is
    shown: str = None  # what the page says that it prints
    about: bool = False  # with other figures


def blocks_of(page):
    blocks = []
    for found in BLOCK.finditer(page):
        language, mark, text = found.groups()
        if language == "text":
            blocks[-1].shown, blocks[-1].about = text, mark == " about"
            continue
        name = NAME.search(page, 0, found.start())
        blocks.append(Block(page.count("\n", 0, found.start()) + 1, language, mark == " watch", text, name and name.group(1)))
    return blocks


def lines_of(text, about):
    """Its lines without what differs from run to run."""
    if about:
        text = re.sub(r"\d+", "N", text)
    lines = (re.sub(r"--+", "-", re.sub(r" +", " ", line)).strip(" -") for line in text.splitlines())
    return [line for line in lines if line]


def shows(printed, page, about=False):
    """Is it what the page shows?"""
    pattern = "".join(r"(?:.*\n)*?" if line == ANY else re.escape(line) + r"\n" for line in lines_of(page, about))
    return re.fullmatch(pattern, "".join(line + "\n" for line in lines_of(printed, about))) is not None


class Reader:
    """Somebody who runs the blocks of a page in `directory`, which has the file `name`s of the page in the end."""

    def __init__(self, cluster, directory, path=""):
        self.cluster = cluster
        self.directory = directory
        self.database = self.user = "postgres"
        self.path = path

    def environment(self):
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("PG")},
            "PATH": os.pathsep.join([str(self.path), self.cluster.bin, os.environ["PATH"]]),
            "PGHOST": "127.0.0.1", "PGPORT": str(self.cluster.port), "PGDATABASE": self.database, "PGUSER": self.user,
        }

    def follow(self, block):
        """Does what the block says; an AssertionError where it prints something else than the page."""
        if block.name is not None:
            (self.directory / block.name).write_text(block.text)
            return
        printed = ""

        def as_shown():
            nonlocal printed
            status, printed = self.run(block)
            if block.shown is None:
                assert status == 0, printed
                return True
            return shows(printed, block.shown, block.about)

        try:
            until(as_shown, "the page's output", timeout=120 if block.watched else 0, every=0.3)
        except TooLate:
            raise AssertionError(f"line {block.line}:\n{block.text}\nshows\n{printed}\nand not\n{block.shown}") from None
        for database, user in CONNECT.findall(block.text):
            self.database = database if database != "-" else self.database
            self.user = user or self.user

    def run(self, block):
        if block.language == "sql":
            command = ["psql", "-X", "-v", "ON_ERROR_STOP=1"]
        else:
            command = ["bash", "-e"]
        done = subprocess.run(
            command, input=block.text, env=self.environment(), cwd=self.directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180
        )
        return done.returncode, done.stdout
