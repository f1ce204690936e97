"""lighteval's own Arabic tasks, with the raw accuracy beside the normalised one and, if wanted, with local data.

Loaded by lighteval (``--custom-tasks``) in its environment, never by us; told what to do by a JSON text in
SINDBAD_HARNESS_PLAN. Prompt functions, options and metrics are those of the registered configurations.
"""

from __future__ import annotations

import copy
import json
import os
from typing import Any

import lighteval.tasks.multilingual.tasks.arabic as arabic  # type: ignore[import-not-found]
from lighteval.metrics.metrics import Metrics  # type: ignore[import-not-found]

PLAN = json.loads(os.environ["SINDBAD_HARNESS_PLAN"])


def _raw_metric() -> Any:
    """Accuracy by the sum of log-probabilities, under a name of its own: the normalised one is called ``acc`` too."""
    metric = copy.deepcopy(Metrics.loglikelihood_acc.value)
    metric.metric_name = PLAN["raw_metric"]
    return metric


def _asked(config: Any) -> Any:
    made = copy.deepcopy(config)
    made.metrics = (*made.metrics, _raw_metric())
    if PLAN["repository"] is not None:
        made.hf_repo = PLAN["repository"]
        made.hf_avail_splits = made.evaluation_splits
        made.few_shots_split = made.few_shots_select = None
    return made


_REGISTERED = {config.name: config for config in arabic.TASKS_TABLE}
TASKS_TABLE = [_asked(_REGISTERED[name]) for name in PLAN["tasks"]]
