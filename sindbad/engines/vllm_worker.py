"""Runs inside vLLM's worker processes: swapping weights, with the repair that vLLM 0.32's CPU build needs.

After any reload of a model with tied embeddings the CPU backend goes on with the old, packed copy of the language-model
head ("ParallelLMHead: Failed to load weights" is only a log line): log-probabilities were off by up to 0.69. Packing
the head again makes them exact; an untied model must not be packed twice.
"""

from __future__ import annotations

from typing import Any


class SwapExtension:
    """Mixed into the worker by ``worker_extension_cls``; method names must not clash with the worker's own."""

    def sindbad_swap_weights(self, path: str) -> None:
        """Load the checkpoint at ``path``, which the caller has checked: a bad one kills the engine."""
        worker: Any = self
        worker.reload_weights(weights_path=path)
        config = worker.model_runner.model_config.hf_config
        if getattr(config, "tie_word_embeddings", False) and worker.device.type == "cpu":
            self._pack_head(worker)

    @staticmethod
    def _pack_head(worker: Any) -> None:
        import torch
        from vllm.config import set_current_vllm_config

        model = worker.model_runner.get_model()
        head = getattr(model, "lm_head", None)
        if head is None or getattr(head, "quant_method", None) is None:
            return
        with torch.no_grad(), set_current_vllm_config(worker.vllm_config):
            head.quant_method.process_weights_after_loading(head)
