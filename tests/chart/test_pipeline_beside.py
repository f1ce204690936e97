"""A compiled pipeline names what the chart, rendered with the same values under the same release name, makes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from helm_python import HelmError
from typer.testing import CliRunner

from pipelines.local import PIPELINES, compile_pipeline
from pipelines.release import laid_over, read_release, run_in_cluster
from sindbad.cli.main import app
from sindbad.errors import InvalidInput
from tests.chart.rendering import objects, render
from tests.chart.schemas import violations
from tests.shared import ROOT

LAPTOP = ROOT / "charts/sindbad/values-laptop.yaml"
MINE: dict[str, Any] = {
    "image": {"registry": "registry.example/team", "tag": "v1-3-gabc", "pullSecrets": ["pull"]},
    "weights": {"existingClaim": "nfs-weights", "mountPath": "/models"},
    "runs": {"existingClaim": "nfs-runs"},
    "index": {"mountPath": "/elsewhere"},
    "pipeline": {"poolLabel": "example.org/nodes", "queue": {"name": "people", "clusterQueue": "everybody"}},
}
INSTALLED: dict[str, tuple[str, dict[str, Any]]] = {
    "sindbad": ("sindbad", {}),
    "laptop": ("demo", yaml.safe_load(LAPTOP.read_text("utf-8"))),
    "mine": ("research", MINE),
}
MADE_BY_THE_USER = {"nfs-weights", "nfs-runs", "pull"}
"""Named in the values by whoever installs."""


def compiled(pipeline: str, release: str, values: dict[str, Any], folder: Path) -> tuple[dict[str, Any], ...]:
    """The containers, and what Kubernetes is asked for, by executor."""
    (folder / "values.yaml").write_text(yaml.safe_dump(values), "utf-8")
    compile_pipeline(pipeline, folder / "ir.yaml", read_release(release, [folder / "values.yaml"]))
    spec, platform = yaml.safe_load_all((folder / "ir.yaml").read_text("utf-8"))
    executors = spec["deploymentSpec"]["executors"]
    containers = {name: executor["container"] for name, executor in executors.items()}
    return containers, platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]


def named(pods: dict[str, Any]) -> set[tuple[str, str]]:
    """Every object that a step needs, as kind and name."""
    found = set()
    for pod in pods.values():
        found |= {("PersistentVolumeClaim", mount["constant"]) for mount in pod["pvcMount"]}
        found |= {("ConfigMap", table["configMapName"]) for table in pod.get("configMapAsEnv", ())}
        found |= {("Secret", secret["secretName"]) for secret in pod.get("imagePullSecret", ())}
        unknown = set(pod) & {"secretAsEnv", "secretAsVolume", "configMapAsVolume", "genericEphemeralVolume"}
        assert not unknown, f"look at the names in {unknown}, too"
    return found


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("installed", INSTALLED)
def test_every_object_that_a_step_names_is_made_by_the_chart_or_named_by_the_user(
    installed: str, pipeline: str, tmp_path: Path
) -> None:
    release, values = INSTALLED[installed]
    containers, pods = compiled(pipeline, release, values, tmp_path)
    assert set(pods) == set(containers)
    rendered = objects(values, release)
    assert [problem for item in rendered for problem in violations(item)] == []
    made = {(item["kind"], item["metadata"]["name"]) for item in rendered}
    needed = named(pods)
    assert {kind for kind, _ in needed} >= {"PersistentVolumeClaim", "ConfigMap"}
    missing = {name for kind, name in needed if (kind, name) not in made}
    assert missing <= MADE_BY_THE_USER & {str(name) for name in _leaves(values)}
    (table,) = [item for item in rendered if item["metadata"]["name"] == f"{release}-pipeline"]
    for pod in pods.values():
        (asked,) = pod["configMapAsEnv"]
        assert {entry["configMapKey"] for entry in asked["keyToEnv"]} == set(table["data"])
        mounted = {mount["mountPath"] for mount in pod["pvcMount"]}
        assert {table["data"]["SINDBAD_WEIGHTS_ROOT"], "/runs"} <= mounted
    if pipeline == "mission":
        mounted = {mount["mountPath"] for mount in pods["exec-index-encyclopedia"]["pvcMount"]}
        assert table["data"]["SINDBAD_INDEX_ROOT"] in mounted


def _leaves(values: Any) -> list[Any]:
    inner = values.values() if isinstance(values, dict) else values if isinstance(values, list) else None
    return [values] if inner is None else [leaf for item in inner for leaf in _leaves(item)]


@pytest.mark.parametrize("installed", INSTALLED)
def test_the_image_of_the_steps_is_built_and_tagged_as_the_services_are(installed: str, tmp_path: Path) -> None:
    release, values = INSTALLED[installed]
    containers, pods = compiled("translate_and_tune", release, values, tmp_path)
    (policy,) = [
        item for item in objects(values, release)
        if item["kind"] == "Deployment" and item["metadata"]["name"] == f"{release}-policy"
    ]  # fmt: skip
    (service,) = policy["spec"]["template"]["spec"]["containers"]
    assert {one["image"] for one in containers.values()} == {service["image"].replace("/policy:", "/pipelines:")}
    assert {pod["imagePullPolicy"] for pod in pods.values()} == {service["imagePullPolicy"]}


def test_skaffold_builds_the_image_of_the_steps_by_the_name_and_tag_that_its_release_has() -> None:
    config = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    built = {item["image"] for item in config["build"]["artifacts"]}
    assert config["build"]["tagPolicy"] == {"gitCommit": {}}  # one tag for all images of a commit
    deployments = [config["deploy"], *(profile["deploy"] for profile in config["profiles"])]
    for (release,) in (deploy["helm"]["releases"] for deploy in deployments):
        templates = release["setValueTemplates"]
        assert f"{templates['image.registry']}/pipelines" in built
        assert templates["image.tag"] == "{{.IMAGE_TAG_policy}}"
        assert release["name"] == "sindbad"


def test_on_a_laptop_no_step_asks_for_a_pool_a_gpu_or_a_queue(tmp_path: Path) -> None:
    containers, pods = compiled("mission", "sindbad", INSTALLED["laptop"][1], tmp_path)
    assert len(pods) == 22
    for name, pod in pods.items():
        assert not {"nodeSelector", "tolerations", "emptyDirMounts"} & set(pod), name
        assert "kueue.x-k8s.io/queue-name" not in pod["podMetadata"]["labels"]
        assert "accelerator" not in containers[name]["resources"]


def test_a_cluster_of_ones_own_has_its_pools_its_queue_and_its_secrets(tmp_path: Path) -> None:
    _, pods = compiled("translate_and_tune", "research", MINE, tmp_path)
    assert {tuple(pod["nodeSelector"]["labels"]) for pod in pods.values()} == {("example.org/nodes",)}
    assert {pod["podMetadata"]["labels"]["kueue.x-k8s.io/queue-name"] for pod in pods.values()} == {"people"}
    assert {secret["secretName"] for pod in pods.values() for secret in pod["imagePullSecret"]} == {"pull"}


def test_the_chart_makes_the_queue_where_it_knows_the_cluster_queue_behind_it() -> None:
    def queues(queue: dict[str, Any]) -> dict[str, Any]:
        made = objects({"pipeline": {"queue": queue}}, "research")
        assert [problem for item in made for problem in violations(item)] == []
        return {item["metadata"]["name"]: item["spec"] for item in made if item["kind"] == "LocalQueue"}

    assert queues({}) == queues({"clusterQueue": "everybody", "enabled": False}) == {}
    assert queues({"clusterQueue": "everybody"}) == {"research": {"clusterQueue": "everybody"}}
    assert queues({"clusterQueue": "everybody", "name": "people"}) == {"people": {"clusterQueue": "everybody"}}
    assert read_release("research").queue == "research"


def test_the_runs_claim_is_made_unless_it_is_yours() -> None:
    def claims(runs: dict[str, Any]) -> set[str]:
        made = objects({"runs": runs}, "research")
        return {item["metadata"]["name"] for item in made if item["kind"] == "PersistentVolumeClaim"}

    others = {"research-weights", "research-index"}
    assert claims({}) == others | {"research-runs"}
    assert claims({"create": False}) == claims({"existingClaim": "nfs"}) == others
    with pytest.raises(HelmError):
        render({"runs": {"creat": False}})


def test_what_helm_says_of_a_release_compiles_as_the_files_that_it_was_installed_with(tmp_path: Path) -> None:
    """`helm get values --all` is the chart's values with the user's laid over them: laid over once more, they stay."""
    chart = yaml.safe_load((ROOT / "charts/sindbad/values.yaml").read_text())
    for number, (release, values) in enumerate(INSTALLED.values()):
        own, told = tmp_path / f"own-{number}.yaml", tmp_path / f"told-{number}.yaml"
        own.write_text(yaml.safe_dump(values), "utf-8")
        told.write_text(yaml.safe_dump(laid_over(chart, values)), "utf-8")
        said = [read_release(release, [file]).values.model_dump(exclude={"services"}) for file in (own, told)]
        assert said[0] == said[1]


def test_files_are_laid_over_each_other_as_helm_does() -> None:
    base = {"a": {"b": 1, "c": 2}, "d": [1, 2]}
    assert laid_over(base, {"a": {"b": None, "e": 3}, "d": [3]}) == {"a": {"c": 2, "e": 3}, "d": [3]}
    assert base == {"a": {"b": 1, "c": 2}, "d": [1, 2]}


def test_faults_of_values_and_names_are_said_by_name(tmp_path: Path) -> None:
    wrong = tmp_path / "values.yaml"
    for text, said in (
        ("pipelin: {}", "pipelin"),
        ("pipeline: {steps: {gpu: {gpuz: 1}}}", "gpuz"),
        ("pipeline: {steps: {gpu: null}}", "no gpu"),
        ("image: {registry: null}", "registry"),
        ("runs: {existingClam: nfs}", "did you mean 'existingClaim'"),
    ):
        wrong.write_text(text, "utf-8")
        with pytest.raises(InvalidInput, match=said):
            read_release("sindbad", [wrong])
    for name in ("Sindbad", "a_b", "-a", "a" * 54, ""):
        with pytest.raises(InvalidInput, match="no name of a Helm release"):
            read_release(name)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["pipeline", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_says_what_the_release_must_hold_and_the_name_of_each_pipeline(tmp_path: Path) -> None:
    target = str(tmp_path / "a b.yaml")
    told = run("compile", "--release", "demo", "-f", str(LAPTOP), "--image", "sindbad/pipelines:abc", "-o", target)
    assert "image sindbad/pipelines:abc, ConfigMap demo-pipeline" in told
    assert "demo-runs, demo-weights, demo-index" in told
    assert f"kfp pipeline create -p sindbad-mission '{target}'" in told
    assert (tmp_path / "a b.yaml").is_file()
    told = run("compile", "--pipeline", "translate_and_tune", "-o", str(tmp_path / "t.yaml"))
    assert "kfp pipeline create -p sindbad-translate-and-tune " in told


def test_the_mission_is_not_compiled_beside_services_that_refuse_its_steps(tmp_path: Path) -> None:
    secured = tmp_path / "secured.yaml"
    secured.write_text("auth: {tokenSecret: token, tlsSecret: tls}", "utf-8")
    with pytest.raises(InvalidInput, match=r"auth\.tokenSecret, auth\.tlsSecret"):
        run("compile", "-f", str(secured), "-o", str(tmp_path / "m.yaml"))
    assert not (tmp_path / "m.yaml").exists()
    run("compile", "--pipeline", "translate_and_tune", "-f", str(secured), "-o", str(tmp_path / "t.yaml"))


@pytest.mark.slow
def test_arguments_are_of_the_cluster_and_never_of_this_machine(tmp_path: Path) -> None:
    import json

    data = tmp_path / "data"
    data.mkdir()
    for pipeline, options, folder in (
        ("mission", (), "/runs/mission"),
        ("mission", ("--run", "second"), "/runs/second"),
        ("mission", ("--run", "/claims/x"), "/claims/x"),
        ("translate_and_tune", ("--set", f"data={data}"), "/runs/tune"),
    ):
        told = run("arguments", "--pipeline", pipeline, *options)
        given = json.loads(told)
        stages = [json.loads(value) for key, value in given.items() if key.endswith("_stage")]
        assert {stage["run_dir"] for stage in stages} == {folder}
        uri = given.get("encyclopedia_uri") or given["data_uri"]
        assert uri.startswith(f"{folder}/")
        assert str(Path.cwd()) not in told
        assert str(tmp_path) not in told
    told = run("arguments", "--pipeline", "translate_and_tune", "--data", "/runs/files")
    assert json.loads(told)["data_uri"] == "/runs/files"
    with pytest.raises(InvalidInput, match="reads no data"):
        run("arguments", "--data", "/runs/files")
    for place in ("runs/demo", "./x", "..", ""):
        with pytest.raises(InvalidInput, match="no folder that steps see"):
            run_in_cluster(place)


def test_the_notes_say_how_this_release_is_compiled_for() -> None:
    notes = next(text for name, text in render(MINE, "research").items() if name.endswith("NOTES.txt"))
    assert "helm get values research --namespace research --all --output yaml > release.yaml" in notes
    assert "sindbad pipeline compile --release research --values release.yaml" in notes
    assert "sindbad pipeline arguments --run /runs/mission" in notes
    assert "registry.example/team/pipelines:v1-3-gabc" in notes
    assert '"nfs-runs", "nfs-weights" and "research-index"' in notes
    assert 'the LocalQueue "people".' in notes


@pytest.mark.slow
def test_the_steps_find_in_their_image_what_they_read_as_files(tmp_path: Path) -> None:
    """The last stage of the Dockerfile, laid out: digests of code and the committed models are read below /app."""
    text = (ROOT / "pipelines/Dockerfile").read_text("utf-8")
    last = text[text.rindex("\nFROM ") :]
    for line in re.findall(r"^COPY (?!--from)(.+)$", last, re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            place = tmp_path / target.lstrip("/")
            place = place / source if target.endswith("/") else place
            place.parent.mkdir(parents=True, exist_ok=True)
            if source == "pipelines":  # knows where it lies by its own files
                shutil.copytree(ROOT / source, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                place.symlink_to(ROOT / source)
    asked = (
        "from pipelines import artifacts, digest, recipe; digest.code_digest('pipelines.encyclopedia');"
        "print(*(path.name for path in digest.closure('pipelines.encyclopedia')));"
        "chosen = recipe.load_recipe('recipes/demo.yaml');"
        "print(*(artifacts.resolve_source(chosen.parsed(name).source) for name in ('teacher', 'base')))"
    )
    found = subprocess.run(
        [sys.executable, "-c", asked], cwd=tmp_path / "app", env={**os.environ, "PYTHONPATH": str(tmp_path / "app")},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert found.returncode == 0, found.stderr[-2000:]
    files, models = found.stdout.splitlines()
    assert "world.py" in files.split()
    assert [model.startswith(str(tmp_path / "app")) for model in models.split()] == [True, True]
