# SPDX-License-Identifier: MIT
"""Rows of figures, and what is made of them: medians, spreads and ratios within a round."""

import dataclasses
import statistics

# Where others used more than this part of the two cores, a figure is measured again.
DISTURBED = 0.08


@dataclasses.dataclass(frozen=True)
class Row:
    """What one server did in one case of one round."""

    experiment: str
    case: str
    server: str
    round: int
    figures: dict


@dataclasses.dataclass(frozen=True)
class Spread:
    """The median, and the quartiles: the middle half of the values lies between them."""

    median: float
    low: float
    high: float
    count: int


def spread(values):
    """None of no values."""
    values = list(values)
    if not values:
        return None
    if len(values) == 1:
        return Spread(values[0], values[0], values[0], 1)
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high, len(values))


class Results:
    def __init__(self, rows=()):
        self.rows = list(rows)

    def add(self, row):
        self.rows.append(row)

    def experiments(self):
        return list(dict.fromkeys(row.experiment for row in self.rows))

    def cases(self, experiment):
        return list(dict.fromkeys(row.case for row in self.rows if row.experiment == experiment))

    def by_round(self, experiment, case, server, figure):
        """The figure of each round that has it."""
        return {
            row.round: row.figures[figure] for row in self.rows
            if (row.experiment, row.case, row.server) == (experiment, case, server) and figure in row.figures
        }

    def value(self, experiment, case, server, figure):
        return spread(self.by_round(experiment, case, server, figure).values())

    def ratio(self, figure, mine, theirs):
        """Of (experiment, case, server) to another: the median of the ratios of the rounds that have both."""
        ours, others = self.by_round(*mine, figure), self.by_round(*theirs, figure)
        return spread(ours[r] / others[r] for r in sorted(ours.keys() & others.keys()) if others[r])

    def disturbed(self, experiment):
        """How many figures were measured while others used the cores, too."""
        return sum(row.experiment == experiment and row.figures.get("others", 0) > DISTURBED for row in self.rows)

    def noise(self):
        """Of each case that was measured with a second beanstalkd: its ratio to the first."""
        found = {}
        for experiment in self.experiments():
            for case in self.cases(experiment):
                entry = self.ratio(
                    "requests/s", (experiment, case, "beanstalkd again"), (experiment, case, "beanstalkd"))
                if entry:
                    found[case] = entry
        return found
