"""`python -m bnexp.sync [tracking.uri=...]`: sends results under runs/local that a tracking store lacks to that store.

It may be run at any time, and repeated, even after it was killed: only what is missing is sent.
"""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.errors import UserError, exit_with, explain, first_line
from bnexp.names import ERROR_TAG, SWEEP_TAG
from bnexp.storage.folders import RUNS
from bnexp.tracking.journal import RunRecord, journals

if TYPE_CHECKING:
    from bnexp.tracking.store import TrackingStore

HELP = """python -m bnexp.sync [tracking.uri=URI]

Sends the results under runs/local to the tracking stores of their runs. A run whose process was
killed ends as KILLED; one that is still going on is left alone.

  tracking.uri=URI    the store to send to, if its URI has a password, which is stored nowhere, or if it has moved"""


class Sync:
    """Sends every journal under `runs` to its tracking store, once.

    Args:
        runs: the folder whose journals are sent.
        uri: the tracking URI to send to, with its password; only the journals of that store are sent, or all of them if
            none is of that store. Empty sends each journal to the URI that it was tracked with.

    Attributes:
        sent: the number of runs that were sent.
        alive: the number of runs that are still going on, and were left alone.
        failed: the number of runs or tables that could not be sent.

    Example:
        >>> sync = Sync(Path("runs"))
        >>> sync.run()
        variant=ema: FINISHED, run 3f2c...
    """

    def __init__(self, runs: Path, uri: str = "") -> None:
        from bnexp.tracking.tracker import LOCAL
        from bnexp.tracking.uri import without_password

        self._runs, self._uri = runs, uri
        damaged: list[str] = []
        found = journals(runs / LOCAL, damaged.append)
        of_it = {folder: record for folder, record in found.items() if record.uri == without_password(uri)}
        # sorted so that a sweep's parent comes after its jobs
        self._waiting = sorted((of_it or found).items(), key=lambda item: SWEEP_TAG in item[1].tags)
        self._store = cache(self._connect)
        self.sent, self.alive, self.failed = 0, 0, len(damaged)
        for message in damaged:
            print(message)

    def run(self) -> None:
        """Sends every journal, prints a line for each run, and makes the tables of the sweeps concerned anew."""
        sweeps: dict[str, RunRecord] = {}
        for folder, before in self._waiting:
            if before.delivered:
                continue
            try:
                after = self._bring(folder, before)
            except Exception as error:  # stores raise errors of many types; one run's must not stop the others
                self.failed += 1
                print(f"{before.name}: not sent ({explain(error) or first_line(error)})")
                continue
            if after is None:
                self.alive += 1
                print(f"{before.name}: still running")
                continue
            self.sent += 1
            print(f"{after.name}: {after.status}, run {after.run_id}")
            if after.parent:
                sweeps[after.parent] = after
            elif SWEEP_TAG in after.tags:
                sweeps[after.run_id] = after
        for run_id, record in sweeps.items():
            self._finish(run_id, record)

    def _bring(self, folder: Path, record: RunRecord) -> RunRecord | None:
        from bnexp.tracking.attempts import deliver

        return deliver(folder, lambda: self._store(self._uri or record.uri, record.experiment))

    def _connect(self, uri: str, experiment: str) -> "TrackingStore":
        from bnexp.tracking.store import TrackingStore

        return TrackingStore(uri, experiment, self._runs)

    def _finish(self, run_id: str, record: RunRecord) -> None:
        """Makes the table of a sweep's jobs anew, now that the store has more of them."""
        from bnexp.sweep.parent import Sweep

        try:
            parent = self._store(self._uri or record.uri, record.experiment).client.get_run(run_id)
            if parent.info.status == "RUNNING":
                return  # the sweep makes its table itself when it ends
            status = parent.info.status
            # SystemExit is no Exception, which would make the parent run FAILED
            killed = SystemExit(parent.data.tags.get(ERROR_TAG)) if status == "KILLED" else None
            sweep = Sweep.reopen(run_id, uri=self._uri or record.uri, experiment=record.experiment, status=status)
            lost = sweep.finish(killed)
            print(f"{parent.info.run_name}: table of its jobs updated, {len(lost)} did not finish")
        except Exception as error:
            self.failed += 1
            print(f"sweep {run_id}: its table could not be made ({explain(error) or first_line(error)})")


def options_of(arguments: list[str]) -> Mapping[str, str]:
    """Reads the `key=value` arguments of the command line.

    Args:
        arguments: the arguments, of which only `tracking.uri=URI` is allowed.

    Raises:
        UserError: another key, or an empty value.

    Example:
        >>> options_of(["tracking.uri=http://127.0.0.1:5000"])
        {'tracking.uri': 'http://127.0.0.1:5000'}
    """
    options = dict(argument.partition("=")[::2] for argument in arguments)
    for key in options:
        if key != "tracking.uri" or not options[key]:
            raise UserError(f"{key}={options[key]}: must be tracking.uri=URI.\n\n{HELP}")
    return options


def main() -> None:
    """Runs the command line; exits with status 0 only if everything could be sent, runs still going on excepted."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(HELP)
        return
    try:
        sync = Sync(RUNS, options_of(sys.argv[1:]).get("tracking.uri", ""))
        sync.run()
    except UserError as error:
        exit_with(error)
    print(f"{sync.sent} sent, {sync.alive} still running, {sync.failed} not sent")
    if sync.failed:
        exit_with("not everything could be sent. The rest is kept in runs/local; run python -m bnexp.sync again.")


if __name__ == "__main__":
    main()
