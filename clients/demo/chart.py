"""Curves of loss by step: as text for a terminal, and as an SVG file. The loss is on a logarithmic axis."""

import html

import numpy

MARKS = "#o"
COLOURS = ("#c0392b", "#2c6fbb")


def bounds(curves):
    values = numpy.concatenate([curve for _, curve in curves])
    values = values[numpy.isfinite(values) & (values > 0)]
    low, high = numpy.log10(values.min()), numpy.log10(values.max())
    return low, max(high, low + 1e-6)


def heights(curve, low, high):
    """0 at `low`, 1 at `high`; NaN where there is nothing to draw."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        where = (numpy.log10(numpy.asarray(curve, float)) - low) / (high - low)
    return numpy.where(numpy.isfinite(where), numpy.clip(where, 0, 1), numpy.nan)


def text(curves, width=72, height=16):
    """Lines for a terminal; curves: pairs of a name and its losses."""
    low, high = bounds(curves)
    grid = [[" "] * width for _ in range(height)]
    for mark, (_, curve) in reversed(list(zip(MARKS, curves))):
        at = heights(curve, low, high)
        for column in range(width):
            value = at[round(column * (len(at) - 1) / (width - 1))]
            if not numpy.isnan(value):
                grid[height - 1 - round(value * (height - 1))][column] = mark
    labels = {0: 10**high, height // 2: 10 ** (high - (high - low) * (height // 2) / (height - 1)), height - 1: 10**low}
    lines = []
    for row, cells in enumerate(grid):
        label = f"{labels[row]:9.3g}" if row in labels else " " * 9
        lines.append(f"{label} |{''.join(cells)}".rstrip())
    lines.append(" " * 10 + "+" + "-" * width)
    lines.append(" " * 11 + "0" + f"{len(curves[0][1]) - 1} steps".rjust(width - 1))
    return lines + [f"{'':11}{mark} {name}" for mark, (name, _) in zip(MARKS, curves)]


def ticks(low, high):
    """1, 2, 5, 10, 20, ... between 10^low and 10^high."""
    powers = range(int(numpy.floor(low)), int(numpy.ceil(high)) + 1)
    every = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    return [tick for tick in every if low <= numpy.log10(tick) <= high]


def svg_panel(title, curves, left):
    width, height, top = 420, 260, 50
    low, high = bounds(curves)
    out = [f'<text x="{left}" y="28" font-weight="bold">{html.escape(title)}</text>',
           f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#999"/>']
    for tick in ticks(low, high):
        y = top + height * (1 - (numpy.log10(tick) - low) / (high - low))
        out.append(f'<path d="M{left} {y:.1f}h{width}" stroke="#ddd"/>'
                   f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    for colour, (name, curve), line in zip(COLOURS, curves, (0, 1)):
        at = heights(curve, low, high)
        points = " ".join(f"{left + width * i / (len(at) - 1):.1f},{top + height * (1 - y):.1f}"
                          for i, y in enumerate(at) if not numpy.isnan(y))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
                   f'<text x="{left + width - 10}" y="{top + 20 + 18 * line}" text-anchor="end" fill="{colour}">'
                   f'{html.escape(name)}</text>')
    steps = len(curves[0][1]) - 1
    out.append(f'<text x="{left}" y="{top + height + 18}">0</text>'
               f'<text x="{left + width}" y="{top + height + 18}" text-anchor="end">{steps} steps</text>')
    return out


def svg(panels):
    """The text of an SVG file; panels: pairs of a title and its curves, side by side."""
    width = 500 * len(panels) + 40
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="350" font-family="sans-serif" '
           'font-size="12"><rect width="100%" height="100%" fill="white"/>']
    for i, (title, curves) in enumerate(panels):
        out += svg_panel(title, curves, 60 + 500 * i)
    return "\n".join(out + ["</svg>", ""])
