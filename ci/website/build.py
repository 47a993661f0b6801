"""Building the site with Zensical, strictly."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from website.stage import CONFIG, ROOT, BrokenLinkError, stage, unlisted

__all__ = ["SITE", "build"]

SITE = ROOT / "dist" / "site"


def build(root: Path = ROOT, site: Path = SITE) -> str | None:
    """Build the site of a repository into a folder; return what is wrong, such as a link that leads nowhere."""
    if problems := unlisted(root):
        return "\n".join(f"{CONFIG.relative_to(ROOT)}: {problem}" for problem in problems)
    with tempfile.TemporaryDirectory() as folder:
        try:
            stage(Path(folder), root)
        except BrokenLinkError as error:
            return str(error)
        zensical = Path(sys.executable).with_name("zensical")
        done = subprocess.run(
            [zensical, "build", "--strict", "--config-file", CONFIG.name],
            cwd=folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        if done.returncode:
            return done.stdout
        shutil.rmtree(site, ignore_errors=True)
        shutil.copytree(Path(folder) / "site", site)
    return None
