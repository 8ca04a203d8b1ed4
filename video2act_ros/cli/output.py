"""What commands print."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

console = Console()


def two_columns(title: str, rows: dict[str, str]) -> Table:
    """Return a table of names and what was found for them."""
    table = Table(show_header=False, title=title)
    for name, value in rows.items():
        table.add_row(name, value)
    return table
