"""Customer balances and balance history: what they say, what reading them costs, and who finds them where."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner

from pipelines import listings, shards, views
from pipelines.cli import main
from pipelines.portal.copies import Reader
from pipelines.rebuild import rebuild
from pipelines.settings import read_merchants
from schemas.table import duckdb_columns
from tests.desks import Office, make_office
from tests.homes import make_home
from tests.ledgers import Ledger
from tests.reported import ledger_of
from tests.tables import assert_rows

# May's credit has expired, and that of the distant future has not: whenever this runs.
YEARS = """
    entry_id  entry_type  occurred_at       member_id  balance_type  amount  expires_at
    may       created     2026-05-01T12:00  ada        default        10.00  2026-05-31T12:00
    june      created     2026-06-01T12:00  ada        default        10.00  2999-01-01T12:00
    buy       redeemed    2026-05-02T12:00  ada        default         4.00
    token     created     2026-05-01T22:00  ada        winston            3
    bobs      created     2026-05-01T12:00  bob        default         5.00
    more      redeemed    2026-05-31T22:00  bob        default         6.00
"""


@pytest.fixture
def ledger() -> Ledger:
    return ledger_of(YEARS, members="member_id  email           first_name\nada        ada@mail.test   Ada")


def test_a_balance_is_what_has_moved_until_now_and_not_what_will_expire(ledger: Ledger) -> None:
    assert_rows(
        ledger.rows("facts.customer_balances", "member_id, balance_type"),
        """
        member_id  email          first_name  employee  balance_type  unit  balance  history_rows
        ada        ada@mail.test  Ada         false     default       USD     10.00             4
        ada        ada@mail.test  Ada         false     winston       TKN      3.00             1
        bob                                   false     default       USD     -1.00             3
    """,
    )
    (ada, *_) = ledger.rows("facts.customer_balances", "member_id, balance_type")
    assert (f"{ada['created']:%Y-%m-%d}", f"{ada['updated']:%Y-%m-%d}") == ("2026-05-01", "2026-06-01")
    assert abs(datetime.now(UTC) - ada["as_of"]).total_seconds() < 60


def test_the_history_runs_to_the_balance_of_each_account(ledger: Ledger) -> None:
    assert_rows(
        ledger.rows("facts.balance_history", "member_id, balance_type, sequence"),
        """
        member_id  balance_type  sequence  movement_id  movement_type  amount  balance
        ada        default              1  may          created         10.00    10.00
        ada        default              2  buy          redeemed        -4.00     6.00
        ada        default              3  may.expired  expired         -6.00     0.00
        ada        default              4  june         created         10.00    10.00
        ada        winston              1  token        created          3.00     3.00
        bob        default              1  bobs         created          5.00     5.00
        bob        default              2  more.1       redeemed        -5.00     0.00
        bob        default              3  more.2       redeemed        -1.00    -1.00
    """,
    )


@pytest.mark.parametrize("name", views.VIEWS)
def test_a_view_has_the_columns_that_its_schema_promises(ledger: Ledger, name: str) -> None:
    has = ledger.connection.sql(f"from {name}")
    promised = duckdb.sql(
        f"select {', '.join(f'null::{t} as {c}' for c, t in duckdb_columns(views.VIEWS[name]).items())}"
    )
    assert (has.columns, has.types) == (promised.columns, promised.types)


def scans(connection: duckdb.DuckDBPyConnection, select: str, *values: Any) -> dict[str, str]:
    """What each scan of the query's plan is filtered by, by table."""
    row = connection.execute(f"explain (format json) {select}", [*values]).fetchone()
    assert row is not None

    def leaves(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        for node in nodes:
            if "Table" in node["extra_info"]:
                yield node["extra_info"]["Table"].rpartition(".")[2], str(node["extra_info"].get("Filters", ""))
            yield from leaves(node["children"])

    return dict(leaves(json.loads(row[1])))


def test_who_asks_for_one_member_reads_the_rows_of_nobody_else(ledger: Ledger) -> None:
    history = scans(ledger.connection, "from facts.balance_history where member_id = $1", "ada")
    assert set(history) == {"movements", "entries", "credits"}
    assert all("member_id='ada'" in filters for filters in history.values()), history
    by_type = scans(ledger.connection, "from facts.balance_history where balance_type = 'winston'")
    assert "balance_type='winston'" in by_type["movements"]
    balances = scans(ledger.connection, "from facts.customer_balances where member_id = $1", "ada")
    assert all("member_id='ada'" in filters for filters in balances.values()), balances


def test_only_a_view_that_was_made_otherwise_is_made_again(tmp_path: Path) -> None:
    installation = make_home(tmp_path)
    path = shards.ledger_path(installation.home, "main")
    with installation.opened():
        pass
    before = path.stat().st_mtime_ns
    with installation.opened() as shard:
        assert shards.read_copy_is_current(installation.home, "main")
        connection = shard.connection
        connection.execute("create or replace view facts.balance_history as select 1 as former")
        views.create(connection)
        assert "former" not in connection.sql("from facts.balance_history").columns
    assert path.stat().st_mtime_ns != before
    before = path.stat().st_mtime_ns
    with installation.opened():
        pass
    assert path.stat().st_mtime_ns == before


@pytest.fixture
def office(tmp_path: Path) -> Office:
    made = make_office(tmp_path)
    made.land(YEARS)
    return made


def read(office: Office, select: str) -> list[tuple[Any, ...]]:
    """As an analyst reads the copy, or the ledger of whoever has it."""
    with duckdb.connect(str(shards.read_copy_path(office.installation.home, "main")), read_only=True) as connection:
        return connection.execute(select).fetchall()


def listed(office: Office, *arguments: str) -> Any:
    """What a command lists."""
    done = CliRunner().invoke(main, ["--home", str(office.home), "--json", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


ADA = "select balance::double, history_rows from facts.customer_balances where member_id = 'ada' and unit = 'USD'"


def test_balances_follow_an_operation_and_come_out_of_a_rebuild_the_same(office: Office) -> None:
    office.do("adjust", member="ada", amount="2.50", reason="Other reason", other_reason="Egg")
    assert read(office, ADA) == [(12.5, 5)]
    what = "* exclude as_of"
    before = [read(office, f"select {what} from {name} order by all") for name in views.VIEWS]
    (outcome,) = rebuild(office.installation.home, wait_s=0, say=lambda _: None)
    assert outcome.differences == ()
    assert [read(office, f"select {what} from {name} order by all") for name in views.VIEWS] == before
    (row,) = [
        row for row in listed(office, "history", "ada") if row["reason_details"] == "Egg" or row["reason"] == "Egg"
    ]
    assert (row["amount"], row["balance"], row["sequence"]) == ("2.50", "12.50", 5)
    assert row["as_of"]


@pytest.mark.parametrize(
    ("filters", "members"),
    [
        ((), ["ada", "ada", "bob"]),
        (("--member", "bob"), ["bob"]),
        (("--email", "ADA@"), ["ada", "ada"]),
        (("--name", "ada love"), ["ada", "ada"]),
        (("--first-name", "da", "--last-name", "lace", "--unit", "TKN"), ["ada"]),
        (("--balance-type", "winston"), ["ada"]),
        (("--name", "zoë ÅNG"), ["bob"]),
        (("--first-name", "zoe\u0308", "--last-name", "a\u030angs"), ["bob"]),
        (("--employee", "yes"), []),
        (("--min-balance", "3", "--max-balance", "10.00"), ["ada", "ada"]),
        (("--max-balance", "-0.5"), ["bob"]),
        (("--min-history", "4"), ["ada"]),
        (("--updated-from", "2026-06-01"), ["ada"]),
        (("--updated-to", "2026-05-31"), ["ada", "bob"]),
        (("--created-from", "2026-05-02"), []),
        (("--created-to", "2026-05-01"), ["ada", "ada", "bob"]),
    ],
)
def test_balances_are_found_by_each_of_their_columns(
    office_once: Office, filters: tuple[str, ...], members: list[str]
) -> None:
    assert [row["member_id"] for row in listed(office_once, "balances", *filters)] == members


@pytest.fixture(scope="module")
def office_once(tmp_path_factory: pytest.TempPathFactory) -> Office:
    made = make_office(tmp_path_factory.mktemp("balances"))
    made.land(YEARS)
    made.installation.land(
        "acme/members/members.csv",
        # The accent of Zoë is a character of its own here, as files of a Mac may have it.
        "member_id,email,first_name,last_name\nada,ada@m.test,Ada,Lovelace\nbob,bob@m.test,Zoe\u0308,Ångström\n",
    )
    with made.shard():
        pass
    return made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--min-balance", "ten"), '"ten" is not an amount'),
        (("--created-to", "May"), '"May" is not a date'),
        (("--min-history", "9" * 20), f"{'9' * 20} is not in the range"),
    ],
)
def test_a_filter_that_is_no_amount_or_day_is_said(office_once: Office, arguments: tuple[str, ...], said: str) -> None:
    done = CliRunner().invoke(main, ["--home", str(office_once.home), "balances", *arguments])
    assert done.exit_code == 2
    assert said in done.stderr


def test_a_ledger_of_a_former_version_says_how_it_gets_them_and_does(office: Office) -> None:
    home = office.installation.home
    with office.shard() as shard:
        for name in views.VIEWS:
            shard.connection.execute(f"drop view {name}")
    asked = {"member": "ada", "balance_type": None}
    with pytest.raises(listings.ListingError, match="written by another version"):
        listings.read(home, "balance_history", (), asked)
    with office.shard():
        pass
    assert listings.read(home, "balance_history", (), asked).height == 5


def test_the_portal_reads_them_of_its_merchant_alone(office: Office) -> None:
    installation = office.installation
    installation.configure(
        '[merchants.acme]\nname = "Acme"\ntimezone = "UTC"\ncurrency = "USD"\n'
        'balance_types = { winston = { unit = "TKN", decimals = 0 } }\n'
        '[merchants.other]\nname = "Other"\ntimezone = "UTC"\ncurrency = "USD"\n'
    )
    installation.land(
        "other/entries/e.csv", "entry_id,entry_type,occurred_at,member_id,amount\nx,created,2026-06-01,ada,7\n"
    )
    with office.shard():
        pass
    reader = Reader(installation.home, read_merchants(installation.home)["other"], masked=True)
    for name in views.VIEWS:
        (row,) = reader._connection.execute(f"select merchant_id, balance::double from {name}").fetchall()
        assert row == ("other", 7.0)
    narrowed = scans(reader._connection, "from facts.balance_history where member_id = 'ada'")
    assert all("member_id='ada'" in one and "merchant_id='other'" in one for one in narrowed.values()), narrowed
    reader.close()


def test_the_portal_shows_batches_as_of_now_after_a_clock_that_was_ahead_is_set_back(office: Office) -> None:
    office.installation.configure('[merchants.acme]\nname = "Acme"\ntimezone = "UTC"\ncurrency = "USD"\n')
    office.installation.land(
        "acme/entries/e.csv",
        "entry_id,entry_type,occurred_at,member_id,amount,batch_id,expires_at\n"
        "a,created,2026-06-01T12:00,ada,7.00,summer,2026-07-01\n",
    )
    with office.shard():
        pass
    reader = Reader(office.installation.home, read_merchants(office.installation.home)["acme"], masked=False)
    june, august = datetime(2026, 6, 10, tzinfo=UTC), datetime(2026, 8, 10, tzinfo=UTC)
    for now, remaining in ((august, 0.0), (june, 7.0)):
        with reader.batches(now) as as_of:
            (row,) = reader._connection.execute("select remaining::double from audits.batch_recipients").fetchall()
        assert (as_of, row) == (now, (remaining,))
    reader.close()
