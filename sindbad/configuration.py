"""Configuration from YAML or JSON into pydantic models, where a typo is an error that names the nearest key.

A field that names something which must be there before a run begins says so with :class:`Input`, so that a missing
model is told at the start and not when its step runs an hour later.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from sindbad.errors import InvalidInput, NotFound, SindbadError

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Input:
    """Mark of a field: ``source: Annotated[str, Input(check_model_folder, unless="from_scratch")]``.

    Attributes:
        check: raises SindbadError when the path does not hold what it should.
        remedy: what to do about it, after the fault.
        unless: a field beside it; where that is true, the input is not read.
    """

    check: Callable[[Path], None]
    remedy: str = "name another path"
    unless: str = ""


def inputs_of(settings: Any, key: str) -> Iterator[tuple[str, str, Input]]:
    """(key, value, mark) of every marked field in ``settings``, however deep; null values name nothing."""
    if isinstance(settings, BaseModel):
        for name, field in type(settings).model_fields.items():
            value = getattr(settings, name)
            marks = [mark for mark in field.metadata if isinstance(mark, Input)]
            if value is not None:
                yield from ((f"{key}.{name}", str(value), m) for m in marks if not getattr(settings, m.unless, False))
            yield from inputs_of(value, f"{key}.{name}")
    elif isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from inputs_of(value, f"{key}.{name}")
    elif isinstance(settings, list | tuple):
        for number, value in enumerate(settings):
            yield from inputs_of(value, f"{key}.{number}")


def input_faults(settings: Any, key: str, root: Path) -> list[str]:
    """One sentence for every marked input that is not as it should be; relative paths start at ``root``."""
    faults = []
    for name, value, mark in inputs_of(settings, key):
        try:
            mark.check(root / value)
        except SindbadError as error:
            faults.append(f"{name}: {error.message}; {mark.remedy}")
    return faults


def read_mapping(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML or JSON file (JSON is YAML). Raises InvalidInput for anything else."""
    try:
        loaded = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}", reason="CONFIGURATION") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{path} is not YAML: {_line(error)}", reason="CONFIGURATION") from error
    if loaded is None:
        return {}
    if not isinstance(loaded, dict):
        raise InvalidInput(f"{path} must hold a mapping, not a {type(loaded).__name__}", reason="CONFIGURATION")
    return loaded


def load_shipped(model: type[ModelT], package: str, name_or_path: str, what: str, *, known: str) -> ModelT:
    """A set that ships as ``{name}.yaml`` in ``package`` by its name, or the user's own YAML file by its path.

    Args:
        what: "extraction prompts", for messages.
        known: what may be named, for messages ("demo, full").

    Raises:
        NotFound: there is neither. InvalidInput: the file is none of these sets.
    """
    try:
        if Path(name_or_path).suffix in {".yaml", ".yml"}:
            text = Path(name_or_path).read_text("utf-8")
        elif name_or_path.isidentifier():  # never a path out of the package
            text = (resources.files(package) / f"{name_or_path}.yaml").read_text("utf-8")
        else:
            raise FileNotFoundError(name_or_path)
        values = yaml.safe_load(text)
    except OSError as error:
        raise NotFound(f"No {what} {name_or_path!r}; use {known} or the path of a YAML file.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidInput(f"{what} {name_or_path!r}: no YAML ({_line(error)})", reason="CONFIGURATION") from error
    if not isinstance(values, dict):
        raise InvalidInput(f"{what} {name_or_path!r}: a {type(values).__name__}, not a mapping", reason="CONFIGURATION")
    return resolve(model, values, source=f"{what} {name_or_path!r}")


def _line(error: Exception) -> str:
    """What YAML's reader says over several lines, in one."""
    return " ".join(str(error).split())


def override(values: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """``values`` with ``key=value`` or ``outer.inner=value`` assignments on top; values are read as YAML."""
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path:
            raise InvalidInput(f"{assignment!r} is not key=value", reason="CONFIGURATION")
        *outer, last = path.strip().split(".")
        place = values
        for key in outer:
            inner = place.get(key, {})
            if not isinstance(inner, dict):
                raise InvalidInput(f"{path}: {key} is not a mapping", reason="CONFIGURATION")
            # A YAML alias is the same object in several places: a copy, so that only the place named here changes.
            place[key] = place = dict(inner)
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise InvalidInput(f"{assignment!r}: no YAML ({_line(error)})", reason="CONFIGURATION") from error
    return values


def resolve(model: type[ModelT], values: Mapping[str, Any], *, source: str = "configuration") -> ModelT:
    """Validate ``values``. Raises InvalidInput that lists every fault with its path, and for a typo the nearest key."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        faults = "; ".join(_explain(model, fault) for fault in error.errors(include_url=False))
        raise InvalidInput(f"{source}: {faults}", reason="CONFIGURATION") from error


def _explain(model: type[BaseModel], fault: Any) -> str:
    location: tuple[Any, ...] = fault["loc"]
    path = ".".join(str(part) for part in location)
    if fault["type"] != "extra_forbidden":
        return f"{path or 'value'}: {fault['msg']}"
    known = _fields_at(model, location[:-1])
    nearest = difflib.get_close_matches(str(location[-1]), known, n=1, cutoff=0.4)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known keys: {', '.join(sorted(known))}"
    return f"{path}: no such key; {hint}"


def _fields_at(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    models = [model]
    for part in location:
        if isinstance(part, str):
            # A part that is no field is the tag of a discriminated union, which pydantic puts into the path.
            inner = [m for owner in models for m in _models_in(owner, part)]
            tagged = [m for m in models if _has_tag(m, part)]
            models = inner or tagged or models
    return [name for owner in models for name in owner.model_fields]


def _models_in(owner: type[BaseModel], field: str) -> list[type[BaseModel]]:
    info = owner.model_fields.get(field)
    return _models_of(info.annotation) if info else []


def _models_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models_of(argument)]


def _has_tag(model: type[BaseModel], tag: str) -> bool:
    return any(tag in map(str, get_args(field.annotation)) for field in model.model_fields.values())
