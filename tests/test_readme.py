"""Every command in README is run: here, by the test that is named here, or by .ci/run; and its Python runs too."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import readme_commands
from small import run_here, store

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()

# what needs a machine of its own, or is run by a test that looks closer
ELSEWHERE = {
    "python3 -m venv .venv && . .venv/bin/activate && python -m pip install -e . && python -m bnexp": "the next, and here",
    "python3 -m venv .venv && . .venv/bin/activate && python -m pip install -e '.[test]' && python -m pytest": ".ci/run",
    "python -m pip install -e '.[cuda]'": "needs a GPU",
    "python -m pip install -e '.[joblib]'": "'.[test]' brings it",
    "python -m bnexp -m hydra/launcher=joblib hydra.launcher.n_jobs=2 seed=0,1,2,3,4,5,6,7": "sweep/test_launchers.py",
    "python -m mlflow ui --backend-store-uri sqlite:///runs/mlflow.db": "conftest.Server starts MLflow's server",
    "python -m bnexp -m seed=0,1 steps=20000 resume=true": "sweep/test_parent.py",
    "python -m pip install -e '.[bench]' && python -m tests.bench --data mnist.npz": "test_bench.py",
    "python tests/kill_sweep.py": "sweep/test_parent.py",
    "python -m bnexp restore=RUN_ID final_pass=layerwise": "record/test_restore.py",
    "python -m bnexp variant._target_=mine.Norm": "test_your_own_batch_norm",
    "python -m bnexp variant._target_=mine.batch_norm": "test_your_own_batch_norm",
    "python -m bnexp variant._target_=mine.Norm2d": "test_your_own_batch_norm",
    "python -m ruff check . && python -m ruff format --check .": ".ci/run",
    "python -m mypy": ".ci/run",
    "python -m pytest -m 'not slow'": ".ci/run runs them all",
    "python -m pytest -n0 tests/graph/test_layer.py": ".ci/run runs them all",
}


def commands():
    """Returns README's commands, as they are written, comments apart: those in blocks, then those in sentences."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.strip().splitlines()]
    sentences = re.sub(r"```.*?```", "", README, flags=re.DOTALL)
    return list(dict.fromkeys([*lines, *(m.replace("\n", " ") for m in re.findall(r"`(python [^`]*)`", sentences))]))


def here():
    return [command for command in commands() if command not in ELSEWHERE]


def test_every_command_is_run_somewhere():
    assert set(ELSEWHERE) <= set(commands())
    for command in here():
        for part in command.split(" && "):
            assert re.match(r"python -m bnexp(\.\w+)?( |$)", part), part
    for where in ELSEWHERE.values():
        assert not where.endswith(".py") or (ROOT / "tests" / where).exists(), where


@pytest.mark.slow
def test_the_commands_do_what_they_say(folder):
    """In one process and in README's order, so that what is compared was run; sweeps with fewer jobs."""
    store(folder)
    line = [sys.executable, readme_commands.__file__, *(part for command in here() for part in command.split(" && "))]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert all(line.startswith("report: ") for line in done.stderr.splitlines()), done.stderr
    assert (folder / "runs" / "comparison.html").stat().st_size > 1_000_000
    assert (folder / "table.csv").read_text().startswith("variant,")
    assert "| tflearn | " in done.stdout
    assert "0 sent, 0 still running, 0 not sent" in done.stdout


def python_blocks():
    """Returns README's Python: the module mine.py, and what follows it."""
    mine, code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    return mine, code


def test_the_python_runs_as_it_is_written():
    _, code = python_blocks()
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    trace = names["trace"]
    assert trace.moving_mean.shape == trace.moving_variance.shape == (110, 3)
    assert trace.train_outputs.shape == (100, 8, 3)
    assert trace.inference_outputs.shape == (10, 1, 3)


@pytest.mark.parametrize(
    ("layer", "verdict", "engine"),
    [
        ("Norm", "healthy", "compiled"),
        ("batch_norm", "wrong_recurrence", "session"),
        ("Norm2d", "leaks_at_inference", "session"),
    ],
)
def test_your_own_batch_norm(folder, monkeypatch, capsys, layer, verdict, engine):
    """README's three layers run as they stand, with the verdicts that README shows."""
    (folder / "mine.py").write_text(python_blocks()[0])
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    small = ("steps=150", "network.widths=[16]", "optimizer=sgd")
    result = run_here(folder, f"variant._target_=mine.{layer}", *small)
    said = capsys.readouterr().out
    assert result.verdict == verdict, said
    assert ("engine=session: your layer does not run in compiled loops" in said) == (engine == "session")
    # the sentence without its figures, which are of this smaller run
    shown = README.partition("## Your own batch norm")[2].replace("\n", " ")
    told = re.search(rf"^{verdict}: (.*)$", said, re.MULTILINE)[1]
    assert re.split(r"[0-9]", told)[0] in shown
