# SPDX-License-Identifier: MIT
"""Tables: as text for a terminal, and as Markdown for docs/performance.md."""

import dataclasses

from .results import DISTURBED
from .targets import BUSY, TARGETS


@dataclasses.dataclass
class Table:
    title: str
    heads: list
    lines: list
    notes: list = dataclasses.field(default_factory=list)
    # Columns of words; the others are numbers, which stand to the right.
    words: frozenset = frozenset({0, 1})


def number(value):
    """Three digits, or whole thousands with commas."""
    if value is None:
        return ""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


def between(entry):
    return "" if entry is None or entry.count < 2 else f"{number(entry.low)} – {number(entry.high)}"


def share(entry):
    return "" if entry is None else f"{entry.median:.0%}"


def experiment_table(experiment, results):
    """One line per case and server: the main figure with spread and ratio, the other figures' medians."""
    main, *others = experiment.figures
    heads = ["case", "server", main, "quartiles", "to first server", "quartiles"]
    if experiment.is_growth:
        heads += ["to first case", "quartiles"]
    heads += others
    table = Table(f"{experiment.name}: {experiment.about}", heads, [])
    for case in experiment.cases:
        for server in case.servers:
            if results.value(experiment.name, case.name, server, main) is None:
                continue
            first = case.servers[0], experiment.cases[0].name
            table.lines.append(line_of(experiment, results, case.name, server, *first))
            busy = results.value(experiment.name, case.name, server, "client")
            if main.endswith("/s") and busy and busy.median > BUSY:
                table.lines[-1][2] += "*"
                table.notes = [f"* The generator used more than {BUSY:.0%} of its core: the server can do more."]
    disturbed = results.disturbed(experiment.name)
    if disturbed:
        table.notes.append(
            f"{disturbed} figures were measured while others used more than {DISTURBED:.0%} of the two cores.")
    return table


def line_of(experiment, results, case, server, first_server, first_case):
    main, *others = experiment.figures
    mine = (experiment.name, case, server)
    value = results.value(*mine, main)
    line = [case, server, number(value.median) if value else "", between(value)]
    ratio = results.ratio(main, mine, (experiment.name, case, first_server)) if server != first_server else None
    line += [number(ratio.median) if ratio else "", between(ratio)]
    if experiment.is_growth:
        own = results.ratio(main, mine, (experiment.name, first_case, server)) if case != first_case else None
        line += [number(own.median) if own else "", between(own)]
    for figure in others:
        entry = results.value(*mine, figure)
        line.append(share(entry) if figure in ("server", "client") else number(entry.median if entry else None))
    return line


def targets_table(results):
    table = Table(
        "targets: ratios to beanstalkd in the same round unless said otherwise",
        ["target", "what", "must", "aim", "measured", "quartiles", "reached"], [], words=frozenset({0, 1, 6}))
    for target in TARGETS:
        value = target.measured(results)
        sign = "≤ " if target.at_most else "≥ "
        unit = f" {target.unit}" if target.unit else ""
        is_bound = value is not None and target.is_bound(results)
        measured = "" if value is None else number(value.median) + unit + ("*" if is_bound else "")
        if is_bound:
            table.notes = ["* The generator was the limit: the server's true figure is better."]
        table.lines.append([
            target.name, target.about, f"{sign}{target.must:g}", f"{target.aim:g}", measured, between(value),
            target.verdict(results),
        ])
    noise = results.noise()
    if noise:
        text = ", ".join(f"{case} {number(n.median)} ({between(n)})" for case, n in noise.items())
        table.notes.append(f"Noise, a second beanstalkd to the first: {text}.")
    return table


def text(table):
    rows = [table.heads, *table.lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(table.heads))]
    lines = [table.title]
    for row in rows:
        cells = [c.ljust(w) if i in table.words else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines + table.notes)


def markdown(table):
    def row(cells):
        return "| " + " | ".join(cell.replace("*", "\\*") for cell in cells) + " |"

    rule = "|" + "|".join("---" if i in table.words else "---:" for i in range(len(table.heads))) + "|"
    lines = [f"### {table.title}", "", row(table.heads), rule, *map(row, table.lines)]
    if table.notes:
        lines += ["", *[note.replace("*", "\\*") for note in table.notes]]
    return "\n".join(lines)


def tables(experiments, results):
    present = results.experiments()
    made = [experiment_table(e, results) for e in experiments if e.name in present]
    return made + [targets_table(results)]
