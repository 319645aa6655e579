"""Seeds are averaged, and nothing else is."""

import statistics

import pytest
from fakes import fake_run

from bnexp.compare.table import compare
from bnexp.errors import UserError


def test_seeds_are_averaged_with_spread_and_n():
    accuracies = [0.5, 0.7, 0.9]
    comparison = compare([fake_run(i, seed=i, accuracy=value) for i, value in enumerate(accuracies)])
    (row,) = comparison.table.to_dict("records")
    assert row["n"] == 3
    assert row["accuracy"] == pytest.approx(0.7)
    assert row["accuracy +-"] == pytest.approx(statistics.stdev(accuracies))
    assert comparison.title == "3 runs that differ in nothing but the seed"


def test_runs_that_differ_in_another_key_are_kept_apart_and_it_is_named():
    runs = [fake_run(i, variant=variant, steps=steps, seed=seed) for i, (variant, steps, seed) in enumerate(
        [("ema", 30, 0), ("ema", 30, 1), ("ema", 60, 0), ("keras", 30, 0)])]  # fmt: skip
    comparison = compare(runs, by=["variant"])
    assert comparison.keys == ["variant", "steps"]
    assert list(comparison.table["n"]) == [2, 1, 1]
    assert comparison.notes == ["Runs equal in variant also differ in steps: they are kept apart, not averaged."]


def test_by_decides_on_the_first_columns():
    runs = [
        fake_run(i, variant=variant, decay=decay) for i, (variant, decay) in enumerate([("ema", 0.9), ("keras", 0.5)])
    ]
    assert compare(runs).keys == ["variant", "decay"]
    assert compare(runs, by=["decay", "network"]).keys == ["decay", "network", "variant"]


def test_seed_in_by_averages_nothing():
    comparison = compare([fake_run(i, seed=i) for i in range(3)], by=["seed"])
    assert list(comparison.table["seed"]) == ["0", "1", "2"]
    assert not comparison.averaged


def test_an_unknown_by_is_told_with_its_neighbours():
    with pytest.raises(UserError, match=r"by=\[vriant\]: no run has such a param\. Take variant"):
        compare([fake_run()], by=["vriant"])


def test_rows_stand_by_size_of_their_keys():
    runs = [fake_run(i, decay=decay) for i, decay in enumerate([0.999, 0.5, 0.99])]
    assert list(compare(runs).table["decay"]) == ["0.5", "0.99", "0.999"]


@pytest.mark.parametrize(
    ("sort", "order"), [("accuracy", "bca"), ("-accuracy", "acb"), ("variant", "abc"), ("-variant", "cba")]
)
def test_sort_reorders_rows_with_their_runs(sort, order):
    runs = [
        fake_run(i, variant=variant, accuracy=value)
        for i, (variant, value) in enumerate(zip("abc", (0.9, 0.1, 0.5), strict=True))
    ]
    comparison = compare(runs, sort=sort)
    assert "".join(comparison.table["variant"]) == order
    assert "".join(row[0].params["variant"] for row in comparison.rows) == order
    assert comparison.label(0) == order[0]


def test_what_cannot_be_sorted_stands_last_whichever_way():
    runs = [
        fake_run(i, variant=variant, accuracy=value)
        for i, (variant, value) in enumerate([("a", float("nan")), ("b", 0.1), ("c", 0.2)])
    ]
    assert [list(compare(runs, sort=sort).table["variant"])[-1] for sort in ("accuracy", "-accuracy")] == ["a", "a"]


def test_an_unknown_sort_is_told():
    with pytest.raises(UserError, match=r"sort=-acuracy: the table has no such column\. Take accuracy"):
        compare([fake_run()], sort="-acuracy")


def test_a_run_that_was_repeated_is_shown_once_the_newest():
    runs = [fake_run(1, accuracy=0.1), fake_run(2, accuracy=0.2), fake_run(0, accuracy=0.3)]
    comparison = compare(runs)
    assert [[run.run_id for run in row] for row in comparison.rows] == [[f"{2:032x}"]]
    (note,) = comparison.notes
    assert note == (
        "2 runs repeat the params and the seed of a newer one, which alone is shown: run 1, run 0. "
        "Its figures changed: run 1, run 0."
    )


def test_of_equal_runs_one_that_trained_is_kept_before_a_restored_one():
    comparison = compare([fake_run(1), fake_run(2, restore="0" * 32)])
    assert comparison.rows[0][0].run_id == f"{1:032x}"


def test_unfinished_runs_are_in_no_row():
    runs = [fake_run(0), fake_run(1, status="FAILED", seed=1), fake_run(2, status="RUNNING", seed=2)]
    comparison = compare(runs)
    assert [run.status for run in comparison.unfinished] == ["FAILED", "RUNNING"]
    assert list(comparison.table["n"]) == [1]


def test_nothing_finished_is_an_empty_table():
    comparison = compare([fake_run(0, status="FAILED")], sort="accuracy", by=["variant"])
    assert len(comparison.table) == 0
    assert comparison.title == "no finished run"


def test_seeds_that_disagree_are_all_heard():
    runs = [fake_run(0, seed=0), fake_run(1, seed=1, verdict="lagging", tags={"bnexp.cure": "more steps"})]
    (row,) = compare(runs).table.to_dict("records")
    assert row["verdict"] == "healthy; lagging"
    assert row["cure"] == "what helps; more steps"


def test_a_metric_that_a_seed_lacks_has_no_mean():
    lacking = fake_run(1, seed=1)
    del lacking.metrics["test/flips"]
    (row,) = compare([fake_run(0), lacking]).table.to_dict("records")
    assert row["flips"] != row["flips"]
    assert row["accuracy"] == 0.9


def test_labels_tell_rows_apart():
    comparison = compare([fake_run(0, variant="ema", decay=0.9), fake_run(1, variant="keras", decay=0.5)])
    assert [comparison.label(row) for row in range(2)] == ["ema · 0.9", "keras · 0.5"]
    assert compare([fake_run(0)]).label(0) == "ema"
    assert compare([fake_run(0)]).title == "1 run"
