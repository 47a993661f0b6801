"""The pages of the site from the repository's files.

Links in the files are those of the repository, so that GitHub follows them. A link to another page of the site stays a
link between pages; one to anything else of the repository leads to it on GitHub.
"""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["CONFIG", "ROOT", "BrokenLinkError", "pages", "stage", "unlisted"]

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("zensical.toml")
_OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "charts/stalk/README.md": "chart.md",
}
"""Pages that are not in docs/, and what they are in the site."""
_COPIED = {".gif", ".jpg", ".md", ".png", ".svg", ".webp"}
_LINK = re.compile(r"(?<=\]\()([^()\s]+)(?=\))")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")


class BrokenLinkError(Exception):
    """A link leads to nothing in the repository; the text says where it stands and where it leads."""


def pages(root: Path = ROOT) -> dict[Path, str]:
    """Return what is copied into the site: paths in the repository, and their places in the site."""
    found = {Path(source): place for source, place in _OUTSIDE.items() if (root / source).exists()}
    for file in sorted((root / "docs").rglob("*")):
        if file.is_file() and file.suffix in _COPIED:
            found[file.relative_to(root)] = str(file.relative_to(root / "docs"))
    return found


def stage(folder: Path, root: Path = ROOT) -> None:
    """Write configuration and pages into a folder, ready to be built.

    Raises:
        BrokenLinkError: a link to a file that does not exist.
    """
    places = pages(root)
    shutil.copy(CONFIG, folder / CONFIG.name)
    repository = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["repo_url"]
    for source, place in places.items():
        target = folder / "docs" / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix == ".md":
            text = (root / source).read_text(encoding="utf-8")
            target.write_text("".join(_led(text, source, places, root, repository)), encoding="utf-8")
        else:
            shutil.copy(root / source, target)


def unlisted(root: Path = ROOT) -> list[str]:
    """Return what is wrong with the navigation, which Zensical takes as it is: what it lacks, and what is no page."""
    nav = tomllib.loads(CONFIG.read_text(encoding="utf-8"))["project"]["nav"]
    listed = list(_places(nav))
    made = {place for place in pages(root).values() if place.endswith(".md")}
    return [
        *(f"no such page: {place}" for place in listed if place not in made),
        *(f"not in the navigation: {place}" for place in sorted(made - set(listed))),
    ]


def _places(nav: Any) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, Mapping) else nav:
            yield from _places(item)


def _led(text: str, source: Path, places: Mapping[Path, str], root: Path, repository: str) -> Iterator[str]:
    fence = ""
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and line.strip().startswith(fence):
            fence = ""
        if fence or line.startswith("    "):
            yield line
            continue

        def target(found: re.Match[str], number: int = number) -> str:
            try:
                return _target(found[1], source, places, root, repository)
            except FileNotFoundError:
                raise BrokenLinkError(f"{source}:{number}: {found[1]} leads to nothing") from None

        yield _LINK.sub(target, line)


def _target(link: str, source: Path, places: Mapping[Path, str], root: Path, repository: str) -> str:
    path, sign, anchor = link.partition("#")
    if not path or ":" in path:
        return link
    file = Path(os.path.normpath(source.parent / path))
    if file in places:
        return os.path.relpath(places[file], Path(places[source]).parent) + sign + anchor
    if not (root / file).exists():
        raise FileNotFoundError(file)
    kind = "tree" if (root / file).is_dir() else "blob"
    return f"{repository}/{kind}/main/{file}{sign}{anchor}"
