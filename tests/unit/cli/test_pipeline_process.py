"""What a pipeline that stopped says: the step's own words, not KFP's and not a library's."""

from __future__ import annotations

from sindbad.cli.pipeline_process import first_error

LIBRARY = [
    "    Traceback (most recent call last):",
    '      File "x.py", line 1, in x',
    "    OSError: no network",
    "    ",
]
CHAIN = ["    The above exception was the direct cause of the following exception:", "    "]
OURS = [
    "    Traceback (most recent call last):", '      File "y.py", line 2, in y',
    "    sindbad.errors.NotFound: the set cannot be read: no network; give local files", "    ",
]  # fmt: skip
RUNNER = [
    "ERROR - Task failed",
    "Traceback (most recent call last):",
    '  File "kfp.py", line 3',
    "RuntimeError: a task",
]


def test_our_own_error_is_its_message_alone() -> None:
    assert first_error(["step", *OURS, *RUNNER]) == ["the set cannot be read: no network; give local files"]


def test_of_a_chain_the_last_one_speaks() -> None:
    assert first_error([*LIBRARY, *CHAIN, *OURS, *RUNNER]) == ["the set cannot be read: no network; give local files"]


def test_somebody_elses_error_shows_where_it_came_from_and_the_runner_s_is_left_out() -> None:
    assert first_error([*LIBRARY, *RUNNER]) == LIBRARY[:3]


def test_without_a_traceback_the_last_lines_are_shown() -> None:
    assert first_error([str(number) for number in range(30)]) == [str(number) for number in range(20, 30)]
