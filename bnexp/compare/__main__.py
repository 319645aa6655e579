"""`python -m bnexp.compare [key=value ...]`: finished runs side by side."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console

from bnexp.compare.options import HELP, Options, options_of
from bnexp.errors import UserError, exit_with, explain
from bnexp.storage.folders import require_writable

if TYPE_CHECKING:
    from bnexp.tracking.reader import Store, StoredRun


def compare_and_print(options: Options) -> None:
    """Prints the table of the chosen runs and writes their report.

    Args:
        options: which runs to compare, how, and where to write.

    Raises:
        UserError: the store does not answer, no run is found, an option does not fit the runs, or a file cannot be
            written.

    Example:
        >>> compare_and_print(Options(by=("variant",), html=None))
    """
    # imported here, after the arguments have been checked, since MLflow takes a second to load
    from bnexp.compare.report import write_csv, write_page
    from bnexp.compare.show import markdown_table, print_comparison
    from bnexp.compare.table import compare
    from bnexp.tracking.reader import Store

    store = Store(options.uri, options.experiment)
    runs = _chosen(store, options)
    for key, path in (("html", options.html), ("csv", options.csv)):
        if path is not None:
            require_writable(path.parent, f"{key}={path}")
    comparison = compare(runs, by=options.by, sort=options.sort)
    if options.markdown:
        print(markdown_table(comparison))
        # standard output has only the table, which can be pasted elsewhere
        console = Console(stderr=True)
    else:
        console = Console()
        print_comparison(console, comparison)
    if options.csv is not None:
        write_csv(comparison, options.csv)
        _tell(console, f"table: {options.csv}")
    if options.html is not None:
        size = write_page(store, comparison, options.html)
        _tell(console, f"report: {options.html} ({size / 1e6:.1f} MB; open it in a browser)")


def _chosen(store: "Store", options: Options) -> "list[StoredRun]":
    if options.runs:
        return store.get(options.runs)
    if not options.filter:
        return store.latest_sweep()
    found = store.search(options.filter)[::-1]
    if not found:
        raise UserError(f"filter={options.filter}: no run matches it. Look at the params of some run in the MLflow UI.")
    return found


def _tell(console: Console, line: str) -> None:
    # not wrapped, so that a path can be copied
    console.print(line, highlight=False, soft_wrap=True, markup=False)


def main() -> None:
    """Runs the command line; the exit status is 0 only if the comparison was made."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(HELP)
        return
    try:
        compare_and_print(options_of(sys.argv[1:]))
    except Exception as error:
        message = explain(error)
        if message is None:
            raise
        exit_with(message)


if __name__ == "__main__":
    main()
