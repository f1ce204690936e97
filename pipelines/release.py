"""A release of the chart as a compiled pipeline sees it: the image of its steps, their volumes, the nodes they ask for.

Read from the chart's own values, with the user's files laid over them as Helm lays them, so that a pipeline names the
objects of exactly the release that it is to run beside. Their names are made twice, here and in the chart's templates
(`storage.yaml`, `pipeline.yaml`, `queue.yaml`); tests/chart holds the two together. Nothing asks a cluster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from pipelines.digest import ROOT
from sindbad.configuration import read_mapping, resolve
from sindbad.errors import InvalidInput

_NAME = re.compile(r"(?=.{1,53}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?")
CHART = ROOT / "charts" / "sindbad"
NAME = "sindbad"
"""What `skaffold run` calls the release, and the README."""
IMAGE_NAME = "pipelines"
RUNS_PATH = "/runs"
"""Where the chart mounts the runs claim unless told otherwise."""
FROM_CHART = ("SINDBAD_SERVICES", "SINDBAD_WEIGHTS_ROOT", "SINDBAD_INDEX_ROOT")
"""Keys of the ConfigMap, and the variables that a step gets them as."""


class Kind(StrEnum):
    """What a step does, and so where it runs."""

    CPU = "cpu"
    """Data, merges, evaluation through the services."""
    GPU = "gpu"
    """A model generates or is compressed."""
    TRAIN = "train"
    """A model is trained."""


class _Values(BaseModel):
    """Fields have the names that they have in the chart's YAML."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class Image(_Values):
    """Of the services and the steps."""

    registry: str
    tag: str = ""
    pullPolicy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    pullSecrets: tuple[str, ...] = ()


class Claim(_Values):
    """A volume that pods share."""

    mountPath: str
    existingClaim: str = ""
    create: bool = True
    size: str = ""
    storageClassName: str = ""
    accessModes: tuple[str, ...] = ()


class Resources(_Values):
    """Resources of a kind of step, as requests and limits at once."""

    pool: str
    """Value of the pool label that a node must have; "" for any node."""
    cpu: str
    memory: str
    gpus: int


class Queue(_Values):
    """Kueue's LocalQueue."""

    enabled: bool
    name: str
    """"" is the release's name."""
    clusterQueue: str


class PipelineValues(_Values):
    """What steps ask for."""

    poolLabel: str
    steps: dict[Kind, Resources]
    queue: Queue


class Auth(_Values):
    """Secrets of the services."""

    tokenSecret: str = ""
    controlTokenSecret: str = ""
    tlsSecret: str = ""


class Values(_Values):
    """All keys of the chart's values; those that steps depend on in detail."""

    image: Image
    weights: Claim
    index: Claim
    runs: Claim
    pipeline: PipelineValues
    auth: Auth
    networkPolicy: Any = None
    quantize: Any = None
    harness: Any = None
    monitoring: Any = None
    scheduling: Any = None
    services: Any = None


@dataclass(frozen=True, slots=True)
class Release:
    """A release by name, with its values. ``image``: of the steps, as a container runtime takes it."""

    name: str
    values: Values
    image: str

    def claim(self, volume: str) -> tuple[str, str]:
        """The claim of "weights", "index" or "runs", and where it is mounted."""
        values: Claim = getattr(self.values, volume)
        return values.existingClaim or f"{self.name}-{volume}", values.mountPath

    @property
    def config_map(self) -> str:
        """Where services, weights and index are, for steps."""
        return f"{self.name}-pipeline"

    @property
    def queue(self) -> str:
        """The LocalQueue that admits the steps; "" where none does."""
        asked = self.values.pipeline.queue
        return (asked.name or self.name) if asked.enabled else ""

    def need_open_services(self) -> None:
        """Raise InvalidInput where services refuse the steps, which bring neither token nor certificate."""
        auth = self.values.auth
        if asked := [name for name in ("tokenSecret", "tlsSecret") if getattr(auth, name)]:
            named = ", ".join(f"auth.{name}" for name in asked)
            raise InvalidInput(f"the release's services ask for what the pipeline's steps do not bring: {named}")

    def told(self) -> str:
        """One line about what the release must hold."""
        claims = ", ".join(self.claim(volume)[0] for volume in ("runs", "weights", "index"))
        queued = f", Kueue's queue {self.queue}" if self.queue else ""
        return f"release {self.name}: image {self.image}, ConfigMap {self.config_map}, claims {claims}{queued}"


def read_release(name: str = NAME, files: Sequence[Path] = (), *, image: str = "") -> Release:
    """The chart's values with ``files`` laid over them in order, as `helm install NAME -f FILE` does.

    Args:
        image: of the steps, instead of the one that the values name.

    Raises:
        InvalidInput: ``name`` can be no release; a file is not there, is no mapping, or has a key that the chart has
            not.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{name!r} is no name of a Helm release: small letters, digits and hyphens, at most 53")
    values: Mapping[str, Any] = read_mapping(CHART / "values.yaml")
    for file in files:
        values = laid_over(values, read_mapping(file))
    source = ", ".join(map(str, files)) or "charts/sindbad/values.yaml"
    read = resolve(Values, {key: value for key, value in values.items() if key != "global"}, source=source)
    if missing := set(Kind) - set(read.pipeline.steps):
        raise InvalidInput(f"{source}: pipeline.steps has no {', '.join(sorted(missing))}")
    return Release(name, read, image or f"{read.image.registry}/{IMAGE_NAME}:{read.image.tag or _app_version()}")


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``over`` on top of ``base`` by Helm's rules: maps are merged, null takes a key away, all else is replaced."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = laid_over(merged[key], value)
        else:
            merged[key] = value
    return merged


def run_in_cluster(run: str) -> Path:
    """The folder of a run as the steps see it: a bare name lies on the runs claim. Raises InvalidInput."""
    if "/" not in run and run not in ("", ".", ".."):
        return Path(RUNS_PATH) / run
    if not run.startswith("/"):
        raise InvalidInput(f"{run!r} is no folder that steps see: give a bare name (below {RUNS_PATH}) or a whole path")
    return Path(run)


def _app_version() -> str:
    return str(yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))["appVersion"])
