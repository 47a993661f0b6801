"""What `stalk dead-letters list` says of one queue."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from stalk.celery.queues import dead_letter_queue_name
from stalk.dead_letters.letter import DeadLetter

__all__ = ["Summary"]


@dataclass
class Summary:
    """How many dead letters a task queue has, and what they are, as far as they were looked into."""

    queue: str
    count: int
    note: str | None = None
    """Why nothing more is known."""
    sampled: int = 0
    oldest: datetime | None = None
    """When the oldest of the sample died, UTC."""
    tasks: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    """How many of the sample have this task name and reason."""

    def add(self, letter: DeadLetter) -> None:
        """Count one message."""
        self.sampled += 1
        self.tasks[letter.task, letter.reason] += 1
        if letter.died and (self.oldest is None or letter.died < self.oldest):
            self.oldest = letter.died

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "queue": self.queue,
            "deadLetterQueue": dead_letter_queue_name(self.queue),
            "count": self.count,
            "sampled": self.sampled,
            "oldest": self.oldest.isoformat() if self.oldest else None,
            "tasks": [
                {"task": task, "reason": reason, "count": number} for (task, reason), number in self.tasks.most_common()
            ],
            "note": self.note,
        }
