"""Render the chart with the real Helm engine (helm-python-sdk), without a cluster or a helm binary."""

from __future__ import annotations

import json
from typing import Any

import helm_python as helm
import yaml
from helm_python import _native

from tests.shared import ROOT

CHART = str(ROOT / "charts" / "sindbad")


def render(values: dict[str, Any] | None = None, name: str = "demo") -> dict[str, str]:
    """File name -> rendered text. Raises HelmValuesError / HelmRenderError."""
    # The public render() knows no API versions; the C call does (the SDK is pinned for this reason).
    versions = {"api_versions": ["monitoring.coreos.com/v1"], "kube_version": "v1.31.0"}
    options = {"name": name, "namespace": "research", **versions}
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(chart.merge_values(values or {}))
        rendered: dict[str, str] = json.loads(
            _native.call_string("helm_render", chart._raw(), json.dumps(values or {}), json.dumps(options))
        )
    return rendered


def objects(values: dict[str, Any] | None = None, name: str = "demo") -> list[dict[str, Any]]:
    """Every object that the chart makes."""
    texts = (text for file, text in render(values, name).items() if file.endswith((".yaml", ".yml")))
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def lint(values: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Warnings and errors of `helm lint --strict`."""
    messages = helm.lint(CHART, values or {}, strict=True, with_subcharts=True)["messages"]
    return [message for message in messages if message["severity"] >= 2]
