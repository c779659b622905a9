"""From a SQL model and a schema to a Dagster asset that builds the table, checks it, and shows what is in it.

The factory for report tables, and what all assets share: keys, column schemas, previews. Which assets there are is
listed in assets/.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any

import dagster as dg
import duckdb
import polars as pl

from pipelines import amounts, models, periods, promises, reports
from pipelines.partitions import MONTHS, ONE_RUN
from pipelines.resources import Rollforward, Session, for_people, is_last
from pipelines.shards import Shard
from schemas.table import Table, duckdb_columns

OWNERS = ["team:finance"]
# Of amounts whose unit a preview does not know.
DECIMALS = 2
# Credits times months that a report table is built for at once.
MOST_CREDITS = 10_000_000
SCHEMA_CHECK, TIES_CHECK = "schema", "ties"
REPLAYED = "facts.movements"
DEFECT = (
    "The data is not at fault: this is a defect of the software. Nothing was written over. Report it with the text"
    " above; the merchants that are not named here have their workbooks."
)
DOES_NOT_TIE = (
    "No workbook was written for the merchants named, and their former rows stay. Run `rollforward rebuild`, which"
    " makes the ledger again from archive and journal, and report the month again. If it still does not tie, it is a"
    " defect: report it with the amounts above."
)


# Of a session and a month's partition key: metadata of that month alone, which Dagster plots over the months.
ByMonth = Callable[[Session, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Check:
    """A check that does not block, and what it finds in the periods of a session."""

    spec: dg.AssetCheckSpec
    run: Callable[[Session], dg.AssetCheckResult]


def table(
    name: str, promise: type[Table], *, by_month: ByMonth | None = None, check: Check | None = None
) -> dg.AssetsDefinition:
    """The asset of report table `name`: its SELECT, run for the months of the run, checked against `promise`."""
    key, model = asset_key(name), models.load(name)
    ties = [ties_check(key)] if name in reports.CHECKS else []

    @dg.asset(
        key=key,
        deps=[asset_key(read) for read in lineage(name)],
        description=described(promise, model),
        metadata=described_columns(promise) | sql_of(model),
        group_name=key.path[0],
        kinds={"duckdb", "sql"},
        owners=OWNERS,
        partitions_def=MONTHS,
        backfill_policy=ONE_RUN,
        check_specs=[schema_check(key), *ties, *([check.spec] if check else [])],
    )
    def build(
        context: dg.AssetExecutionContext, rollforward: Rollforward
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        session = rollforward.session
        before = set(session.held_back.problems)
        session.doing(f"Building {name}")
        with for_people():
            session.months(context)
            built = build_report(session, name)
        new = {m: problem for m, problem in session.held_back.problems.items() if m not in before}
        untied = {m: session.held_back.why(m) for m, problem in new.items() if isinstance(problem, reports.TieError)}
        broken = {m: session.held_back.why(m) for m in new if m not in untied and session.held_back.is_defect(m)}
        if not untied and not broken:
            session.stop_if_nobody_is_left()
        for promised, problems, advice in ((SCHEMA_CHECK, broken, DEFECT), (TIES_CHECK, untied, DOES_NOT_TIE)):
            if promised == SCHEMA_CHECK or ties:
                yield dg.AssetCheckResult(
                    passed=not problems,
                    check_name=promised,
                    asset_key=key,
                    # The others' workbooks are made all the same: only where nobody is left does this stop the run.
                    severity=dg.AssetCheckSeverity.WARN if session.shards else dg.AssetCheckSeverity.ERROR,
                    metadata={"rows": sum(one.rows for one in built)} | failed(problems, advice),
                )
        session.stop_if_nobody_is_left()
        figures = _by_month(session, name)
        for month in context.partition_keys:
            more = by_month(session, month) if by_month else {}
            context.add_asset_metadata({**figures.get(month, {}), **more}, partition_key=month)
        if check:
            yield check.run(session)
        preview = pl.concat([one.preview for one in built]).head(reports.PREVIEW_ROWS)
        yield dg.MaterializeResult(metadata={"preview": markdown(preview)})
        if is_last(context):
            session.end()

    return build


def build_report(session: Session, name: str) -> list[reports.Built]:
    """Build a report table for the session's periods, all merchants' at once, in as few transactions as memory allows.

    What it reads comes first, where this run has not built it. A merchant whose rows break a promise is held back; of
    the months where they do, and of later ones, the former rows stay.
    """
    bring_up(session, [read for read in reports.reads(name) if read in reports.names()])

    def work(shard: Shard) -> list[reports.Built]:
        built = []
        for some in _that_fit(shard, session.periods_of(shard)):
            session.ask(shard, some)
            with promises.transaction(shard.connection):
                built.append(reports.build(shard.connection, name))
        return built

    built = [one for shard in session.shards for one in chain(*session.held_back.together_or_apart(shard, work))]
    for shard in session.shards:
        session.ask(shard, session.periods_of(shard))
    session.built.add(name)
    return built


def bring_up(session: Session, names: Sequence[str]) -> None:
    """Take files, replay and build these report tables, each unless this run has done so.

    A run of some assets only, chosen on the page or run again from where another failed, finds in the others what they
    were on some other day, or nothing: sheets of one workbook that do not go together.
    """
    if REPLAYED not in session.built:
        session.bring_in()
        for shard in session.shards:
            session.replay_shard(shard)
        session.built.add(REPLAYED)
    for name in names:
        if name not in session.built:
            build_report(session, name)


def _that_fit(shard: Shard, told: Sequence[periods.Period]) -> Iterator[list[periods.Period]]:
    """The periods, so many months at a time as memory has room for: each of them may show every credit there is."""
    months = sorted({period.first_day for period in told})
    at_once = max(1, MOST_CREDITS // max(1, shard.connection.table("facts.credits").shape[0]))
    for start in range(0, max(1, len(months)), at_once):
        some = months[start : start + at_once]
        yield [period for period in told if period.first_day in some]


def asset_key(name: str) -> dg.AssetKey:
    """`reports.credits_created` -> reports/credits_created."""
    return dg.AssetKey(name.split("."))


WORKBOOK = asset_key("workbook.credits_workbook")


def lineage(name: str) -> list[str]:
    """The tables that `name` is made from, but for settings, what the machinery keeps for itself, and its own."""
    return sorted(
        {read for read in reports.reads(name) if not read.startswith("settings.")} - {"ledger.published", name}
    )


def schema_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The blocking check that every table has."""
    return dg.AssetCheckSpec(
        SCHEMA_CHECK,
        asset=key,
        blocking=True,
        description="Every row keeps what schemas/ promises of the table: columns, types, nothing blank that must not"
        " be, no amount out of range. A failure is a defect of the software; the former rows are kept. What to do:"
        " report it with the text of the failed result.",
    )


