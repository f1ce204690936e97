"""The chart renders with the real Helm engine, and a strict validator accepts every object of it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from helm_python import HelmError

from tests.chart.rendering import lint, objects, render
from tests.chart.schemas import violations
from tests.shared import ROOT


def _example() -> str:
    """The indented example of the chart's README."""
    lines = (ROOT / "charts/sindbad/README.md").read_text().splitlines()
    start = lines.index("    services:")
    end = next(number for number in range(start, len(lines)) if lines[number] and not lines[number].startswith("    "))
    return "\n".join(line[4:] for line in lines[start:end])


SERVICES = ("policy", "translator", "summarizer", "search", "sandbox", "judge", "agent")
VARIANTS: dict[str, dict[str, Any]] = {
    "laptop": yaml.safe_load((ROOT / "charts/sindbad/values-laptop.yaml").read_text()),
    "defaults": {},
    "kserve": {"services": {"policy": {"host": "kserve"}}},
    "secured": {
        "auth": {"tokenSecret": "sindbad-token", "controlTokenSecret": "sindbad-control", "tlsSecret": "sindbad-tls"},
        "image": {"registry": "registry.example", "tag": "v1", "pullSecrets": ["pull"]},
        "services": {"sandbox": {"runtimeClassName": "gvisor"}, "search": {"internet": False}},
    },
    "several live replicas": {"services": {"search": yaml.safe_load(_example())["services"]["search"]}},
    "quantizing": {"quantize": {"enabled": True, "source": "/weights/teacher", "target": "/weights/teacher-fp8"}},
    "measuring": {
        "harness": {
            "enabled": True,
            "benchmark": "arabic_exams",
            "model": "/weights/tuned",
            "out": "/weights/exams.json",
            "harnesses": ["lm-eval", "lighteval"],
            "args": ["--data", "/weights/exams.jsonl.gz"],
        }
    },
    "monitored": {"monitoring": {"serviceMonitor": True}, "weights": {"mountPath": "/weights", "existingClaim": "nfs"}},
}


def _of_kind(kind: str, values: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in objects(values) if item["kind"] == kind}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_rendered_object_is_valid(variant: str) -> None:
    rendered = objects(VARIANTS[variant])
    assert len(rendered) > 40
    assert [problem for item in rendered for problem in violations(item)] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_lint_finds_nothing(variant: str) -> None:
    assert lint(VARIANTS[variant]) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "template", "spec", "containers", 0, "readinesProbe"), {}),
        (("spec", "replicas"), "two"),
        (("spec", "template", "spec", "volumes", 0, "config"), {}),
    ],
)
def test_the_validator_refuses_a_broken_deployment(path: tuple[Any, ...], value: Any) -> None:
    broken = copy.deepcopy(_of_kind("Deployment")["demo-policy"])
    target: Any = broken
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    assert violations(broken)


def test_every_service_has_its_six_objects() -> None:
    for kind in ("ServiceAccount", "Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment", "ConfigMap"):
        made = set(_of_kind(kind)) - {"demo-pipeline"}
        assert made == {f"demo-{name}" for name in SERVICES}, kind


def test_probes_are_grpc_and_readiness_asks_for_the_service_itself() -> None:
    for name, deployment in _of_kind("Deployment").items():
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        assert container["livenessProbe"]["grpc"] == {"port": 50051}
        ready = container["readinessProbe"]["grpc"]["service"]
        assert ready.lower() == f"sindbad.v1.{name.removeprefix('demo-')}"


def test_kserve_takes_the_policy_deployments_place() -> None:
    values = VARIANTS["kserve"]
    assert "demo-policy" not in _of_kind("Deployment", values)
    service = _of_kind("InferenceService", values)["demo-policy"]
    assert service["spec"]["predictor"]["containers"][0]["ports"][0]["name"] == "h2c"


def test_only_the_policy_can_be_hosted_by_kserve() -> None:
    with pytest.raises(HelmError):
        render({"services": {"search": {"host": "kserve"}}})


