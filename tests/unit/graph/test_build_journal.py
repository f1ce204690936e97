"""A build killed anywhere goes on without asking again, and ends with the graph of one that was never interrupted."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from sindbad.agent.trajectory import EnvironmentKind
from sindbad.demo.world import World
from sindbad.errors import Corrupt, DeadlineExceeded, InvalidInput, Unavailable
from sindbad.graph.build import BuildBudget, BuildResult, build_graph
from sindbad.graph.build_journal import BuildJournal
from sindbad.graph.extraction import Extraction, ParserExtractor
from sindbad.graph.knowledge import RelationInfo
from sindbad.retrieval import index
from sindbad.tools.environment import Observation, Scope, ToolCall, ToolSpec
from sindbad.tools.simulated import simulated_environment
from sindbad.tools.toolbox import Toolbox

HEADER = {"environment": "simulated", "corpus": "w"}


class Killed(Exception):
    """Stands for the end of the process: nothing after it runs."""


class Counting:
    """The environment behind a count of what is asked; from call ``die_at`` on the process is gone, or tools fail."""

    def __init__(self, inner: Toolbox, die_at: int = 0, *, fail_from: int = 0) -> None:
        self._inner, self._die_at, self._fail_from = inner, die_at, fail_from
        self.asked: list[str] = []

    @property
    def kind(self) -> EnvironmentKind:
        return self._inner.kind

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self._inner.tools

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        if self._die_at and len(self.asked) + 1 >= self._die_at:
            raise Killed
        self.asked.append(json.dumps([call.name, call.arguments, scope.language]))
        if self._fail_from and len(self.asked) >= self._fail_from:
            raise Unavailable("the service is gone")
        return await self._inner.call(call, scope, deadline_seconds=deadline_seconds)


class CountingExtractor:
    """The parser, posing as a model that costs something."""

    signature = "model:test"

    def __init__(self) -> None:
        self._parser = ParserExtractor(("en", "ar"))
        self.read: list[str] = []

    async def extract(self, text: str, *, language: str) -> Extraction:
        self.read.append(text)
        found = await self._parser.extract(text, language=language)
        return Extraction(found.entities, found.facts, calls=1)

    def inverse_queries(self, name: str, entity_type: str, language: str) -> list[str]:
        return self._parser.inverse_queries(name, entity_type, language)

    def fits(self, relation: str, subject_type: str, object_type: str) -> bool:
        return self._parser.fits(relation, subject_type, object_type)

    def relation_info(self, relation: str) -> RelationInfo | None:
        return None

    async def close(self) -> None:
        await self._parser.close()


async def build(
    tools: Counting, world: World, journal: BuildJournal | None, extractor: CountingExtractor, **limits: object
) -> BuildResult:
    budget = BuildBudget.model_validate({"max_nodes": 24, "search": 0.3, "width": 3, **limits})
    seeds, scope = [world.entities[0].names["en"]], Scope(world.world_id, "en")
    return await build_graph(tools, seeds, scope, budget, extractor=extractor, seed=4, journal=journal)


@pytest.mark.parametrize("die_at", [1, 2, 9, 20, 40])
async def test_killed_at_any_call_it_resumes_to_the_same_graph_and_repeats_nothing_that_was_finished(
    environment: Toolbox, world: World, tmp_path: Path, die_at: int
) -> None:
    whole, once = Counting(environment), CountingExtractor()
    expected = await build(whole, world, None, once)
    path = tmp_path / "journal.jsonl"
    first, reader = Counting(environment, die_at), CountingExtractor()
    with pytest.raises(Killed), BuildJournal(path, HEADER) as journal:
        await build(first, world, journal, reader)
    finished = path.read_bytes().count(b'"ok": true')
    path.write_bytes(path.read_bytes() + b'{"k": "half a li')  # killed while it wrote
    second, again = Counting(environment), CountingExtractor()
    with BuildJournal(path, HEADER) as journal:
        result = await build(second, world, journal, again)
    assert list(result.graph.to_records()) == list(expected.graph.to_records())
    assert result.report == expected.report
    assert len(second.asked) == len(whole.asked) - finished
    assert Counter(second.asked) <= Counter(whole.asked)
    read_by_both = Counter(reader.read) + Counter(again.read)
    assert sum((read_by_both - Counter(once.read)).values()) <= 3  # those in flight when it died


async def test_a_finished_build_is_repeated_from_its_journal_alone_and_a_larger_one_asks_only_for_more(
    environment: Toolbox, world: World, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    with BuildJournal(path, HEADER) as journal:
        await build(Counting(environment), world, journal, CountingExtractor())
    tools, extractor = Counting(environment, die_at=1), CountingExtractor()
    with BuildJournal(path, HEADER) as journal:
        await build(tools, world, journal, extractor)
    assert not extractor.read
    fresh = Counting(environment)
    await build(fresh, world, None, CountingExtractor(), max_nodes=30)
    tools = Counting(environment)
    with BuildJournal(path, HEADER) as journal:
        await build(tools, world, journal, CountingExtractor(), max_nodes=30)
    assert 0 < len(tools.asked) < 0.8 * len(fresh.asked)


async def test_tools_that_go_down_end_the_build_with_what_it_has_and_a_restart_asks_them_again(
    environment: Toolbox, world: World, tmp_path: Path
) -> None:
    path, limits = tmp_path / "journal.jsonl", {"patience": 3, "call_attempts": 2}
    expected = await build(Counting(environment), world, None, CountingExtractor(), **limits)
    with BuildJournal(path, HEADER) as journal:
        part = await build(Counting(environment, fail_from=15), world, journal, CountingExtractor(), **limits)
    assert part.report.stopped == "tools"
    assert part.report.gave_up >= 3
    assert 0 < len(part.graph) < len(expected.graph)
    with BuildJournal(path, HEADER) as journal:
        whole = await build(Counting(environment), world, journal, CountingExtractor(), **limits)
    assert list(whole.graph.to_records()) == list(expected.graph.to_records())
    with pytest.raises(Unavailable):
        await build(Counting(environment, fail_from=15), world, None, CountingExtractor())
    with pytest.raises(Unavailable, match="start their service"):
        await build(Counting(environment, fail_from=1), world, None, CountingExtractor(), **limits)


class Hanging(Counting):
    """After so many calls, English pages and searches never come back."""

    def __init__(self, inner: Toolbox, after: int) -> None:
        super().__init__(inner)
        self._after = after

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        if scope.language == "en" and len(self.asked) >= self._after:
            await asyncio.Event().wait()
        return await super().call(call, scope, deadline_seconds=deadline_seconds)


async def test_seconds_that_end_inside_a_round_give_up_its_calls_and_more_of_them_give_the_whole_graph(
    environment: Toolbox, world: World, tmp_path: Path
) -> None:
    expected = await build(Counting(environment), world, None, CountingExtractor())
    path = tmp_path / "journal.jsonl"
    async with asyncio.timeout(30):
        with BuildJournal(path, HEADER) as journal:
            slow = Hanging(environment, after=12)
            part = await build(slow, world, journal, CountingExtractor(), max_seconds=1.0)
    assert part.report.stopped == "seconds"
    assert 0 < len(part.order) < len(expected.order)
    assert set(part.order) <= set(expected.order)
    with BuildJournal(path, HEADER) as journal:
        whole = await build(Counting(environment), world, journal, CountingExtractor(), max_seconds=600)
        assert journal.reused >= 12
    assert list(whole.graph.to_records()) == list(expected.graph.to_records())
    assert whole.report == expected.report
    with pytest.raises(DeadlineExceeded, match="give more"):
        await build(Hanging(environment, after=0), world, None, CountingExtractor(), max_seconds=0.1)


class ArabicDown(Counting):
    """Only Arabic pages fail, all of them."""

    async def call(self, call: ToolCall, scope: Scope, *, deadline_seconds: float) -> Observation:
        if scope.language == "ar":
            self.asked.append("ar")
            raise Unavailable("the service is gone")
        return await super().call(call, scope, deadline_seconds=deadline_seconds)


async def test_what_other_languages_cost_does_not_change_why_growth_ended_unless_the_tools_are_down(
    environment: Toolbox, world: World
) -> None:
    counted = await build(Counting(environment), world, None, CountingExtractor(), max_nodes=300, max_calls=110)
    assert counted.report.searches + counted.report.visits > 110
    assert counted.report.stopped == "exhausted"
    down = ArabicDown(environment)
    limits = {"patience": 3, "call_attempts": 1}
    ended = await build(down, world, None, CountingExtractor(), **limits)
    assert ended.report.stopped == "tools"
    assert down.asked.count("ar") < len(ended.graph)  # it was given up, not tried for every page


async def test_pages_that_do_not_exist_are_answers_and_not_tools_that_are_down(world: World, tmp_path: Path) -> None:
    index.build(world.pages("en"), tmp_path / "index")
    english = simulated_environment(tmp_path / "index")
    budget = BuildBudget(max_nodes=12, patience=3)
    seeds, scope = [world.entities[0].names["en"]], Scope(world.world_id, "en")
    tools = Counting(english)
    result = await build_graph(tools, seeds, scope, budget, languages=("en", "ar"))
    await english.close()
    assert result.report.stopped != "tools"
    assert result.report.missing_pages == {"ar": len(result.graph)}
    assert (result.report.no_page, result.report.failures) == (len(result.graph), 0)
    visits = [asked for asked in tools.asked if "visit" in asked]
    assert len(set(visits)) == len(visits)  # none of them was tried again


def test_a_journal_of_another_build_or_in_use_or_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with BuildJournal(path, HEADER) as journal:
        journal.keep({"x": 1}, "a")
        with pytest.raises(InvalidInput, match="another build"):
            BuildJournal(path, HEADER)
    with pytest.raises(InvalidInput, match="belongs to another"):
        BuildJournal(path, {**HEADER, "corpus": "other"})
    path.write_bytes(path.read_bytes() + b"nonsense\n")
    with pytest.raises(Corrupt, match="no line of this journal"):
        BuildJournal(path, HEADER)


def test_a_build_that_came_to_nothing_claims_no_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with BuildJournal(path, HEADER) as journal:
        journal.keep_failure({"x": 1}, "a")
    with BuildJournal(path, {**HEADER, "corpus": "other"}) as journal:
        journal.keep({"x": 2}, "b")
    with pytest.raises(InvalidInput, match=r"corpus 'other', not .* --fresh"):
        BuildJournal(path, HEADER)


def test_failures_are_kept_once_something_succeeds_and_forgotten_when_nothing_does(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with BuildJournal(path, HEADER) as journal:
        journal.keep_failure({"ok": False}, "a")
        journal.keep({"ok": True}, "b")
        journal.keep_failure({"ok": False}, "c")
    with BuildJournal(path, HEADER) as journal:
        assert journal.find("a") == {"ok": False}
        assert journal.find("b") == {"ok": True}
        assert journal.find("c") is None
        assert journal.reused == 2
