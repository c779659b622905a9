"""A request written down as TOML: read, and held against the fields that the request has.

What the values mean, and whether they can be done, is the operation's business.
"""

from collections.abc import Mapping
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from pipelines.operations.requests import RefusedError, Who
from pipelines.settings import SettingsError, read_toml

# Those of whom an operation is for and by are options of the command.
_OPTIONS = Who.model_fields.keys() - {"approved_by"}
_SHOULD_BE = {
    "list_type": 'a list such as ["one", "two"]',
    "string_type": "text in quotes",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "dict_type": "a table",
    "model_type": "a table such as [[enrollment_filters]]",
}


def read_request(path: Path, request: type[Who], *, merchant: str, actor: str, approved_by: str) -> dict[str, Any]:
    """The fields that the file gives, and those of the options, which come first.

    Raises RefusedError, naming the file, the key and its value.
    """
    try:
        told = read_toml(path)
    except FileNotFoundError:
        raise RefusedError(f"{path} does not exist.") from None
    except SettingsError as problem:
        raise RefusedError(str(problem)) from None
    known = {name: field for name, field in request.model_fields.items() if name not in _OPTIONS}
    _refuse_unknown_keys(path, told, known, "")
    for name, field in known.items():
        if (below := _table_of(field.annotation)) is not None and isinstance(told.get(name), list):
            for number, one in enumerate(told[name], 1):
                if isinstance(one, Mapping):
                    _refuse_unknown_keys(path, one, below.model_fields, f"{name} {number}, ")
    told = {name: _plain(value) for name, value in told.items()}
    asked = {**told, "merchant": merchant, "actor": actor, "approved_by": approved_by or told.get("approved_by", "")}
    try:
        request.model_validate(asked)
    except ValidationError as problems:
        raise RefusedError(f"{path}: {_said(problems)}") from None
    return asked


def _refuse_unknown_keys(path: Path, told: Mapping[str, Any], known: Mapping[str, Any], place: str) -> None:
    for key in told:
        if key in _OPTIONS and not place:
            raise RefusedError(f'{path}: key "{key}" is the option --{key} of the command, not of the request.')
        if key not in known:
            near = get_close_matches(key, known, n=1)
            guess = f' Did you mean "{near[0]}"?' if near else f" There are {', '.join(known)}."
            raise RefusedError(f'{path}: {place}key "{key}" is unknown.{guess}')


def _table_of(annotation: Any) -> type[BaseModel] | None:
    """Of a list of tables, what a table has."""
    for one in get_args(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def _plain(value: Any) -> Any:
    """A date of TOML as text; a time is none of ours, and stays what no field takes."""
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value


def _said(problems: ValidationError) -> str:
    problem = problems.errors()[0]
    key = ", ".join(f"{part}" if isinstance(part, str) else f"{part + 1}" for part in problem["loc"])
    key = key.replace(", ", " ", 1) if len(problem["loc"]) > 1 else key
    # TOML has no null: it stands for what is not there.
    if problem["type"] == "missing" or problem["input"] is None:
        return f'key "{key}" is missing.'
    what = _SHOULD_BE.get(problem["type"])
    said = f"should be {what}" if what else problem["msg"].replace("Input s", "s", 1)
    return f'key "{key}": "{problem["input"]}" {said}.'