def test_the_quantize_job_reads_and_writes_the_weights_claim_and_needs_both_folders() -> None:
    assert _of_kind("Job") == {}
    job = _of_kind("Job", VARIANTS["quantizing"])["demo-quantize"]["spec"]["template"]["spec"]
    container = job["containers"][0]
    assert container["args"] == ["/weights/teacher", "--out", "/weights/teacher-fp8", "--scheme", "fp8-dynamic"]
    assert container["volumeMounts"][0] == {"name": "weights", "mountPath": "/weights"}
    with pytest.raises(HelmError, match=r"quantize\.source"):
        render({"quantize": {"enabled": True, "target": "/weights/x"}})
    with pytest.raises(HelmError):
        render({"quantize": {"scheme": "int4"}})


def test_the_quantize_image_has_the_installers_version_of_llm_compressor() -> None:
    import re

    pins = [
        re.findall(r"llmcompressor==([0-9.]+)", (ROOT / name).read_text())
        for name in ("scripts/install.sh", "pipelines/quantize.Dockerfile")
    ]
    assert pins[0] == pins[1] != []


def test_the_harness_job_asks_a_benchmark_in_words_that_the_command_knows() -> None:
    from typer.main import get_command

    from sindbad.cli.main import app

    job = _of_kind("Job", VARIANTS["measuring"])["demo-harness"]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].startswith("ghcr.io/sindbad/harness:")
    assert container["volumeMounts"][0] == {"name": "weights", "mountPath": "/weights"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is pod["securityContext"]["runAsNonRoot"] is True
    command: Any = get_command(app)
    for word in ("evaluate", "harness"):
        command = command.commands[word]
    asked = command.make_context("harness", list(container["args"])).params
    assert (asked["benchmark"], str(asked["model"]), str(asked["data"]), str(asked["json_file"])) == (
        "arabic_exams", "/weights/tuned", "/weights/exams.jsonl.gz", "/weights/exams.json",
    )  # fmt: skip
    assert [str(one) for one in asked["harnesses"]] == ["lm-eval", "lighteval"]
    assert 2 * asked["deadline"] == job["activeDeadlineSeconds"] == 21600
    for missing in ("benchmark", "model", "out"):
        with pytest.raises(HelmError, match=rf"harness\.{missing}"):
            render({"harness": {**VARIANTS["measuring"]["harness"], missing: ""}})
    with pytest.raises(HelmError):
        render({"harness": {"harnesses": ["helm"]}})


def test_the_harness_image_has_the_installers_pins_and_the_interpreters_that_the_command_looks_for() -> None:
    import re

    from sindbad.evaluation.harness.benchmarks import Harness
    from sindbad.evaluation.harness.environment import python_variable

    image, installer = (ROOT / "pipelines/harness.Dockerfile").read_text(), (ROOT / "scripts/install.sh").read_text()
    (looped,) = re.findall(r"for harness in ([^;]+);", image)
    assert sorted(looped.split()) == sorted(one.value for one in Harness)
    assert "-r scripts/harness/$harness.txt" in image
    assert '-r "scripts/harness/$1.txt"' in installer
    torch = "$(grep -E '^torch==' constraints.txt)"
    assert torch in image
    assert torch in installer
    environment = dict(re.findall(r"(\w+)=(\S+)", next(line for line in image.splitlines() if line.startswith("ENV "))))
    copied = re.findall(r"COPY --from=build (\S+) (\S+)", image)
    for one in Harness:
        assert environment[python_variable(one)] == f"/venv-{one.value}/bin/python"
        assert (f"/venv-{one.value}", f"/venv-{one.value}") in copied
        assert (ROOT / f"scripts/harness/{one.value}.txt").is_file()
    assert "HF_HUB_OFFLINE" not in environment  # without --data the items come from the Hub


@pytest.mark.parametrize("name", ["quantize", "harness"])
def test_what_an_image_copies_is_there_and_its_entry_point_is_a_command(name: str) -> None:
    import json
    import re

    from typer.testing import CliRunner

    from sindbad.cli.main import app

    image = (ROOT / f"pipelines/{name}.Dockerfile").read_text()
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", image, re.MULTILINE):
        for source in sources.split():
            assert (ROOT / source).exists(), source
    (words,) = re.findall(r"^ENTRYPOINT (.+)$", image, re.MULTILINE)
    program, *command = json.loads(words)
    assert program == "sindbad"
    assert CliRunner().invoke(app, [*command, "--help"]).exit_code == 0


def test_an_unknown_value_is_refused_by_name() -> None:
    with pytest.raises(HelmError, match="replicsa"):
        render({"services": {"policy": {"replicsa": 3}}})


def _sandbox_pod(values: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = _of_kind("Deployment", values)["demo-sandbox"]["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_sandbox_has_no_way_out_and_only_the_agent_and_clients_a_way_in(variant: str) -> None:
    policy = _of_kind("NetworkPolicy", VARIANTS[variant])["demo-sandbox"]["spec"]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert policy["egress"] == []
    peers = [peer.get("podSelector", {}).get("matchLabels", {}) for peer in policy["ingress"][0]["from"]]
    assert [peer["app.kubernetes.io/name"] for peer in peers if "app.kubernetes.io/name" in peer] == ["agent"]
    others = [set(peer) for peer in peers if "app.kubernetes.io/name" not in peer]
    assert others == [{"sindbad.dev/client"}, {"sindbad.dev/test"}]


def test_the_sandbox_sits_beside_no_key_but_its_own() -> None:
    pod = _sandbox_pod(VARIANTS["secured"])
    assert pod["runtimeClassName"] == "gvisor"
    assert pod["automountServiceAccountToken"] is False
    assert {volume["name"] for volume in pod["volumes"]} == {"config", "scratch", "token", "tls"}


def test_with_a_runtime_class_the_sandbox_has_the_default_profiles_and_without_one_those_that_bubblewrap_needs() -> (
    None
):
    security = _sandbox_pod(VARIANTS["secured"])["securityContext"]
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert "appArmorProfile" not in security
    security = _sandbox_pod({})["securityContext"]
    assert security["seccompProfile"] == security["appArmorProfile"] == {"type": "Unconfined"}
    own = {"type": "Localhost", "localhostProfile": "profiles/userns.json"}
    assert _sandbox_pod({"services": {"sandbox": {"seccompProfile": own}}})["securityContext"]["seccompProfile"] == own


def test_no_other_service_runs_unconfined() -> None:
    for name, deployment in _of_kind("Deployment").items():
        if name != "demo-sandbox":
            security = deployment["spec"]["template"]["spec"]["securityContext"]
            assert security["seccompProfile"] == {"type": "RuntimeDefault"}
            assert "appArmorProfile" not in security


def test_the_runtime_class_is_made_only_where_it_is_asked_for() -> None:
    named: dict[str, Any] = {"runtimeClassName": "gvisor"}
    assert _of_kind("RuntimeClass", {"services": {"sandbox": named}}) == {}
    made = {**named, "runtimeClass": {"create": True, "handler": "runsc"}}
    (found,) = _of_kind("RuntimeClass", {"services": {"sandbox": made}}).values()
    assert (found["metadata"]["name"], found["handler"]) == ("gvisor", "runsc")
    assert violations(found) == []
    with pytest.raises(HelmError, match="handler"):
        render({"services": {"sandbox": {"runtimeClass": {"create": True, "handler": "No Name"}}}})


def test_containers_run_unprivileged() -> None:
    for deployment in _of_kind("Deployment").values():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        security = pod["containers"][0]["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}


def test_a_changed_setting_rolls_the_pods() -> None:
    def checksum(values: dict[str, Any]) -> str:
        template = _of_kind("Deployment", values)["demo-judge"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) != checksum({"services": {"judge": {"config": {"log_level": "debug"}}}})


@pytest.mark.parametrize("name", SERVICES)
def test_the_services_accept_the_settings_that_the_chart_writes(name: str) -> None:
    from importlib import import_module

    from services.runtime import RuntimeSettings

    settings = yaml.safe_load(_of_kind("ConfigMap", VARIANTS["secured"])[f"demo-{name}"]["data"]["config.yaml"])
    module = import_module(f"services.{name}.service")
    models = [item for item in vars(module).values() if isinstance(item, type) and issubclass(item, RuntimeSettings)]
    own = [model for model in models if model is not RuntimeSettings]
    assert own, f"services.{name}.service has no settings class"
    own[0].model_validate(settings)


def test_the_documented_live_web_is_accepted_and_its_redis_can_be_reached() -> None:
    from services.search.settings import SearchSettings

    values = VARIANTS["several live replicas"]
    config = yaml.safe_load(_of_kind("ConfigMap", values)["demo-search"]["data"]["config.yaml"])
    live = SearchSettings.model_validate(config).live
    assert live is not None
    assert [row.provider.kind for row in live.providers] == ["serper", "http", "jina"]
    rules = _of_kind("NetworkPolicy", values)["demo-search"]["spec"]["egress"]
    assert {"port": 6379, "protocol": "TCP"} in [port for rule in rules for port in rule["ports"]]


def test_notes_name_every_service_and_the_next_step() -> None:
    notes = next(text for name, text in render().items() if name.endswith("NOTES.txt"))
    assert all(f"demo-{name}:50051" in notes for name in SERVICES)
    assert "sindbad ask" in notes


def test_skaffold_is_valid_and_builds_every_service() -> None:
    import json

    from jsonschema import Draft7Validator

    from tests.shared import shared

    config = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    schema = json.loads(shared("schemas", "skaffold", "v4beta14.json").read_text())
    assert [error.message for error in Draft7Validator(schema).iter_errors(config)] == []
    artifacts = {item["image"].rsplit("/", 1)[-1]: item for item in config["build"]["artifacts"]}
    assert set(artifacts) >= {*SERVICES, "pipelines", "quantize", "harness"}
    for item in artifacts.values():
        assert (ROOT / item["docker"]["dockerfile"]).is_file()


def test_with_tls_no_probe_speaks_plain_grpc() -> None:
    container = _of_kind("Deployment", VARIANTS["secured"])["demo-policy"]["spec"]["template"]["spec"]["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["tcpSocket"] == {"port": 50051}


def test_a_pipeline_in_the_cluster_finds_services_and_weights_through_the_charts_config_map(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines.crew import addresses, weight_store
    from pipelines.release import FROM_CHART
    from pipelines.stage import Stage

    data = _of_kind("ConfigMap")["demo-pipeline"]["data"]
    assert set(data) == set(FROM_CHART)
    for name, value in data.items():
        monkeypatch.setenv(name, value)
    nowhere = ROOT / "no-such-run"
    assert addresses(nowhere, "search") == ["dns:///demo-search:50051"]
    assert addresses(nowhere, "policy", "control_address") == ["dns:///demo-policy:50052"]
    monkeypatch.setattr("pipelines.crew.WeightStore", lambda root: root)
    stage = Stage("rl_sim", str(nowhere), 1.0, {}, "0" * 64)
    settings = yaml.safe_load(_of_kind("ConfigMap")["demo-policy"]["data"]["config.yaml"])
    assert str(weight_store(stage, "policy")) == settings["model"]["store"]


@pytest.mark.parametrize("values", [{}, {"index": {"mountPath": "/elsewhere", "existingClaim": "nfs"}}])
def test_the_pipeline_writes_the_index_where_the_search_pods_mount_and_open_it(
    values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.encyclopedia import INDEX_VARIABLE, index_root

    monkeypatch.setenv(INDEX_VARIABLE, _of_kind("ConfigMap", values)["demo-pipeline"]["data"][INDEX_VARIABLE])
    settings = yaml.safe_load(_of_kind("ConfigMap", values)["demo-search"]["data"]["config.yaml"])
    pod = _of_kind("Deployment", values)["demo-search"]["spec"]["template"]["spec"]
    (mount,) = [mount for mount in pod["containers"][0]["volumeMounts"] if mount["name"] == "index"]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "index"]
    assert str(index_root(ROOT / "no-such-run")) == settings["index_root"] == mount["mountPath"]
    assert mount["readOnly"]
    assert not volume["persistentVolumeClaim"].get("readOnly")
    claims = _of_kind("PersistentVolumeClaim", values)
    name = volume["persistentVolumeClaim"]["claimName"]
    assert name == "nfs" if values else claims[name]["spec"]["accessModes"] == ["ReadWriteMany"]
