"""HALA step 5: SFT of the base on the translated instructions and trajectories; loss on the assistant's words only."""

from __future__ import annotations

from sindbad.training.configuration import SFTConfig

SETTINGS = SFTConfig


def finetune(stage_json: str, base_path: str, data_path: str, model_path: str, page_path: str) -> dict[str, float]:
    """Train (or resume), write the tuned folder and the loss curve."""
    from pathlib import Path

    from pipelines.artifacts import metrics_page, training_paths
    from pipelines.stage import running
    from sindbad.agent.store import read
    from sindbad.training.card import card, parts_of_data, parts_of_model, together
    from sindbad.training.examples import examples_of_conversations, examples_of_trajectories, read_conversations
    from sindbad.training.sft import load_causal_lm, run_sft, save_model_folder

    with running(stage_json, base_path, data_path) as stage:
        config = stage.parse(SETTINGS)
        examples = list(examples_of_trajectories(read(Path(data_path) / "trajectories"), max_length=config.max_length))
        instructions = Path(data_path) / "instructions.jsonl"
        if instructions.is_file():
            from transformers import AutoTokenizer

            tokenizer = AutoTokenizer.from_pretrained(base_path, local_files_only=True)
            conversations = read_conversations(instructions)
            examples += list(examples_of_conversations(tokenizer, conversations, max_length=config.max_length))
        held_out = examples[:: max(2, len(examples) // 64)]
        chosen = set(map(id, held_out))
        training = [example for example in examples if id(example) not in chosen]
        stage.say(f"{len(training)} examples, {sum(map(len, training)):,} tokens")
        model = load_causal_lm(base_path)
        paths = training_paths(stage)

        def progress(step: int, steps: int, loss: float) -> None:
            if step == steps or step % 25 == 0:
                stage.say(f"step {step}/{steps}, loss {loss:.3f}")

        result = run_sft(config, model, training, paths, validation=held_out, on_progress=progress)
        parts = together(
            ("base model", Path(base_path).name, parts_of_model(Path(base_path))),
            ("data set", Path(data_path).name, parts_of_data(Path(data_path) / "dataset")),
        )
        said = card(stage.name, "Supervised fine-tuning on translated instructions, in a pipeline.", parts)
        save_model_folder(model, Path(base_path), Path(model_path), card=said)
        metrics_page(
            paths.metrics, Path(page_path), "SFT", {"loss": "training loss", "validation_loss": "held-out loss"}
        )
        return {
            "steps": result.steps,
            "tokens": result.tokens,
            "loss": result.loss,
            "validation_loss": result.validation_loss,
            "validation_accuracy": result.validation_accuracy,
            "dropped": result.dropped,
        }
