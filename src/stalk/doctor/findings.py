"""What a check returns: one thing that is wrong, with its proof and the line to paste."""

from dataclasses import dataclass
from typing import Any

from stalk.doctor.catalogue import CATALOGUE, Kind, Link

__all__ = ["Finding", "Unchecked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    id: str
    """Of the catalogue; an unknown one is a KeyError here, not in front of a user."""
    evidence: str
    """What was seen, with names and numbers."""
    paste: str
    """The command, or the values, that mend it or bring the next fact."""

    def __post_init__(self) -> None:
        CATALOGUE[self.id]

    @property
    def kind(self) -> Kind:
        """What the catalogue says of it."""
        return CATALOGUE[self.id]

    def as_json(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        kind = self.kind
        return {
            "id": self.id,
            "link": kind.link,
            "severity": kind.severity,
            "symptom": kind.symptom,
            "cause": kind.cause,
            "evidence": self.evidence,
            "paste": self.paste,
        }


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that could not be looked at, why, and what to do so that it can."""

    links: tuple[Link, ...]
    what: str
    why: str
    paste: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as `--json` prints it."""
        return {"links": list(self.links), "what": self.what, "why": self.why, "paste": self.paste}
