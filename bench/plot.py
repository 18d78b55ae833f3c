"""Two small plots as SVG, without a library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Final

_FONT: Final = 'font-family="system-ui, sans-serif" font-size="13"'
_INK, _FAINT, _PLAIN, _OURS = "#24292f", "#d0d7de", "#8c959f", "#0969da"
_COLOURS: Final = (_OURS, "#bf8700", "#1a7f37")


def plot_bars(title: str, values: Sequence[tuple[str, float, bool]]) -> str:
    """Draw horizontal bars of rows per second; each is a name, its value, and whether it is ours."""
    largest = max(value for _, value, _ in values)
    left, width, step = 290, 380, 30
    body = []
    for index, (name, value, ours) in enumerate(values):
        y = 50 + index * step
        length = max(value / largest * width, 1.0)
        colour = _OURS if ours else _PLAIN
        body.append(f'<text x="{left - 10}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        body.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="20" fill="{colour}"/>')
        body.append(f'<text x="{left + length + 8:.1f}" y="{y + 15}">{_short(value)}</text>')
    return _frame(title, 760, 60 + len(values) * step, body)


def plot_lines(title: str, across: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw lines over a logarithmic horizontal axis; the vertical one begins at zero."""
    points = [point for line in lines.values() for point in line]
    low, high = log10(min(x for x, _ in points)), log10(max(x for x, _ in points))
    top = max(y for _, y in points) * 1.15
    left, width, floor, height = 70, 560, 330, 270

    def place(x: float, y: float) -> tuple[float, float]:
        return left + (log10(x) - low) / max(high - low, 1e-9) * width, floor - y / top * height

    body = []
    for tick in range(5):
        value = top * tick / 4
        _, y = place(10**low, value)
        body.append(f'<line x1="{left}" y1="{y:.1f}" x2="{left + width}" y2="{y:.1f}" stroke="{_FAINT}"/>')
        body.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for x in sorted({x for x, _ in points}):
        at, _ = place(x, 0)
        body.append(f'<text x="{at:.1f}" y="{floor + 20}" text-anchor="middle">{x:,.0f}</text>')
    body.append(f'<text x="{left + width / 2}" y="{floor + 42}" text-anchor="middle">{escape(across)}</text>')
    for index, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        spots = [place(x, y) for x, y in line]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        body.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        body += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>' for x, y in spots]
        body.append(f'<text x="{left + width + 10}" y="{spots[-1][1] + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return _frame(title, 760, 390, body)


def _frame(title: str, width: int, height: int, body: Sequence[str]) -> str:
    size = f'viewBox="0 0 {width} {height}" width="{width}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {_FONT} fill="{_INK}">',
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            f'<text x="20" y="28" font-size="15" font-weight="bold">{escape(title)}</text>',
            *body,
            "</svg>\n",
        ]
    )


def _short(value: float) -> str:
    return f"{value / 1e6:.2f} M" if value >= 1e6 else f"{value / 1e3:.0f} k"
