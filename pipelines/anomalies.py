"""Anomaly rules: what the header of each file in sql/anomalies says, and running them all over the periods at hand.

A rule is a file: its name is the rule's, its first line what it is, its header says severity, version, what it means,
what to do, and the keys of merchants.toml that it goes by. What a rule finds is in its SQL and nowhere else.
`python -m pipelines.anomalies` writes docs/anomalies.md from the headers.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from pipelines import models
from pipelines.models import Model, ModelError
from schemas.audits import SEVERITIES

DOCUMENT = Path(__file__).parents[1] / "docs" / "anomalies.md"
FOUND = "found_flags"
# What a rule may say of a flag; what it does not is blank.
_COLUMNS = {
    "rule": "varchar",
    "severity": "varchar",
    "rule_version": "bigint",
    "merchant_id": "varchar",
    "period": "varchar",
    "member_id": "varchar",
    "credit_id": "varchar",
    "batch_id": "varchar",
    "entry_ids": "varchar[]",
    "unit": "varchar",
    "amount_at_risk": "decimal(38, 4)",
    "observed": "varchar",
    "threshold": "varchar",
    "explanation": "varchar",
}
_SAID = re.compile(r"-- (?P<key>severity|version|settings|thresholds|means|do): (?P<text>.+)")
_REQUIRED = {"severity", "version", "means", "do"}
_THRESHOLD = re.compile(r"([a-z_]+) = (\[[^]]*\]|\"[^\"]*\"|[\d.]+)")

# The balance type of entries that name none themselves but what has one: as the replay took it, by what they moved or
# would have. For rules that tell such entries' amounts, of a relation of theirs by its name.
_ACCOUNTS_OF = """
create or replace temp macro accounts_of(entries) as table
with untold as (
  select merchant_id, entry_id, credit_id, member_id
  from query_table(entries)
  where balance_type is null
    and (credit_id is not null or entry_type = 'refunded')
    and entry_type not in ('opening', 'created', 'transferred_in')
)

select merchant_id, entry_id, any_value(balance_type) as balance_type
from (
  select merchant_id, entry_id, balance_type from facts.movements where part = 1
  union all
  select merchant_id, entry_id, balance_type from facts.findings
  union all
  select untold.merchant_id, untold.entry_id, credit.balance_type
  from untold
  join facts.credits as credit using (merchant_id, credit_id, member_id)
)
semi join untold using (merchant_id, entry_id)
group by merchant_id, entry_id
"""


@dataclass(frozen=True)
class Rule:
    """One file of sql/anomalies, by what its header says."""

    model: Model
    severity: str
    version: int
    means: str
    do: str
    settings: tuple[str, ...]
    thresholds: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """The rule's name, as flags have it."""
        return self.model.name.partition(".")[2]

    @property
    def title(self) -> str:
        """What it is, without its grain."""
        return self.model.summary.rpartition(":")[0]


@cache
def rules() -> tuple[Rule, ...]:
    """Every rule: errors first, then by name. Raises ModelError for a file whose header lacks something."""
    found = [_rule(model) for model in models.load_all("anomalies")]
    return tuple(sorted(found, key=lambda rule: (SEVERITIES.index(rule.severity), rule.name)))


def reads() -> list[str]:
    """The tables that any of the rules selects from."""
    return sorted({table for rule in rules() for table in rule.model.reads})


def find(connection: duckdb.DuckDBPyConnection) -> dict[str, float]:
    """Fill the temporary table found_flags with what every rule finds in settings.periods; seconds of each rule.

    A rule that fails is an error of the run: there are no flags without it.
    """
    columns = ", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())
    connection.execute(f"create or replace temp table {FOUND} ({columns})")
    connection.execute(_ACCOUNTS_OF)
    seconds = {}
    for rule in rules():
        started = time.perf_counter()
        run(connection, rule)
        seconds[rule.name] = time.perf_counter() - started
    return seconds


def run(connection: duckdb.DuckDBPyConnection, rule: Rule) -> None:
    """Add what one rule finds to found_flags."""
    connection.execute(
        f"insert into {FOUND} by name select $rule as rule, $severity as severity,"  # noqa: S608 - our own files
        f" $version::bigint as rule_version, * from ({rule.model.sql})",
        {"rule": rule.name, "severity": rule.severity, "version": rule.version},
    )


def document() -> str:
    """docs/anomalies.md, from the headers."""
    parts = [_INTRODUCTION, _overview(rules())]
    for rule in rules():
        keys = [f"`{name}` = {default}" for name, default in rule.thresholds]
        goes_by = [*(f"`{name}`" for name in rule.settings), *keys]
        parts.append(
            f"## {rule.name}\n\n*{rule.severity}, version {rule.version}.* {rule.title}.\n\n{rule.means}\n\n"
            f"**What to do:** {rule.do}\n" + (f"\n**Goes by:** {', '.join(goes_by)}.\n" if goes_by else "")
        )
    return "\n".join(parts)


_INTRODUCTION = """\
# Anomaly flags

Which rows deserve a look, rule by rule. This page is made from the headers of `sql/anomalies/` by
`python -m pipelines.anomalies`; a test holds the two together. Adding a rule is adding a file there.

An **error** is wrong data or a control that failed; with `block_on_errors = true` it holds back its merchant's
workbook. A **warning** wants to be looked at. **Info** is good to know. A flag says what was found, never that somebody
did wrong. Thresholds are keys of `[merchants.<id>.anomalies]` in `merchants.toml`, with the defaults shown; other keys
are the merchant's own. A rule looks at the period of the workbook unless it says otherwise, at amounts of one unit at
a time, and at credits that were created, not at opening balances or transfers.
"""


def _overview(all_rules: Sequence[Rule]) -> str:
    lines = [f"| [{rule.name}](#{rule.name}) | {rule.severity} | {rule.title} |" for rule in all_rules]
    return "\n".join(["| rule | severity | what it shows |", "|---|---|---|", *lines, ""])


def _rule(model: Model) -> Rule:
    said: dict[str, str] = {}
    key = ""
    for line in model.sql.splitlines()[1:]:
        if not line.startswith("--"):
            break
        if found := _SAID.fullmatch(line):
            key = found["key"]
            said[key] = found["text"]
        elif key and line.startswith("--   "):
            said[key] += " " + line.removeprefix("--   ")
    file = f"sql/{model.name.replace('.', '/')}.sql"
    if missing := _REQUIRED - said.keys():
        raise ModelError(f"{file}: its header does not say {', '.join(sorted(missing))}.")
    if said["severity"] not in SEVERITIES:
        raise ModelError(f"{file}: severity {said['severity']} is none of {', '.join(SEVERITIES)}.")
    return Rule(
        model,
        said["severity"],
        int(said["version"]),
        said["means"],
        said["do"],
        tuple(filter(None, said.get("settings", "").split(", "))),
        tuple((name, default) for name, default in _THRESHOLD.findall(said.get("thresholds", ""))),
    )


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
