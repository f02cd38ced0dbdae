"""Progress: a bar on a terminal, plain lines elsewhere, nothing when asked for nothing."""

import itertools

import pytest

from soco_datasets.errors import UsageError
from soco_datasets.utils import progress as module
from soco_datasets.utils.progress import progress, progress_bar, progress_mode, quiet


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by `clock.step` seconds whenever it is read."""

    class Clock:
        step = 1.0
        now = 0.0

        def monotonic(self):
            self.now += self.step
            return self.now

    one = Clock()
    monkeypatch.setattr(module, "time", one)
    monkeypatch.delenv("SOCO_PROGRESS", raising=False)
    return one


def test_short_work_prints_no_line(capsys, monkeypatch):
    monkeypatch.delenv("SOCO_PROGRESS", raising=False)
    assert list(progress(range(5), "Matching", total=5)) == [0, 1, 2, 3, 4]
    assert capsys.readouterr().err == ""


def test_long_work_prints_a_line_for_each_tenth(capsys, clock):
    clock.step = 0.3
    list(progress(range(1000), "Matching", total=1000, unit="image"))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("Matching: 100 of 1,000 images, ")
    assert "left" in lines[0]
    assert lines[-1].startswith("Matching: 1,000 of 1,000 images, ")
    assert "left" not in lines[-1]


def test_slow_work_prints_a_line_a_minute_and_never_two_within_the_interval(capsys, clock):
    clock.step = 31.0
    list(progress(range(100), "Matching", total=10_000))
    every_minute = capsys.readouterr().err.splitlines()
    assert 30 <= len(every_minute) <= 52
    clock.step = 1.0
    with progress_bar("Matching", 10, interval=30) as advance:
        for _ in range(10):
            advance(1)
    assert capsys.readouterr().err == ""  # a tenth each second, but ten seconds in all


def test_work_within_work_prints_nothing_of_its_own(capsys, clock):
    with progress_bar("All", 3) as advance:
        for _ in range(3):
            assert sum(progress(range(100), "Part", total=100)) == 4950
            advance(1)
    assert "Part" not in capsys.readouterr().err


def test_names_with_control_characters_are_cleaned(capsys, clock):
    list(progress(range(100), "a\x1b[2Jb", total=100))
    assert "\x1b" not in capsys.readouterr().err


def test_unknown_totals_print_counts(capsys, clock):
    assert next(iter(progress(itertools.count(), "Reading"))) == 0
    list(progress(iter(range(500)), "Reading", unit="row"))
    lines = capsys.readouterr().err.splitlines()
    assert lines
    assert all(line.startswith("Reading: ") and " of " not in line for line in lines)


@pytest.mark.parametrize(("value", "mode"), [("bar", "bar"), ("1", "bar"), ("lines", "lines"), ("none", "none")])
def test_the_environment_decides(monkeypatch, value, mode):
    monkeypatch.setenv("SOCO_PROGRESS", value)
    assert progress_mode() == mode
    with quiet():
        assert progress_mode() == "none"
    assert progress_mode() == mode


def test_a_wrong_value_is_named(monkeypatch):
    monkeypatch.setenv("SOCO_PROGRESS", "loud")
    with pytest.raises(UsageError, match="SOCO_PROGRESS is 'loud'"):
        progress_mode()
