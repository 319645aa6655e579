"""The benchmark's own arithmetic, and that it finds out who does other work; nothing is timed here."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from bench.agreement import STEPS, WorksDifferently, check_losses, check_moments, check_outputs
from bench.contenders import ENTRIES, Entry
from bench.exact import exact
from bench.floor import Machine, forward, training_step
from bench.peers import Timing
from bench.problem import make_problem, synthetic
from bench.report import Results
from bench.scale import Curve
from bench.targets import Row, against_peers
from bench.timing import Clock, Ratio, interleaved, ratio
from rich.console import Console

COUNT = 40


@pytest.fixture(scope="module", params=["mlp", "cnn"])
def work(request):
    """A small problem with bnexp's weights, and bnexp's contender."""
    problem = make_problem(request.param, synthetic(200, COUNT), steps=STEPS, batch_size=16)
    (own,) = (entry for entry in ENTRIES if entry.name == "bnexp")
    contender = own.make(problem)
    return problem.starting_from(contender.state()), contender


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")  # fvcore asks for it
@pytest.mark.parametrize("module", sorted({entry.module for entry in ENTRIES if entry.name != "bnexp"}))
def test_everybody_does_bnexp_s_work(work, module):
    problem, own = work
    entry = next(entry for entry in ENTRIES if entry.module == module)
    if not entry.installed:
        pytest.skip(f"{entry.needs} is not installed: pip install -e '.[bench]'")
    own.load(problem.state)
    expected = own.train(STEPS)
    trained = own.state()
    peer = entry.make(problem)
    peer.load(problem.state)
    check_losses(entry.name, peer.train(STEPS), expected, block=peer.block, kinks=problem.network == "cnn")
    peer.load(trained)
    own.load(trained)
    check_outputs(entry.name, peer.predict(COUNT), own.predict(COUNT))
    kinds = [kind for kind in ("precise_bn", "paper") if kind in entry.works]
    # whole batches: update_bn gives a shorter last one as much weight as the others
    for kind in kinds if find_spec("fvcore") else kinds[1:]:
        check_moments(entry.name, peer.final_pass(kind, 96), exact(problem, trained, kind, 96))


@pytest.mark.parametrize("kind", ["precise_bn", "paper"])
def test_bnexp_s_final_passes_are_those_of_float64(work, kind):
    problem, own = work
    own.load(problem.state)
    expected = exact(problem, problem.state, kind, 100)
    distance = check_moments("bnexp", own.final_pass(kind, 100), expected)
    assert distance > 0  # it is float32 that is compared, not the same numbers
    other = exact(problem, problem.state, {"precise_bn": "paper", "paper": "precise_bn"}[kind], 100)
    with pytest.raises(WorksDifferently, match="differ from float64's"):
        check_moments("bnexp", own.final_pass(kind, 100), other)


@pytest.mark.slow
def test_another_epsilon_is_other_work(work):
    problem, own = work
    own.load(problem.state)
    expected = own.train(STEPS)
    entry = next(entry for entry in ENTRIES if entry.module == "session_run")
    peer = entry.make(replace(problem, epsilon=1e-2))
    peer.load(problem.state)
    with pytest.raises(WorksDifferently, match="training losses differ"):
        check_losses("other", peer.train(STEPS), expected, kinks=problem.network == "cnn")


def test_losses_known_in_blocks_are_compared_in_blocks():
    losses = np.linspace(2.3, 1.3, 45)
    means = losses[:40].reshape(-1, 20).mean(1).repeat(20)
    assert check_losses("blocks", means, losses, block=20) < 1e-12
    with pytest.raises(WorksDifferently):
        check_losses("blocks", means, losses)
    with pytest.raises(WorksDifferently, match="no 50 steps"):
        check_losses("blocks", means, losses, block=50)


def test_nan_is_no_agreement():
    losses = np.full(STEPS, 2.3)
    with pytest.raises(WorksDifferently):
        check_losses("diverged", np.where(np.arange(STEPS) > 40, np.nan, losses), losses)


def test_rounds_take_turns(monkeypatch):
    monkeypatch.setattr("bench.timing.REST", 0)
    order = []
    tasks = {name: lambda name=name: order.append(name) or float(len(order)) for name in "abc"}
    measured = interleaved(tasks, 3)
    assert order == list("abcbcacab")
    assert measured["a"] == [1.0, 6.0, 8.0]


def test_ratios_are_of_medians_and_spread_over_rounds():
    assert ratio([2, 9, 4], [1, 3, 1]) == Ratio(4.0, 2.0, 4.0)


def timing(family, seconds, amount=100):
    return Timing(family, amount, [Clock(value, 2 * value) for value in seconds], 1.0, 0.0)


def test_a_target_speaks_of_a_family_s_best():
    timings = {
        "bnexp": timing("bnexp", [1.0, 1.0]),
        "slow": timing("PyTorch", [4.0, 4.0]),
        "fast": timing("PyTorch", [2.0, 2.0]),
        "fewer": timing("JAX", [1.0, 2.0], amount=50),
    }
    rows = {row.against: row for row in against_peers("training", timings, {"PyTorch": 2.5})}
    assert rows["PyTorch"].measured.median == 2.0
    assert rows["PyTorch"].met is False
    assert (rows["JAX"].measured.low, rows["JAX"].measured.high) == (2.0, 4.0)
    assert rows["JAX"].met is None


def test_at_most_is_met_from_below():
    assert Row("memory", "", Ratio(1.5, 1, 2), 1.5, "<=").met
    assert not Row("memory", "", Ratio(1.6, 1, 2), 1.5, "<=").met


def test_the_floor_counts_products_by_hand():
    assert forward("mlp", 60).flops == 2 * 60 * (784 * 100 + 100 * 100 * 2 + 100 * 10)
    convolutions = 784 * 9 * 16 + 196 * 144 * 32 + 49 * 288 * 32
    assert forward("cnn", 1).flops == 2 * (convolutions + 320)
    # backward twice as much, but for the images' own gradient
    assert training_step("mlp", 60).flops == 3 * forward("mlp", 60).flops - 2 * 60 * 784 * 100
    assert forward("mlp", 1).seconds(Machine(gemm=1e9, copy=1e30)) == forward("mlp", 1).flops / 1e9


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_exponents_are_those_of_the_largest_sizes(power):
    sizes = [10, 100, 1000, 10_000]
    costs = [50 + size**power for size in sizes]
    assert Curve("", "", "", sizes, [size**power for size in sizes]).exponent == pytest.approx(power)
    assert Curve("", "", "", sizes, costs).exponent < power


def test_results_are_written_whole(tmp_path):
    results = Results({"date": "today"})
    timings = {"bnexp": timing("bnexp", [1.0]), "other": timing("PyTorch", [2.0])}
    rows = against_peers("training", timings, {"PyTorch": 3.0})
    results.add(Console(quiet=True), rows, "training", timings)
    results.curves.append(Curve("training", "steps", "seconds", [1, 10, 100], [1.0, 2.0, 3.0]))
    results.write(tmp_path)
    written = json.loads((tmp_path / "bench.json").read_text())
    assert written["rows"][0]["measured"]["median"] == 2.0
    assert written["rows"][0]["met"] is False
    assert written["timings"]["training"]["other"]["clocks"] == [{"seconds": 2.0, "cpu": 4.0}]
    page = (tmp_path / "bench.html").read_text()
    assert "missed" in page
    assert page.count("<img") == 2
    assert "http" not in page.replace("http://www.w3.org", "")


def test_names_are_unique_and_shares_of_work_sensible():
    for network in ("mlp", "cnn"):
        names = [entry.name for entry in ENTRIES if network in entry.networks]
        assert len(names) == len(set(names))
    assert all(0 < entry.share <= 1 for entry in ENTRIES)
    assert not Entry("x", "x", "own", "no_such_package").installed
