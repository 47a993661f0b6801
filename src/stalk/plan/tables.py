"""CSV files, row by row with their line numbers."""

import csv
from collections.abc import Iterator
from pathlib import Path

from stalk.plan.units import PlanProblem

__all__ = ["read_rows"]


def read_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of a CSV file, without blank lines and without a header.

    The first row is a header when its first cell begins with a letter.

    Raises:
        PlanProblem: the file cannot be read, or holds no row.
    """
    empty = True
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            for row in reader:
                cells = [cell.strip() for cell in row]
                if not any(cells) or (reader.line_num == 1 and cells[0][:1].isalpha()):
                    continue
                empty = False
                yield reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PlanProblem(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if empty:
        raise PlanProblem(f"{path}: holds no row")
