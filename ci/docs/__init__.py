"""The commands in docs/*.md, and what they print: each block that begins with `$ stalk` is run, from docs/."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

__all__ = ["DOCS", "generated", "printed"]

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"^```console\n\$ (stalk (?:[^\n]*\\\n)*[^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def printed(command: str) -> str:
    """Return what a command of the console script `stalk` prints, without spaces at the ends of lines.

    Args:
        command: as in a shell, over several lines with backslashes.
    """
    words = shlex.split(command.replace("\\\n", " "))
    done = subprocess.run(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        cwd=DOCS,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=300,
    )
    return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def generated(text: str) -> str:
    """Return a document with the output of each command as it is now."""

    def block(found: re.Match[str]) -> str:
        return f"```console\n$ {found[1]}\n{printed(found[1])}```"

    return BLOCK.sub(block, text)
