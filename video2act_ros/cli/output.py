"""What commands print and write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console()


def two_columns(title: str, rows: dict[str, str]) -> Table:
    """Return a table of names and what was found for them."""
    table = Table(show_header=False, title=title)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def write_json(path: Path, content: Any) -> None:  # whatever JSON can hold
    """Write a report where the user asked for it, in a folder that is made where it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
