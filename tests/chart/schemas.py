"""A strict validator of Kubernetes objects over the published schemas: what an API server would refuse is refused.

Objects are closed (an unknown field is an error), but never inside oneOf / anyOf / allOf / not; defaults count as
given; CEL rules and webhooks are not covered.
"""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, FormatChecker

from tests.shared import shared

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
COMBINERS = ("allOf", "anyOf", "oneOf", "not")
FORMATS = FormatChecker(formats=("ipv4", "ipv6"))


def violations(manifest: dict[str, Any]) -> list[str]:
    """What is wrong with one object, each with its path; empty if it is valid."""
    validator = _validator(manifest.get("apiVersion", ""), manifest.get("kind", ""))
    errors = validator.iter_errors(without_nulls(manifest))
    return [f"{manifest.get('kind')}/{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in errors]


def without_nulls(value: Any) -> Any:
    """Drop explicit nulls: Helm renders empty maps as null and the API server drops them."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


@cache
def _index() -> dict[tuple[str, str], dict[str, Any]]:
    entries = json.loads(shared("schemas", "index.json").read_text())
    entries = entries["entries"] if isinstance(entries, dict) and "entries" in entries else entries
    return {(entry["apiVersion"], entry["kind"]): entry for entry in entries}


@cache
def _definitions() -> dict[str, Any]:
    raw = json.loads(shared("schemas", "kubernetes", "definitions.json").read_text())
    raw = raw.get("definitions", raw)
    return {name: _strict(name, schema) for name, schema in raw.items()}


def _strict(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    if name.endswith((".IntOrString", ".Quantity")):
        return {"type": ["string", "integer", "number"]}
    return close(schema)


@cache
def _validator(api_version: str, kind: str) -> Draft7Validator:
    entry = _index().get((api_version, kind))
    if entry is None:
        raise AssertionError(f"no schema for {api_version} {kind}")
    if entry.get("ref"):
        schema: dict[str, Any] = {"$ref": _local(entry["ref"]), "definitions": _definitions()}
    else:
        schema = _crd(shared("schemas", *Path(entry["file"]).parts))
    return Draft7Validator(schema, format_checker=FORMATS)


def _local(ref: str) -> str:
    return ref if ref.startswith("#") else f"#/definitions/{ref}"


def _crd(path: Path) -> dict[str, Any]:
    schema = close(json.loads(path.read_text()))
    schema["properties"]["metadata"] = {"$ref": f"#/definitions/{META}"}
    schema["required"] = sorted({*schema.get("required", ()), "apiVersion", "kind", "metadata"})
    schema["definitions"] = _definitions()
    return schema


def close(schema: Any, *, inside_combiner: bool = False) -> Any:
    """Refuse unknown fields, and translate the OpenAPI dialect (nullable, int-or-string, Go patterns, defaults)."""
    if isinstance(schema, list):
        return [close(item, inside_combiner=inside_combiner) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: _close_member(key, value, inside_combiner) for key, value in copy.copy(schema).items()}
    properties = result.get("properties")
    open_ended = result.get("additionalProperties") or result.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(properties, dict) and not open_ended and not inside_combiner:
        result["additionalProperties"] = False
    return _dialect(result)


def _close_member(key: str, value: Any, inside: bool) -> Any:
    if key == "properties":
        return {name: close(item, inside_combiner=inside) for name, item in value.items()}
    if key in COMBINERS:
        return close(value, inside_combiner=True)
    if key in ("items", "additionalProperties"):
        return close(value, inside_combiner=inside)
    return value


def _dialect(schema: dict[str, Any]) -> dict[str, Any]:
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.pop("nullable", False) and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = re.sub(r"^\^?\(\?i\)", "(?i)^", schema["pattern"])
    if "required" in schema and isinstance(schema.get("properties"), dict):
        given = schema["properties"]
        schema["required"] = [name for name in schema["required"] if "default" not in (given.get(name) or {})]
        if not schema["required"]:
            del schema["required"]
    if schema.get("x-kubernetes-embedded-resource") and "properties" in schema:
        schema["properties"]["metadata"] = {"$ref": f"#/definitions/{META}"}
    return schema
