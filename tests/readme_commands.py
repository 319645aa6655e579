"""README's commands, one after the other in one process, each with a network and a training as small as can be.

python tests/readme_commands.py COMMAND ...        in the folder where runs/ shall be
"""

import runpy
import shlex
import sys

# what comes last on a command line wins
SMALL = ("steps=20", "network.widths=[4]", "batch_size=10", "optimizer=sgd")
SMALL_CNN = ("steps=20", "network.filters=[3]", "batch_size=10", "optimizer=sgd")
FEWER_JOBS = {
    "decay=": "decay=0.9",
    "seed=": "seed=0",
    "experiment=": "decay=0.9",
    "variant=glob(*)": "variant=glob(tf*)",
    "variant=update_ops,": "variant=update_ops,contrib_twin",
    "variant=contrib,": "variant=ema",
}


def run(command: str) -> None:
    """Runs `python -m MODULE ...` in this process, and raises SystemExit as it would end."""
    _, _, module, *arguments = shlex.split(command, comments=True)
    if module == "bnexp" and not {"--help", "--cfg"} & set(arguments):
        sweeps = [text for given, text in FEWER_JOBS.items() if any(a.startswith(given) for a in arguments)]
        arguments += [
            *(SMALL_CNN if "network=cnn" in arguments else SMALL),
            *sweeps * ("variant=contrib" not in arguments),
        ]
    sys.argv = [module, *arguments]
    name = f"{module}.__main__" if module in ("bnexp", "bnexp.compare") else module
    runpy.run_module(name, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    for command in sys.argv[1:]:
        print("$", command, flush=True)
        try:
            run(command)
        except SystemExit as end:
            if end.code:
                raise
