"""The decorator of every component, and where its pod runs.

A step is a Lightweight Python Component whose body imports this package, so that KFP's local runner, which knows no
other kind, runs it as a subprocess; on a cluster the package is in the image. Nothing is installed when a step starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from kfp import dsl, kubernetes
from kfp.dsl import PipelineTask

from pipelines.release import FROM_CHART, Kind, Release, Resources

# KFP's local runner runs none, and warns about images without "python" in their name.
LOCAL_IMAGE = "sindbad/pipelines:local-python3.11"
CPU, GPU, TRAIN = Kind.CPU, Kind.GPU, Kind.TRAIN

_RELEASE: ContextVar[Release | None] = ContextVar("release", default=None)


def step(function: Callable[..., Any]) -> Any:
    """Make ``function`` a component of Sindbad's pipeline image."""
    return dsl.component(function, base_image=LOCAL_IMAGE, packages_to_install=[], install_kfp_package=False)


@contextmanager
def beside(release: Release) -> Iterator[None]:
    """A pipeline that is made in here is placed beside ``release``."""
    token = _RELEASE.set(release)
    try:
        yield
    finally:
        _RELEASE.reset(token)


def place(task: PipelineTask, kind: Kind, *, index: bool = False) -> PipelineTask:
    """Ask for image, resources, nodes, volumes and a Kueue queue; for nothing where there is no release to run beside.

    ``index``: the step writes the search index; nobody else gets that volume.
    """
    release = _RELEASE.get()
    if release is None:
        return task
    task.set_container_image(release.image)
    kubernetes.set_image_pull_policy(task, release.values.image.pullPolicy)
    if secrets := release.values.image.pullSecrets:
        kubernetes.set_image_pull_secrets(task, list(secrets))
    _resources(task, release.values.pipeline.steps[kind], release.values.pipeline.poolLabel)
    for volume in ("runs", "weights", *(["index"] if index else [])):
        claim, path = release.claim(volume)
        kubernetes.mount_pvc(task, pvc_name=claim, mount_path=path)
    kubernetes.use_config_map_as_env(
        task, config_map_name=release.config_map, config_map_key_to_env={name: name for name in FROM_CHART}
    )
    if release.queue:
        kubernetes.add_pod_label(task, label_key="kueue.x-k8s.io/queue-name", label_value=release.queue)
    kubernetes.add_pod_label(task, label_key="sindbad.dev/client", label_value="true")
    return task


def _resources(task: PipelineTask, asked: Resources, pool_label: str) -> None:
    task.set_cpu_request(asked.cpu).set_cpu_limit(asked.cpu)
    task.set_memory_request(asked.memory).set_memory_limit(asked.memory)
    if asked.gpus:
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(asked.gpus)
        kubernetes.add_toleration(task, key="nvidia.com/gpu", operator="Exists", effect="NoSchedule")
        kubernetes.empty_dir_mount(task, volume_name="shm", mount_path="/dev/shm", medium="Memory")
    if asked.pool:
        kubernetes.add_node_selector(task, label_key=pool_label, label_value=asked.pool)
