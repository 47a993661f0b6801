"""How the outcome is told: lines for people, JSON for machines, and an exit code."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from stalk.doctor.catalogue import LINKS, Link, Severity
from stalk.doctor.findings import Finding, Unchecked
from stalk.doctor.redact import Redactor

__all__ = ["Report"]

GREEN, RED, YELLOW, PLAIN = "\033[32m", "\033[31m", "\033[33m", "\033[0m"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found, what was looked at, and what could not be."""

    findings: Sequence[Finding]
    unchecked: Sequence[Unchecked]
    seen: dict[Link, str]
    """Link: what was looked at there. A link that is missing here was not looked at."""
    seconds: float
    least: Severity = "warning"
    """Findings of this severity make the exit code 1: of `error`, a warning is told and is no failure."""

    def redacted(self, redact: Redactor) -> "Report":
        """Return the report without secrets; nothing else of it may be printed."""
        return replace(
            self,
            findings=[
                replace(each, evidence=redact(each.evidence), paste=redact(each.paste)) for each in self.findings
            ],
            unchecked=[
                replace(each, what=redact(each.what), why=redact(each.why), paste=redact(each.paste))
                for each in self.unchecked
            ],
            seen={link: redact(text) for link, text in self.seen.items()},
        )

    @property
    def exit_code(self) -> int:
        """0: nothing is wrong; 1: something is; 2: nothing is, and some link could not be checked at all."""
        if any(self.least in ("warning", each.kind.severity) for each in self.findings):
            return 1
        return 2 if any(link not in self.seen for each in self.unchecked for link in each.links) else 0

    def _well(self) -> dict[Link, str]:
        broken = {each.kind.link for each in self.findings}
        return {link: self.seen[link] for link in LINKS if link in self.seen and link not in broken}

    def as_json(self) -> str:
        """Return one JSON object."""
        return json.dumps(
            {
                "ok": self.exit_code == 0,
                "exit_code": self.exit_code,
                "seconds": round(self.seconds, 2),
                "findings": [each.as_json() for each in self.findings],
                "unchecked": [each.as_json() for each in self.unchecked],
                "ok_links": self._well(),
            },
            ensure_ascii=False,
            indent=2,
        )

    def as_text(self, *, color: bool) -> str:
        """Return the chain, one line a link that is well, and a block for each finding."""
        lines: list[str] = []
        well = self._well()
        for link in LINKS:
            found = [each for each in self.findings if each.kind.link == link]
            for finding in found:
                kind = finding.kind
                mark = RED if kind.severity == "error" else YELLOW
                lines += [
                    _painted(f"{'FAIL' if kind.severity == 'error' else 'WARN'} {link}: {kind.symptom}", mark, color),
                    f"     cause:    {kind.cause}",
                    f"     evidence: {finding.evidence}",
                    f"     paste:    {finding.paste}",
                    f"     id:       {finding.id}",
                ]
            if link in well:
                lines.append(_painted(f"ok   {link}: {well[link]}", GREEN, color))
        for each in self.unchecked:
            lines.append(_painted(f"?    could not check {each.what}: {each.why}", YELLOW, color))
            if each.paste:
                lines.append(f"     paste:    {each.paste}")
        lines.append(f"{len(self.findings)} findings, {len(self.unchecked)} not checked, {self.seconds:.1f} s")
        return "\n".join(lines)

    def print(self, *, as_json: bool) -> None:
        """Print it to standard output, in colors on a terminal."""
        print(self.as_json() if as_json else self.as_text(color=sys.stdout.isatty()))


def _painted(text: str, mark: str, color: bool) -> str:
    return f"{mark}{text}{PLAIN}" if color else text