def view_schema_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The blocking check that every view has."""
    return dg.AssetCheckSpec(
        SCHEMA_CHECK,
        asset=key,
        blocking=True,
        description="The view has the columns and types that schemas/ promises, and the rows of its preview keep the"
        " rest of it. The rows that it is made of were checked when they were written. A failure is a defect of the"
        " software. What to do: report it with the text of the failed result.",
    )


def ties_check(key: dg.AssetKey) -> dg.AssetCheckSpec:
    """The blocking check that the summary adds up."""
    return dg.AssetCheckSpec(
        TIES_CHECK,
        asset=key,
        blocking=True,
        description="Every total equals what it is held against: the rows of its sheet, the credits' own remains,"
        " opening + movements = closing, the breakdowns. A merchant where something does not tie gets no workbook;"
        " the others do. What to do: open the failed result, which names both sides with their amounts.",
    )


def failed(problems: Mapping[str, str], advice: str) -> dict[str, Any]:
    """What a check says where it has failed for these merchants: what is wrong, and what to do."""
    if not problems:
        return {}
    # As text: Markdown is shown by Dagster at a click only.
    what = "\n".join(f"{merchant_id}: {why}" for merchant_id, why in problems.items())
    return {"what": dg.MetadataValue.text(what), "what_to_do": dg.MetadataValue.text(advice)}


def sql_of(*shown: models.Model) -> dict[str, Any]:
    """The SQL that a table is made by, and the tables that it reads, as text."""
    reads = sorted({table for model in shown for table in model.reads})
    return {
        "sql": dg.MetadataValue.md("\n\n".join(f"```sql\n{model.sql}\n```" for model in shown)),
        "reads": dg.MetadataValue.text(", ".join(reads)),
    }


def described(promise: type[Table], model: models.Model | None = None) -> str:
    """What an asset is, for the person who sees it in the graph."""
    return model.summary if model else (promise.__doc__ or "").partition("\n")[0]


def described_columns(promise: type[Table]) -> dict[str, Any]:
    """Column schema metadata."""
    columns = promise.to_schema().columns
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(
                    name,
                    kind,
                    description=columns[name].description,
                    constraints=dg.TableColumnConstraints(nullable=columns[name].nullable),
                )
                for name, kind in duckdb_columns(promise).items()
            ]
        )
    }


def head_of(connection: duckdb.DuckDBPyConnection, name: str, order: str = "rowid") -> pl.DataFrame:
    """The first rows of a table, for its preview; without `order` those that lie first, which takes no looking."""
    select = f"select * from {name} order by {order} limit {reports.PREVIEW_ROWS}"  # noqa: S608 - our own tables
    return connection.execute(select).pl()


def markdown(
    frame: pl.DataFrame, columns: Sequence[str] | None = None, most: int | None = None
) -> dg.MarkdownMetadataValue:
    """The rows as a table, of these columns (all, unless said); of more than `most` the first, and how many more."""
    if frame.is_empty():
        return dg.MetadataValue.md("None.")
    names = columns or frame.columns
    shown = frame if most is None else frame.head(most)
    more = f"\n\n… and {frame.height - shown.height:,} more." if shown.height < frame.height else ""
    return dg.MetadataValue.md(markdown_table(names, shown_rows(shown, names)) + more)


def shown_rows(frame: pl.DataFrame, columns: Sequence[str] | None = None) -> list[list[Any]]:
    """The rows, amounts as people read them: with the decimals of their unit, where the frame says how many it has."""
    decimals = frame["decimals"] if "decimals" in frame.columns else [DECIMALS] * frame.height
    return [
        [amounts.shown(value, places) if isinstance(value, Decimal) else value for value in row]
        for row, places in zip(frame.select(columns or frame.columns).rows(), decimals, strict=True)
    ]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; what is in a cell cannot leave it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    # A line may end in many ways, and an image would be fetched from wherever the data says.
    text = " ".join(str(value).splitlines())
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("[", "\\[").replace("<", "&lt;")[:200]


def _by_month(session: Session, name: str) -> dict[str, dict[str, Any]]:
    """Of each month: how many rows the table has, and what its amounts come to in each unit.

    Numbers of the same name in every month, so that they make a plot over the months.
    """
    months: dict[str, dict[str, Any]] = {}
    for shard in session.shards:
        for period in session.periods_of(shard):
            months.setdefault(period.first_day.isoformat(), {"dagster/row_count": 0})
        for month, figure, amount in reports.figures(shard.connection, name):
            of = months[month]
            of[figure] = of.get(figure, 0) + (int(amount) if amount == int(amount) else float(amount))
    return months
