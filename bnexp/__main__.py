"""`python -m bnexp [key=value ...]`: one tracked run, or with -m a sweep."""

import sys


def main() -> None:
    """Runs the command line; the exit status is 0 only if every run finished."""
    # imported where they are needed, so that --help does not wait for Hydra
    match sys.argv[1:]:
        case ["--help" | "-h"]:
            from bnexp.cli.help import manual

            print(manual())
            return
        case ["--help" | "-h", "machines"]:
            from bnexp.cli.machines import MACHINES

            print(MACHINES)
            return
        case ["--help" | "-h", "metrics"]:
            from bnexp.cli.metrics import METRICS

            print(METRICS)
            return
    from bnexp.cli.main import run_command

    run_command()


if __name__ == "__main__":
    main()
