"""Train the small local judge: ``python -m sindbad.judging.train_local --output DIR``.

A tiny LFM2 learns to say whether two names are the same, from pairs that are made up on the way. Covered: identical
names in frames, case, punctuation, Arabic marks, against close but different names, in English and Arabic. Not covered:
anything a judge would have to know or reason about. Its card reports how far it agrees with the rule.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from sindbad import atomic
from sindbad.agent.chat import plain_chat, user_turn_ids
from sindbad.judging.exact import ExactJudge
from sindbad.judging.llm import SMALL, LlmJudge
from sindbad.judging.measure import JudgeReport, LabelledCase, measure
from sindbad.judging.synthetic import answer_cases

CHECKPOINT_STEPS = 100
print_now = functools.partial(print, flush=True)
REPLIES = {True: "yes", False: "no"}


class JudgeTraining(BaseModel):
    """The run that made the committed judge; the defaults fit two CPU-minutes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(default=1_900, ge=1)
    """Steps; the learning rate falls over them. The default takes about two CPU-minutes."""
    batch: int = Field(default=32, ge=1)
    """Pairs a step."""
    learning_rate: float = Field(default=3e-3, gt=0)
    """AdamW's peak."""
    copying: float = Field(default=0.3, ge=0)
    """Weight of the language-model loss on right answers: predicting a repeated name is how comparing it is learnt."""
    hidden_size: int = 64
    """Width; a multiple of 32."""
    layers: int = 4
    """Convolution and attention blocks in turn."""
    inner_size: int = 128
    """Width of the feed-forward layers."""
    seed: int = 0
    """Seed of weights and pairs."""
    held_out: int = Field(default=2_000, ge=1)
    """Fresh pairs for the card."""


def new_judge(config: JudgeTraining, tokenizer: Any) -> Any:
    """An untrained ``Lfm2ForCausalLM``, float32."""
    from sindbad.translation.small_models import SmallModelConfig, new_model

    shape = SmallModelConfig(hidden_size=config.hidden_size, layers=config.layers, inner_size=config.inner_size)
    return new_model(shape, tokenizer, seed=config.seed)


def encode(cases: Sequence[LabelledCase], tokenizer: Any) -> tuple[Any, Any, Any]:
    """(ids_BT, copied_BT, reply_BT), right-padded; the masks weigh the tokens that are to be *predicted*.

    Copied are right answers in the prompt; everything else there cannot be predicted and would only add noise. Of a
    reply the first token is the decision and weighs 1, the others 0.2.
    """
    import torch

    chat = plain_chat(tokenizer)
    rows = []
    for case in cases:
        text = SMALL.render(case.request)
        prompt = user_turn_ids(tokenizer, text)
        reply = [*chat.encode_text(REPLIES[case.correct]), chat.end_of_turn_id]
        answer = len(chat.encode_text(text)) - len(chat.encode_text(text.partition("\n")[0] + "\n"))
        rows.append((prompt, reply, answer if case.correct else 0))
    longest = max(len(prompt) + len(reply) for prompt, reply, _ in rows)
    closing = len(user_turn_ids(tokenizer, "")) - user_turn_ids(tokenizer, "").index(chat.end_of_turn_id)
    ids_BT = torch.full((len(rows), longest), int(tokenizer.pad_token_id))
    copied_BT, reply_BT = torch.zeros(len(rows), longest), torch.zeros(len(rows), longest)
    for index, (prompt, reply, answer) in enumerate(rows):
        end = len(prompt) + len(reply)
        ids_BT[index, :end] = torch.tensor([*prompt, *reply])
        copied_BT[index, len(prompt) - closing - answer : len(prompt) - closing] = 1
        reply_BT[index, len(prompt)] = 1
        reply_BT[index, len(prompt) + 1 : end] = 0.2
    return ids_BT, copied_BT, reply_BT


def loss_of(model: Any, batch: tuple[Any, Any, Any], copying: float) -> Any:
    """Mean negative log-likelihood of the replies, plus ``copying`` times that of the right answers."""
    import torch.nn.functional as functional

    ids_BT, copied_BT, reply_BT = batch
    logits_BTV = model(input_ids=ids_BT).logits[:, :-1]
    nll_BT = functional.cross_entropy(logits_BTV.transpose(1, 2).float(), ids_BT[:, 1:], reduction="none")
    reply = (nll_BT * reply_BT[:, 1:]).sum() / reply_BT[:, 1:].sum()
    copied = (nll_BT * copied_BT[:, 1:]).sum() / copied_BT[:, 1:].sum().clamp(min=1)
    return reply + copying * copied


