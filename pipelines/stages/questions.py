"""WebSailor-V2 §3: a graph built through the tools, random-walk subgraphs, verified questions in both languages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from sindbad.questions.mixture import SynthesisConfig


class QuestionsSettings(BaseModel):
    """What is asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    train: SynthesisConfig = SynthesisConfig()
    """Questions of a training world."""
    test: SynthesisConfig = SynthesisConfig()
    """Questions of a held-out world."""
    seed: int = 0
    """Of graph building and walks."""


SETTINGS = QuestionsSettings


async def synthesise_all(stage_json: str, encyclopedia_path: str, train_path: str, test_path: str) -> dict[str, float]:
    """Write both question files, and the graphs and rejected candidates below the run."""
    import time
    from pathlib import Path

    from pipelines.crew import addresses
    from pipelines.encyclopedia import read_encyclopedia
    from pipelines.stage import running
    from sindbad.clients import ToolClient
    from sindbad.graph.build import build_graph
    from sindbad.languages import LANGUAGES, get_pack
    from sindbad.questions.question import Question
    from sindbad.questions.store import check_disjoint, save_questions, save_rejected
    from sindbad.questions.synthesis import Topologies, synthesise
    from sindbad.tools.environment import Scope

    with running(stage_json, encyclopedia_path) as stage:
        settings, worlds = stage.parse(QuestionsSettings), read_encyclopedia(Path(encyclopedia_path))
        packs, topologies = [get_pack(language) for language in LANGUAGES], Topologies()
        kept: dict[str, list[Question]] = {"train": [], "test": []}
        rejected, nodes, edges, degrees, started = [], 0, 0, [], time.monotonic()
        tools = ToolClient(addresses(stage.run, "search"), top_k=10)
        try:
            for split in ("train", "test"):
                config = getattr(settings, split).model_copy(update={"split": split})
                for world in worlds.worlds(split):
                    first = world.name(world.entities[0].entity_id, "en")
                    built = await build_graph(tools, [first], Scope(world.world_id, "en"), seed=settings.seed)
                    made = synthesise(
                        built.graph, world.world_id, packs, config, settings.seed + world.seed, topologies=topologies
                    )
                    built.graph.save(stage.folder("graph") / f"{world.world_id}.jsonl")
                    kept[split] += made.questions
                    rejected += made.rejected
                    degrees.append(made.mean_degree)
                    nodes, edges = nodes + len(built.graph.entities), edges + len(built.graph.edges)
                stage.say(f"{split}: {len(kept[split])} questions, {time.monotonic() - started:.0f} s")
        finally:
            await tools.close()
        # Names are drawn afresh in every world, so now and then two worlds word a question alike.
        known = {question.text for question in kept["train"]}
        fresh = [question for question in kept["test"] if question.text not in known]
        if len(fresh) < len(kept["test"]):
            stage.say(f"test: {len(kept['test']) - len(fresh)} left out, worded like a training question")
        kept["test"] = fresh
        check_disjoint(kept["train"], kept["test"])
        save_questions(train_path, kept["train"])
        save_questions(test_path, kept["test"])
        save_rejected(stage.folder("questions") / "rejected.jsonl", rejected)
        return {
            "train": len(kept["train"]), "test": len(kept["test"]), "rejected": len(rejected), "nodes": nodes,
            "edges": edges, "mean_subgraph_degree": sum(degrees) / max(1, len(degrees)),
        }  # fmt: skip
