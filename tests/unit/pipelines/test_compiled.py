"""The compiled pipeline: what Kubeflow is asked for, and that its Kubernetes form is valid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.local import compile_pipeline, load_pipeline
from pipelines.mission import STAGES
from pipelines.release import read_release

TRAINING = {"exec-tune", "exec-grpo", "exec-grpo-2", "exec-base-agent"}
ON_GPUS = TRAINING | {"exec-teacher-translator", "exec-compress-teacher", "exec-light-translator"}


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    path = tmp_path_factory.mktemp("ir") / "build" / "mission.yaml"
    assert compile_pipeline("mission", path) == "sindbad-mission"
    return list(yaml.safe_load_all(path.read_text("utf-8")))


@pytest.fixture(scope="module")
def containers(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Every step's container by executor."""
    executors = documents[0]["deploymentSpec"]["executors"]
    return {name: executor["container"] for name, executor in executors.items()}


@pytest.fixture(scope="module")
def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What kfp-kubernetes adds to every step's pod."""
    executors: dict[str, dict[str, Any]] = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return executors


def test_it_is_one_pipeline_and_its_platform_with_a_task_a_stage(documents: list[dict[str, Any]]) -> None:
    spec, platform = documents
    assert spec["pipelineInfo"]["name"] == "sindbad-mission"
    assert set(platform) == {"platforms"}
    assert len(spec["root"]["dag"]["tasks"]) == len(STAGES)
    assert set(spec["root"]["inputDefinitions"]["parameters"]) == {f"{name}_stage" for name in STAGES} | {
        "encyclopedia_uri"
    }


def test_who_reads_the_worlds_or_asks_the_search_service_comes_after_the_index(
    documents: list[dict[str, Any]],
) -> None:
    tasks = documents[0]["root"]["dag"]["tasks"]

    def before(name: str) -> set[str]:
        direct = set(tasks[name].get("dependentTasks", []))
        return direct.union(*(before(other) for other in direct))

    first = {"index-encyclopedia"}
    independent = {"teacher-translator", "compress-teacher", "base-agent"}
    assert {name for name in tasks if "index-encyclopedia" not in before(name)} == first | independent


def test_training_asks_for_gpus_and_nothing_else_does(containers: dict[str, dict[str, Any]]) -> None:
    counts = {
        name: int(container["resources"]["accelerator"]["resourceCount"])
        for name, container in containers.items()
        if "accelerator" in container["resources"]
    }
    assert set(counts) == ON_GPUS
    assert {counts[name] for name in TRAINING} == {8}
    kinds = {containers[name]["resources"]["accelerator"]["resourceType"] for name in ON_GPUS}
    assert kinds == {"nvidia.com/gpu"}


def test_every_step_names_its_node_pool_queue_volumes_and_the_charts_services(
    containers: dict[str, dict[str, Any]], pods: dict[str, dict[str, Any]]
) -> None:
    assert set(pods) == set(containers)
    for name, pod in pods.items():
        pool = "gpu" if name in ON_GPUS else "cpu"
        assert pod["nodeSelector"]["labels"] == {"sindbad.dev/pool": pool}, name
        mounts = {(mount["constant"], mount["mountPath"]) for mount in pod["pvcMount"]}
        index = {("sindbad-index", "/index")} if name == "exec-index-encyclopedia" else set()
        assert mounts == {("sindbad-runs", "/runs"), ("sindbad-weights", "/weights")} | index
        (table,) = pod["configMapAsEnv"]
        wanted = {"SINDBAD_SERVICES", "SINDBAD_WEIGHTS_ROOT", "SINDBAD_INDEX_ROOT"}
        assert {item["envVar"] for item in table["keyToEnv"]} == wanted
        assert pod["podMetadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "sindbad"
        assert ("tolerations" in pod) == (name in ON_GPUS)


def test_steps_install_nothing_when_they_start(containers: dict[str, dict[str, Any]]) -> None:
    for container in containers.values():
        assert "pip install" not in " ".join(container["command"])
        assert container["image"].startswith("ghcr.io/sindbad/pipelines:")


def test_nothing_is_imported_from_a_path(documents: list[dict[str, Any]]) -> None:
    """Kubeflow's importer takes URIs of object stores only; folders of the runs claim are parameters."""
    executors = documents[0]["deploymentSpec"]["executors"]
    assert not [name for name, executor in executors.items() if "importer" in executor]
    tasks = documents[0]["root"]["dag"]["tasks"]
    given = {
        name for name, task in tasks.items()
        if task["inputs"]["parameters"].get("encyclopedia") == {"componentInputParameter": "encyclopedia_uri"}
    }  # fmt: skip
    assert given == {
        "index-encyclopedia", "bilingual-pairs", "light-translator", "synthesise-questions", "translate-corpus",
    }  # fmt: skip


def test_the_local_runner_gets_the_same_pipeline_without_a_place() -> None:
    local, placed = load_pipeline("mission"), load_pipeline("mission", read_release())
    assert not local.platform_spec.platforms
    assert placed.platform_spec.platforms
    assert set(local.pipeline_spec.root.dag.tasks) == set(placed.pipeline_spec.root.dag.tasks)


def test_components_pass_typed_artifacts(documents: list[dict[str, Any]]) -> None:
    outputs = {
        name: {
            key: value["artifactType"]["schemaTitle"] for key, value in part["outputDefinitions"]["artifacts"].items()
        }
        for name, part in documents[0]["components"].items()
    }
    assert outputs["comp-grpo"] == {"model": "system.Model", "metrics": "system.Metrics", "curve": "system.HTML"}
    assert outputs["comp-synthesise-questions"]["train"] == "system.Dataset"
    assert outputs["comp-report"]["page"] == "system.HTML"
    plain = {name: titles for name, titles in outputs.items() if "system.Artifact" in titles.values()}
    assert plain == {}
    assert all("system.Metrics" in titles.values() for titles in outputs.values())


def test_its_kubernetes_form_is_a_valid_pipeline_and_version(tmp_path: Path) -> None:
    from kfp import compiler
    from kfp.compiler.compiler_utils import KubernetesManifestOptions

    from tests.chart.schemas import violations
    from tests.shared import shared

    shared("schemas")
    options = KubernetesManifestOptions(
        pipeline_name="sindbad-mission", pipeline_version_name="sindbad-mission-v1", namespace="sindbad",
        include_pipeline_manifest=True,
    )  # fmt: skip
    path = tmp_path / "manifest.yaml"
    compiler.Compiler().compile(
        load_pipeline("mission", read_release()),
        str(path),
        kubernetes_manifest_format=True,
        kubernetes_manifest_options=options,
    )
    manifests = list(yaml.safe_load_all(path.read_text("utf-8")))
    assert [manifest["kind"] for manifest in manifests] == ["Pipeline", "PipelineVersion"]
    assert [problem for manifest in manifests for problem in violations(manifest)] == []
    manifests[0]["spec"]["displayNam"] = "x"
    assert violations(manifests[0]) != []