def train(
    config: JudgeTraining, tokenizer: Any, *, checkpoints: Path | None = None, say: Callable[[str], None] | None = None
) -> Any:
    """The trained model. Pairs are drawn afresh for every step, as a function of seed and step.

    A training that was killed goes on from the newest of ``checkpoints``. Raises InvalidInput for those of another
    configuration.
    """
    import torch

    from sindbad.training.checkpoint import latest_checkpoint, restore, save_checkpoint
    from sindbad.training.subject import SUBJECT, check_subject, settings_digest, weights_digest

    model = new_judge(config, tokenizer)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=0.01)
    started, shown, first = time.process_time(), math.nan, 0
    settings = settings_digest(config.model_dump(mode="json", exclude={"held_out"}))
    subject = {"settings": settings, "base model": weights_digest(model)}
    if checkpoints is not None and (found := latest_checkpoint(checkpoints)) is not None:
        check_subject(found, subject)
        restore(found, model, optimiser)
        first, shown = found.step, float(found.state["loss"])
    for step in range(first, config.steps):
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * _schedule(step, step / config.steps)
        cases = answer_cases(config.batch, seed=config.seed * 1_000_003 + step + 1)
        loss = loss_of(model, encode(cases, tokenizer), config.copying)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        shown = 0.98 * shown + 0.02 * float(loss.detach()) if step else float(loss.detach())
        if say is not None and step % 100 == 99:
            say(f"step {step + 1}/{config.steps}: loss {shown:.3f}, {time.process_time() - started:.0f} CPU-s")
        if checkpoints is not None and step % CHECKPOINT_STEPS == CHECKPOINT_STEPS - 1:
            save_checkpoint(checkpoints, step + 1, model, optimiser, {"loss": shown, SUBJECT: subject})
    return model


def _schedule(step: int, done: float) -> float:
    """50 steps of warm-up, then a cosine from 1 to a tenth."""
    return min(1.0, (step + 1) / 50) * (0.1 + 0.45 * (1 + math.cos(math.pi * done)))


async def evaluate(model_dir: Path, cases: Sequence[LabelledCase]) -> JudgeReport:
    """The saved judge beside the rule, through the engine that serves it."""
    from sindbad.agent.chat import ChatTokenizer
    from sindbad.agent.prompts import load_prompts
    from sindbad.engines.transformers_engine import TransformersEngine

    engine = TransformersEngine()
    await engine.start()
    try:
        await engine.load(model_dir, 1)
        chat = ChatTokenizer.from_dir(model_dir, load_prompts("demo"))
        return await measure(ExactJudge(), LlmJudge(engine, chat, SMALL), cases)
    finally:
        await engine.close()


def card(config: JudgeTraining, report: JudgeReport, parameters: int) -> str:
    """MODEL_CARD.md."""
    agreed = report.agreement
    return f"""# The small local judge

An LFM2 with {parameters:,} parameters that says "yes" or "no" to two names, gold and answer, one a line. Made by
`python -m sindbad.judging.train_local` from a seed ({config.seed}), {config.steps} steps of {config.batch} pairs.
It stands in for a judge model on a laptop, however weak; it knows nothing but whether two names are the same.

On {report.cases} fresh pairs, half of them right, English and Arabic:

| | |
|---|---|
| accuracy of the rule (normalised exact match) | {report.rule_accuracy:.3f} |
| accuracy of this model | {report.model_accuracy:.3f} |
| wrong answers that it accepts | {report.model_accepts_wrong:.3f} |
| right answers that it rejects | {report.model_rejects_right:.3f} |
| agreement of the two | {agreed.rate:.3f} |
| Cohen's kappa | {agreed.kappa:.3f} |
| right by the rule only / by the model only | {agreed.only_exact} / {agreed.only_llm} |
| replies that are no verdict | {agreed.unparsed} |

Pairs that the rule gets wrong by design: the right name inside other words ("the city of Tavel"). The model is lenient
where two names share their beginning, so let it decide alone nowhere that matters: the service's default is the rule.

One seed. Loss, batch size and steps were chosen among six trial runs, by accuracy on other pairs than those above (0.71
to 0.84 there). Two runs of one recipe with 1,289 and 1,300 steps gave 0.80 and 0.71: a retrained judge may differ.
"""


def save(model: Any, tokenizer: Any, output: Path, note: str) -> None:
    """Write a model folder atomically: weights in bfloat16, tokenizer, card."""
    import torch

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent) as temporary:
        folder = Path(temporary) / "model"
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (folder / "MODEL_CARD.md").write_text(note, encoding="utf-8")
        for file in folder.iterdir():
            file.chmod(0o644)  # safetensors writes files that only their owner may read
        atomic.replace_dir(folder, output)


def run(
    config: JudgeTraining,
    output: Path,
    *,
    checkpoints: Path | None = None,
    say: Callable[[str], None] | None = print_now,
) -> JudgeReport:
    """Train (or go on from ``checkpoints``), save, measure through the engine, and write the card with the figures."""
    from sindbad.demo.tokenizer import build_tokenizer

    tokenizer = build_tokenizer()
    model = train(config, tokenizer, checkpoints=checkpoints, say=say)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    save(model, tokenizer, output, "")
    report = asyncio.run(evaluate(output, answer_cases(config.held_out, seed=-1_001 - config.seed)))
    atomic.write_text(output / "MODEL_CARD.md", card(config, report, parameters))
    return report


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "demo" / "models" / "judge")
    parser.add_argument("--steps", type=int, default=JudgeTraining().steps)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoints", type=Path, help="a killed training goes on from this folder")
    chosen = parser.parse_args()
    config = JudgeTraining(steps=chosen.steps, seed=chosen.seed)
    report = run(config, chosen.output, checkpoints=chosen.checkpoints)
    print(report.to_record())


if __name__ == "__main__":
    main()
