"""One folder under vLLM: run by :mod:`sindbad.quantize.throughput` with vLLM's own interpreter, a process a folder.

Writes one JSON object: output tokens a second (median over rounds, warm), and the token ids of the first round, so that
the caller can compare folders. Token ids in and out: no tokenizer is needed. Imports nothing of Sindbad.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import time
from typing import Any


def start(folder: str, config: dict[str, Any], dtype: str, threads: int) -> Any:
    """vLLM over ``folder``, as Sindbad's own engine starts it (see sindbad/engines/vllm_engine.py for the reasons)."""
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    from vllm import LLM

    lfm2 = config["model_type"] == "lfm2"  # vLLM reads two sizes that transformers' configuration leaves out
    return LLM(
        hf_overrides={key: config["hidden_size"] for key in ("conv_dim", "block_dim")} if lfm2 else None,
        model=folder, skip_tokenizer_init=True, enforce_eager=True, dtype=dtype, max_model_len=192,
        max_num_seqs=32, seed=0, enable_prefix_caching=False,
        compilation_config={"custom_ops": ["all", "-rotary_embedding"]},
    )  # fmt: skip


def measure(llm: Any, prompts: int, tokens: int, rounds: int, vocabulary: int) -> dict[str, Any]:
    """Greedy outputs of random prompts of 64 tokens."""
    from vllm import SamplingParams

    chance = random.Random(0)
    asked = [{"prompt_token_ids": [chance.randrange(4, vocabulary) for _ in range(64)]} for _ in range(prompts)]
    sampling = SamplingParams(temperature=0.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    outputs = llm.generate(asked, sampling, use_tqdm=False)
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        llm.generate(asked, sampling, use_tqdm=False)
        rates.append(prompts * tokens / (time.perf_counter() - started))
    ids = [list(output.outputs[0].token_ids) for output in outputs]
    return {"tokens_per_second": statistics.median(rates), "outputs": ids}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--out", required=True, help="file to write")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", default="bfloat16", help="of what is not in eight bits")
    arguments = parser.parse_args()
    with open(os.path.join(arguments.folder, "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    llm = start(arguments.folder, config, arguments.dtype, arguments.threads)
    found = measure(llm, arguments.prompts, arguments.tokens, arguments.rounds, config["vocab_size"])
    with open(arguments.out, "w", encoding="utf-8") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
