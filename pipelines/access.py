"""Who may do what: `access.toml`, read and checked.

An actor is a claim, not proof: whoever can run Rollforward on a home can name anyone. What is kept of each operation
(see `schemas.ledger.Operations`) says so with the OS user, the run and the interface.
"""

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.settings import Home, SettingsError, read_toml

Role = Literal["viewer", "administrator", "owner"]
ROLES: tuple[Role, ...] = ("viewer", "administrator", "owner")
EVERY_MERCHANT = "*"


class Actor(BaseModel):
    """One table of access.toml: a person, what they may do, and at which merchants."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    email: str
    name: str
    role: Role
    merchants: tuple[str, ...]

    def may(self, role: Role, merchant_id: str) -> bool:
        """Whether the actor has `role`, or a higher one, at the merchant."""
        return ROLES.index(self.role) >= ROLES.index(role) and self.is_of(merchant_id)

    def is_of(self, merchant_id: str) -> bool:
        """Whether the actor has any role at the merchant."""
        return merchant_id in self.merchants or EVERY_MERCHANT in self.merchants


def read_access(home: Home) -> Mapping[str, Actor]:
    """Every actor of `access.toml` by email in lower case; nobody where there is no such file.

    Raises SettingsError, naming the file, the actor and the key.
    """
    path = home.access_file
    try:
        tables = read_toml(path)
    except FileNotFoundError:
        return {}
    for key in tables.keys() - {"actors"}:
        raise SettingsError(f'{path}: key "{key}" is unknown; actors are tables such as [actors."ann@shop.example"].')
    declared = tables.get("actors", {})
    if not isinstance(declared, dict):
        raise SettingsError(f'{path}: actors are tables such as [actors."ann@shop.example"], each under its email.')
    actors: dict[str, Actor] = {}
    for email, keys in declared.items():
        actor = _actor(path.name, email, keys)
        if actors.setdefault(email.casefold(), actor) is not actor:
            raise SettingsError(f'{path.name}: actor "{email}" is there twice; upper and lower case are one person.')
    return actors


def _actor(file: str, email: str, keys: object) -> Actor:
    if not isinstance(keys, dict) or "email" in keys:
        raise SettingsError(f'{file}: actor "{email}": write name, role and merchants as a table.')
    made = {name: tuple(value) if isinstance(value, list) else value for name, value in keys.items()}
    try:
        return Actor.model_validate({"email": email, **made})
    except ValidationError as problems:
        problem = problems.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        said = {
            "missing": "is missing",
            "extra_forbidden": "is unknown; there are name, role and merchants",
            "tuple_type": 'should be a list such as ["green-acres"] or ["*"]',
            "literal_error": f"should be one of {', '.join(ROLES)}",
        }.get(problem["type"], "should be text in quotes")
        raise SettingsError(f'{file}: actor "{email}": key "{key}" {said}.') from None
