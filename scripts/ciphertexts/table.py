"""The rows that both programs print, as a table or as JSON."""

import json
from dataclasses import asdict, dataclass

import numpy as np

# How far beyond the forecast the worst error may lie.
SLACK = 1.05


@dataclass
class Row:
    site: str
    bits: int
    worst: float | None
    rms: float | None
    forecast: float
    noise: float | None
    levels: int | None
    library: int
    polyact: int
    products: int | None
    mults: int
    kept: bool


def row(site, bits, values, exact, plain, **counts):
    """A row of what was decrypted; `values` is None where decryption failed."""
    forecast = counts.pop("forecast", site.worst * site.rounds)
    said = dict(polyact=site.depth * site.rounds, mults=site.products * (2**site.rounds - 1))
    if values is None:
        return Row(site.name, bits, None, None, forecast, None, kept=False, **said, **counts)
    error = np.abs(values - exact)
    worst, rms, noise = error.max(), np.sqrt((error**2).mean()), np.abs(values - plain).max()
    return Row(site.name, bits, *map(float, (worst, rms)), forecast, float(noise), kept=bool(worst <= SLACK * forecast), **said, **counts)


def _text(value):
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3e}" if isinstance(value, float) else str(value)


def lines(rows):
    """The table with its columns aligned, names to the left and numbers to the right."""
    titles = list(Row.__dataclass_fields__)
    cells = [titles, *([_text(value) for value in asdict(row).values()] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(titles))]
    for line in cells:
        first, *others = zip(line, widths)
        yield "  ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)])


def show(rows, as_json):
    """Print the rows and, below a table, how many kept their forecast."""
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    print("\n".join(lines(rows)))
    print(f"\n{sum(row.kept for row in rows)} of {len(rows)} keep the forecast")
