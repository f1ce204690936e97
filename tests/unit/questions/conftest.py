"""A world behind the real simulated environment, the graph read from it, and questions about it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sindbad.demo.world import World, build_world
from sindbad.graph.build import build_graph
from sindbad.graph.knowledge import KnowledgeGraph
from sindbad.languages import LanguagePack, get_pack
from sindbad.questions import SynthesisConfig, SynthesisReport, UncertaintyConfig, synthesise
from sindbad.retrieval import index
from sindbad.tools.environment import Scope
from sindbad.tools.simulated import simulated_environment
from sindbad.tools.toolbox import Toolbox


@pytest.fixture(scope="session")
def world() -> World:
    return build_world(11, 60)


@pytest.fixture(scope="session")
def environment(world: World, tmp_path_factory: pytest.TempPathFactory) -> Toolbox:
    folder: Path = tmp_path_factory.mktemp("questions") / "index"
    index.build([page for language in ("en", "ar") for page in world.pages(language)], folder)
    return simulated_environment(folder)


@pytest.fixture(scope="session")
def graph(world: World, environment: Toolbox) -> KnowledgeGraph:
    scope = Scope(world.world_id, "en")
    return asyncio.run(build_graph(environment, [world.entities[0].names["en"]], scope)).graph


@pytest.fixture(scope="session")
def packs() -> list[LanguagePack]:
    return [get_pack("en"), get_pack("ar")]


@pytest.fixture(scope="session")
def report(graph: KnowledgeGraph, world: World, packs: list[LanguagePack]) -> SynthesisReport:
    return synthesise(graph, world.world_id, packs, SynthesisConfig(), 0)


@pytest.fixture(scope="session")
def uncertain(graph: KnowledgeGraph, world: World, packs: list[LanguagePack]) -> SynthesisReport:
    config = SynthesisConfig(uncertainty=UncertaintyConfig(semantic=1.0, distractor=0.6))
    return synthesise(graph, world.world_id, packs, config, 1)
