"""`python -m bnexp.sync [tracking.uri=...]`: brings what a tracking store did not get to it, from runs/local.

It may be run at any time, again, and after a kill in its middle: only what is missing is sent.
"""

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bnexp.errors import UserError, exit_with, explain, first_line
from bnexp.folders import RUNS
from bnexp.journal import Facts, journals

if TYPE_CHECKING:
    from bnexp.tracking_store import TrackingStore

HELP = """python -m bnexp.sync [tracking.uri=URI]

Brings the results that lie under runs/local to the tracking store that they were meant for. A run whose process was
killed ends as KILLED; one that is still going on is left alone.

  tracking.uri=URI    where to, for a store whose URI holds a password, which is written nowhere, or that has moved"""


class Sync:
    """One go at everything under `runs`.

    Args:
        runs: the folder whose journals are brought.
        uri: overrides where to, for the journals of that store, or for all where there are none of it; none for each
            to its own.
    """

    def __init__(self, runs: Path, uri: str = "") -> None:
        from bnexp.track import LOCAL
        from bnexp.tracking_store import without_password

        self._runs, self._uri = runs, uri
        damaged: list[str] = []
        found = journals(runs / LOCAL, damaged.append)
        of_it = {folder: facts for folder, facts in found.items() if facts.uri == without_password(uri)}
        # a sweep's parent after its jobs
        self._waiting = sorted((of_it or found).items(), key=lambda item: "bnexp.sweep" in item[1].tags)
        self._store = cache(self._connect)
        self.brought, self.alive, self.failed = 0, 0, len(damaged)
        for message in damaged:
            print(message)

    def run(self) -> None:
        """Brings everything, and tells of each run in a line."""
        sweeps: dict[str, Facts] = {}
        for folder, before in self._waiting:
            if before.delivered:
                continue
            try:
                after = self._bring(folder, before)
            except Exception as error:  # each store has errors of its own, and one run's must not keep back the others
                self.failed += 1
                print(f"{before.name}: not brought ({explain(error) or first_line(error)})")
                continue
            if after is None:
                self.alive += 1
                print(f"{before.name}: still running")
                continue
            self.brought += 1
            print(f"{after.name}: {after.status}, run {after.run_id}")
            if after.parent:
                sweeps[after.parent] = after
            elif "bnexp.sweep" in after.tags:
                sweeps[after.run_id] = after
        for run_id, facts in sweeps.items():
            self._finish(run_id, facts)

    def _bring(self, folder: Path, facts: Facts) -> Facts | None:
        from bnexp.attempts import deliver

        return deliver(folder, lambda: self._store(self._uri or facts.uri, facts.experiment))

    def _connect(self, uri: str, experiment: str) -> "TrackingStore":
        from bnexp.tracking_store import TrackingStore

        return TrackingStore(uri, experiment, self._runs)

    def _finish(self, run_id: str, facts: Facts) -> None:
        """Puts a sweep's jobs side by side again, now that more of them are there."""
        from bnexp.sweep import Sweep

        try:
            parent = self._store(self._uri or facts.uri, facts.experiment).client.get_run(run_id)
            if parent.info.status == "RUNNING":
                return  # it does so itself
            status = parent.info.status
            # no Exception, for that would make it FAILED
            killed = SystemExit(parent.data.tags.get("bnexp.error")) if status == "KILLED" else None
            sweep = Sweep.reopen(run_id, uri=self._uri or facts.uri, experiment=facts.experiment, status=status)
            lost = sweep.finish(killed)
            print(f"{parent.info.run_name}: table of its jobs made anew, {len(lost)} did not finish")
        except Exception as error:
            self.failed += 1
            print(f"sweep {run_id}: its table could not be made ({explain(error) or first_line(error)})")


def options_of(arguments: list[str]) -> Mapping[str, str]:
    """Reads `key=value` arguments.

    Raises:
        UserError: a key that there is not.
    """
    options = dict(argument.partition("=")[::2] for argument in arguments)
    for key in options:
        if key != "tracking.uri" or not options[key]:
            raise UserError(f"{key}={options[key]}: must be tracking.uri=URI.\n\n{HELP}")
    return options


def main() -> None:
    """Runs the command line; ends with status 0 only if nothing is left to bring."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(HELP)
        return
    try:
        sync = Sync(RUNS, options_of(sys.argv[1:]).get("tracking.uri", ""))
        sync.run()
    except UserError as error:
        exit_with(error)
    print(f"{sync.brought} brought, {sync.alive} still running, {sync.failed} not brought")
    if sync.failed:
        exit_with("not everything could be brought. It is kept; run python -m bnexp.sync again.")


if __name__ == "__main__":
    main()
