# SPDX-License-Identifier: MIT
"""The growth curves as an SVG: one panel for each experiment that has an axis, both scales logarithmic."""

import html
import math

WIDTH, HEIGHT, MARGIN_LEFT, MARGIN_TOP, GAP = 360, 260, 70, 64, 80
# Dark enough on white, and told apart without colour by their marks.
STYLES = {"trellisd": ("#0a58a8", "circle"), "beanstalkd": ("#b3440b", "square")}
OTHER = ("#555555", "circle")


class Scale:
    """Decades from below the least to above the greatest value, on so many points."""

    def __init__(self, values, start, length):
        positive = [value for value in values if value > 0]
        self.first = math.floor(math.log10(min(positive)) + 1e-9)
        self.last = max(math.ceil(math.log10(max(positive)) - 1e-9), self.first + 1)
        # Zero has a decade of its own.
        self.has_zero = min(values) <= 0
        self.first -= self.has_zero
        self.start, self.length = start, length

    def place(self, value):
        exponent = math.log10(value) if value > 0 else self.first
        return self.start + self.length * (exponent - self.first) / (self.last - self.first)

    def ticks(self):
        powers = [10.0**exponent for exponent in range(self.first + self.has_zero, self.last + 1)]
        return [0] * self.has_zero + powers


RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def power(value):
    """A tick's label."""
    exponent = round(math.log10(value)) if value else 0
    return f"{value:,.0f}" if 0 <= exponent <= 3 else f"10{str(exponent).translate(RAISED)}"


def text(x, y, content, size=12, anchor="middle", more=""):
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"'
    return f"<text {place}{more}>{html.escape(content)}</text>"


def line(x1, y1, x2, y2, colour, width=1.0):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def mark(shape, x, y, colour):
    if shape == "square":
        return f'<rect x="{x - 3.5:.1f}" y="{y - 3.5:.1f}" width="7" height="7" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'


def curves(experiment, results):
    """For each server its points: (x, spread of the main figure)."""
    found = {}
    for case in experiment.cases:
        for server in case.servers:
            entry = results.value(experiment.name, case.name, server, experiment.figures[0])
            if case.x is not None and entry is not None:
                found.setdefault(server, []).append((case.x, entry))
    return found


def panel(experiment, lines, up, left, top):
    across = Scale([x for points in lines.values() for x, _ in points], left, WIDTH)
    parts = [text(left + WIDTH / 2, top - 10, experiment.name, 14, more=' font-weight="bold"')]
    for tick in up.ticks():
        parts.append(line(left, up.place(tick), left + WIDTH, up.place(tick), "#dddddd"))
        parts.append(text(left - 6, up.place(tick) + 4, power(tick), 11, "end"))
    for tick in across.ticks():
        parts.append(line(across.place(tick), top + HEIGHT, across.place(tick), top + HEIGHT + 4, "#555555"))
        parts.append(text(across.place(tick), top + HEIGHT + 18, power(tick), 11))
    parts.append(line(left, top + HEIGHT, left + WIDTH, top + HEIGHT, "#555555"))
    parts.append(text(left + WIDTH / 2, top + HEIGHT + 38, experiment.axis))
    for server, points in lines.items():
        colour, shape = STYLES.get(server, OTHER)
        places = [(across.place(x), up.place(entry.median), entry) for x, entry in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for x, y, entry in places:
            parts.append(line(x, up.place(entry.low), x, up.place(entry.high), colour, 1.5))
            parts.append(mark(shape, x, y, colour))
    return parts


def svg(experiments, results):
    """The whole picture; None where nothing was measured that grows."""
    panels = [(e, curves(e, results)) for e in experiments if e.axis]
    panels = [(e, lines) for e, lines in panels if lines]
    if not panels:
        return None
    width = MARGIN_LEFT + len(panels) * (WIDTH + GAP)
    height = MARGIN_TOP + HEIGHT + 56
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" fill="#222222">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        text(14, MARGIN_TOP + HEIGHT / 2, panels[0][0].figures[0],
             more=f' transform="rotate(-90 14 {MARGIN_TOP + HEIGHT / 2})"'),
    ]
    spreads = [entry for _, lines in panels for points in lines.values() for _, entry in points]
    # The same in all panels, so that they can be compared.
    up = Scale([v for entry in spreads for v in (entry.low, entry.high)], MARGIN_TOP + HEIGHT, -HEIGHT)
    x = MARGIN_LEFT
    for server in dict.fromkeys(server for _, lines in panels for server in lines):
        colour, shape = STYLES.get(server, OTHER)
        parts += [mark(shape, x + 5, 18, colour), text(x + 16, 22, server, 13, "start")]
        x += 120
    parts.append(text(x + 16, 22, "medians; bars over the middle half of the rounds", 11, "start"))
    for index, (experiment, lines) in enumerate(panels):
        parts += panel(experiment, lines, up, MARGIN_LEFT + index * (WIDTH + GAP), MARGIN_TOP)
    return "\n".join([*parts, "</svg>", ""])
