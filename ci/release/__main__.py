"""What a release needs; every word is a step of CONTRIBUTING.md's "Release".

python ci/release check [TAG]    do the versions agree, and may this tag be released?
python ci/release generate       write what Chart.yaml tells Artifact Hub
python ci/release package        chart archive, wheel, sdist, SBOMs and SHA256SUMS into dist/
python ci/release notes          what CHANGELOG.md says of this version
python ci/release previous       the version before this one, and its commit
"""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parent.parent)

__all__ = ["main"]


def main(words: list[str]) -> str | None:  # noqa: PLR0911 (one return a word)
    """Run one of them; return what is wrong."""
    from release.previous import NoPreviousError, previous
    from release.versions import ROOT, generate, notes, problems

    match words:
        case ["check", *tag] if len(tag) <= 1:
            return "\n".join(problems(ROOT, *tag)) or None
        case ["generate"]:
            generate(ROOT)
            return None
        case ["package"]:
            from release.package import PackageError, package

            try:
                for path in package(ROOT, ROOT / "dist"):
                    print(path.relative_to(ROOT))
            except PackageError as error:
                return str(error)
            return None
        case ["notes"]:
            print(notes(ROOT))
            return None
        case ["previous"]:
            try:
                found = previous(ROOT)
            except NoPreviousError as error:
                return str(error)
            print(found.version, found.commit)
            return None
    return (__doc__ or "").partition("\n\n")[2].rstrip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
