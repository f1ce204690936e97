"""Configuration of the translators' training. Needs no torch: recipes resolve it without loading one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sindbad.configuration import Input
from sindbad.training.configuration import OptimiserConfig, SFTConfig
from sindbad.translation.prompts import PromptStyle
from sindbad.translation.small_models import LIGHT, SmallModelConfig
from sindbad.weights.folder import check_full_folder

_OPTIMISER = OptimiserConfig(lr=4e-3, betas=(0.9, 0.98), weight_decay=0.01, warmup_steps=50, min_lr_fraction=0.05)


class LightConfig(BaseModel):
    """The light translator of the demo."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: SmallModelConfig = LIGHT
    """Shape, when it starts from nothing."""
    start_from: Annotated[Path | None, Input(check_full_folder, "name another folder, or null to start anew")] = None
    """A model folder to fine-tune instead (HALA starts from LFM2-1.2B)."""
    style: PromptStyle = PromptStyle.LIGHT
    """Prompt of training and inference."""
    sft: SFTConfig = SFTConfig(optimiser=_OPTIMISER, steps=900, batch_size=16, validate_every=300)
    """The supervised run; 900 steps of 16 take about a minute on one core."""
    held_back: int = Field(default=64, ge=0)
    """Pairs kept for the validation loss."""
