"""From settings to an engine: the one place that knows which engines exist. Loads neither torch nor vLLM by itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sindbad.engines.protocol import Engine
from sindbad.engines.transformers_engine import TransformersEngine, TransformersEngineSettings
from sindbad.engines.vllm_engine import VllmEngine, VllmEngineSettings

EngineSettings = Annotated[TransformersEngineSettings | VllmEngineSettings, Field(discriminator="kind")]


def create_engine(settings: TransformersEngineSettings | VllmEngineSettings) -> Engine:
    """An engine that is not started and holds no model yet.

    Raises:
        EngineFailure: the engine's library is not installed.
    """
    if isinstance(settings, VllmEngineSettings):
        return VllmEngine(settings)
    return TransformersEngine(settings)
