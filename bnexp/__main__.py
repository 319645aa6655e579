"""`python -m bnexp [key=value ...]`: one tracked run, or with -m a sweep."""

import sys


def main() -> None:
    """Runs the command line; ends with status 0 only if every run finished."""
    # each where it is needed: who asks for help need not wait for Hydra
    if sys.argv[1:] in (["--help"], ["-h"]):
        from bnexp.manual import manual

        print(manual())
        return
    from bnexp.command import run_command

    run_command()


if __name__ == "__main__":
    main()
