"""Markdown: a heading, a table whose first column is text, and what was asked of the figures."""
from statistics import median


def table(head, rows):
    """Rows of text; columns are padded so that the source reads as well as the page."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        first, rest = cells[0].ljust(widths[0]), [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]
        return "| " + " | ".join([first, *rest]) + " |"

    rule = "|" + "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])]) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def section(name, told, head, rows, targets=()):
    """One scenario. Targets are (words, whether they held)."""
    print(f"### {name}\n\n{told}\n\n{table(head, rows)}\n")
    for words, held in targets:
        print(f"- {'held' if held else 'MISSED'}: {words}")
    if targets:
        print(flush=True)


def ratio(ours, theirs, of):
    """The median of the ratios of runs that stood side by side."""
    return median(of(a) / of(b) for a, b in zip(ours, theirs))
