"""Which params keep runs apart, and which say nothing."""

from fakes import fake_run

from bnexp.compare.keys import canonical, differing, rank, same_in_all


def test_what_differs_comes_in_the_order_of_a_table():
    runs = [
        fake_run(final_pass="none", decay=0.9, variant="ema"),
        fake_run(final_pass="paper", decay=0.99, variant="keras"),
    ]
    assert differing(runs) == ["variant", "decay", "final_pass"]


def test_the_seed_is_no_key():
    assert differing([fake_run(seed=0), fake_run(seed=1)]) == []


def test_equal_numbers_are_equal_however_they_are_written():
    assert differing([fake_run(learning_rate="0.001"), fake_run(learning_rate="1e-3")]) == []
    assert canonical("0.10") == canonical(".1") != canonical("a")


def test_a_param_that_comes_with_its_group_is_no_key_of_its_own():
    # the optimizer's file brings its learning rate, the dataset's its size
    runs = [
        fake_run(optimizer="adam", learning_rate=0.01, dataset="digits", dataset__size=1),
        fake_run(optimizer="sgd", learning_rate=0.1, dataset="mnist", dataset__size=2),
    ]
    assert differing(runs) == ["dataset", "optimizer"]


def test_a_param_that_differs_within_its_group_is_one():
    runs = [fake_run(learning_rate=0.01), fake_run(learning_rate=0.1)]
    assert differing(runs) == ["learning_rate"]


def test_the_repetition_of_a_key_is_none():
    assert differing([fake_run(decay=0.9), fake_run(decay=0.99)]) == ["decay"]
    # unless it says something else
    assert differing([fake_run(decay=0.9), fake_run(decay=0.99, variant__decay=0.5)]) == ["variant.decay", "decay"]


def test_a_param_that_some_runs_lack_differs():
    assert differing([fake_run(), fake_run(new=3)]) == ["new"]


def test_where_a_run_is_kept_does_not_matter():
    runs = [fake_run(tracking__uri="a", restore="None"), fake_run(tracking__uri="b", restore="c" * 32)]
    assert differing(runs) == []
    assert "tracking.uri" not in same_in_all(runs)


def test_numbers_sort_by_size_and_before_words():
    assert sorted(["ten", "10", "9", "1e-3", "", "nan"], key=rank) == ["1e-3", "9", "10", "", "nan", "ten"]


def test_what_is_the_same_is_told_once_and_without_its_parts():
    runs = [fake_run(decay=0.9), fake_run(decay=0.99)]
    same = same_in_all(runs)
    assert "decay" not in same
    assert "variant.decay" not in same
    assert list(same.items())[:2] == [("dataset", "digits"), ("network", "mlp")]
