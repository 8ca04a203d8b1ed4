"""What commands print."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

console = Console()


def print_line(text: str) -> None:
    """Print a line as it is, however long: what is to be copied from it stays whole."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def two_columns(title: str, rows: dict[str, str]) -> Table:
    """Return a table of names and what was found for them."""
    table = Table(show_header=False, title=title)
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def print_skipped(lines: Iterable[str]) -> None:
    """Print which messages of a bag could not be used."""
    for line in lines:
        console.print(f"[yellow]skipped:[/] {escape(line)}", highlight=False, soft_wrap=True)
