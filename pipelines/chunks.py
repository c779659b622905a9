"""Between rows and the kernel: entries as arrays, and the kernel's numbers as rows of facts.movements again.

A chunk is whole accounts, in the order of the replay (sql/facts/movements.sql). Only the translation belongs here;
where chunks come from and go to is `pipelines.replay`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from pipelines import clock, kernel
from pipelines.kernel import Numbers

Flags = npt.NDArray[np.bool_]

# What sql/facts/movements.sql writes where there is no number.
CODES = {
    "kinds": list(kernel.KINDS),
    "none": kernel.NONE,
    "unknown": kernel.UNKNOWN,
    "free": kernel.FREE,
    "wrong_unit": kernel.WRONG_UNIT,
    "other_account": kernel.OTHER_ACCOUNT,
}
_GIVES = frozenset({"opening", "created", "transferred_in", "refunded"})
_SIGNS = np.array([0 if kind == "expiry_changed" else 1 if kind in _GIVES else -1 for kind in kernel.KINDS])


@dataclass(frozen=True)
class Replayed:
    """What has become of a chunk."""

    movements: pl.DataFrame
    findings: pl.DataFrame


@dataclass(frozen=True)
class Policies:
    """What merchants have decided: `merchants` and `balance_types` as in the settings database."""

    merchants: pl.DataFrame
    balance_types: pl.DataFrame


@dataclass(frozen=True)
class Places:
    """Where in a chunk each numbered credit and redemption is. Those of other chunks are never looked up."""

    credits: Numbers
    redemptions: Numbers


def places(highest_credit: int, highest_redemption: int) -> Places:
    """Room for the places of credits and redemptions, numbered from 0 to the highest; below 0 where there are none."""
    return Places(*(np.zeros(max(highest, 0) + 1, np.int64) for highest in (highest_credit, highest_redemption)))


def replay(chunk: pl.DataFrame, members: pl.DataFrame, where: Places, policies: Policies) -> Replayed:
    """Replay a chunk.

    `chunk` has the columns of sql/facts/movements.sql, `members` those of sql/facts/counted_members.sql, all of them.
    Of the result, `movements` has the columns of schemas.facts.Movements, `findings` those that
    sql/facts/findings.sql reads.
    """
    kinds = chunk["kind"].to_numpy()
    credit, redemption = (chunk[name].cast(pl.Int64).to_numpy() for name in ("credit", "redemption"))
    positions = np.arange(chunk.height)
    opens = kinds <= kernel.TRANSFERRED_IN
    where.credits[credit[opens]] = positions[opens]
    is_given_back = (kinds == kernel.REDEEMED) & (redemption >= 0)
    where.redemptions[redemption[is_given_back]] = positions[is_given_back]
    texts = _texts(chunk, members, policies.balance_types)
    begins = _account_begins(chunk)
    oldest_first = policies.merchants.filter(draw_order="oldest_first")["merchant_id"]
    moved, found, parts = kernel.replay(
        np.append(begins, chunk.height),
        kinds,
        _micros(chunk["occurred_at"], kernel.NEVER),
        _ten_thousandths(chunk["amount"]),
        _micros(chunk["expires_at"], kernel.NEVER),
        chunk["priority"].to_numpy(),
        credit,
        _looked_up(where.credits, credit),
        _looked_up(where.redemptions, redemption),
        chunk["barred"].to_numpy(),
        _micros(chunk["grace"], kernel.NO_GRACE),
        texts["merchant_id"].gather(begins).is_in(oldest_first.implode()).to_numpy(),
        chunk.height + chunk.height // 2,
    )
    timezones = dict(policies.merchants.select("merchant_id", "timezone").iter_rows())
    return Replayed(_movements(texts, moved, parts, timezones), _findings(texts, chunk, found))


def _looked_up(where: Numbers, numbers: Numbers) -> Numbers:
    """The place of each number. Codes, which are below zero, stay."""
    return np.where(numbers < 0, numbers, where[np.maximum(numbers, 0)])


def _account_begins(chunk: pl.DataFrame) -> Numbers:
    same = (chunk["member"] == chunk["member"].shift()) & (chunk["balance_type"] == chunk["balance_type"].shift())
    return np.flatnonzero(~same.fill_null(False).to_numpy())


def _texts(chunk: pl.DataFrame, members: pl.DataFrame, balance_types: pl.DataFrame) -> pl.DataFrame:
    """What movements and findings say of the entry, or the credit, at each position."""
    whose = _gathered(members.select("merchant_id", "member_id"), chunk["member"])
    said = whose.hstack(
        chunk.select(
            "balance_type",
            "entry_id",
            "credit_id",
            "redemption_id",
            id=pl.when(pl.col("kind") == kernel.REDEEMED).then("redemption_id").otherwise("entry_id"),
            expiry_id=pl.col("credit_id") + ".expired",
        )
    )
    return said.join(balance_types, on=["merchant_id", "balance_type"], how="left", maintain_order="left")


def _movements(texts: pl.DataFrame, moved: Numbers, parts: Numbers, timezones: Mapping[str, str]) -> pl.DataFrame:
    entry, credit, kind, part = (
        moved[row] for row in (kernel.ENTRY, kernel.CREDIT, kernel.KIND, kernel.PART)
    )  # fmt: skip
    derived, covered = entry < 0, credit >= 0
    whose = _gathered(
        texts.select("merchant_id", "member_id", "balance_type", "unit"), pl.Series(np.where(derived, credit, entry))
    )
    by_entry = _gathered(texts.select("entry_id", "redemption_id", "id"), _positions(entry, ~derived))
    by_credit = _gathered(texts.select("credit_id", "expiry_id"), _positions(credit, covered))
    ids = pl.select(
        id=pl.coalesce(by_entry["id"], by_credit["expiry_id"]),
        part=pl.Series(part),
        several=pl.Series(np.where(derived, part > 1, parts[np.maximum(entry, 0)] > 1)),
    ).with_columns(movement_id=pl.when("several").then(pl.format("{}.{}", "id", "part")).otherwise("id"))
    gives_back, expires_at, valid_until = (
        moved[row] for row in (kernel.GIVES_BACK, kernel.EXPIRES_AT, kernel.VALID_UNTIL)
    )  # fmt: skip
    return whose.with_columns(
        ids["movement_id"],
        ids["id"],
        ids["part"],
        by_entry["entry_id"],
        _named("movement_type", kernel.KINDS, kind),
        by_credit["credit_id"],
        by_entry["redemption_id"],
        redemption_movement_id=ids["movement_id"].gather(_positions(gives_back, gives_back >= 0)),
        amount=_money(moved[kernel.AMOUNT]),
        signed_amount=_money(moved[kernel.AMOUNT] * _SIGNS[kind]),
        occurred_at=_instants(moved[kernel.OCCURRED_AT]),
        day=_local_days(moved[kernel.OCCURRED_AT], whose["merchant_id"], timezones),
        derived=pl.Series(derived),
        sequence=pl.Series(moved[kernel.SEQUENCE]),
        remaining=_money(moved[kernel.REMAINING], covered),
        expires_at=_instants(expires_at, expires_at < kernel.NEVER),
        valid_until=_instants(valid_until, valid_until < kernel.NEVER),
    )


def _findings(texts: pl.DataFrame, chunk: pl.DataFrame, found: Numbers) -> pl.DataFrame:
    entry, credit, asserted = (
        found[row] for row in (kernel.FINDING_ENTRY, kernel.FINDING_CREDIT, kernel.ASSERTED)
    )  # fmt: skip
    said = _gathered(chunk.select("kind", "occurred_at", "amount"), pl.Series(entry))
    whose = texts.select("merchant_id", "member_id", "balance_type", "unit", "decimals", "entry_id", "redemption_id")
    return _gathered(whose, pl.Series(entry)).with_columns(
        _named("finding", kernel.FINDINGS, found[kernel.FINDING]),
        _named("entry_type", kernel.KINDS, said["kind"].to_numpy()),
        said["occurred_at"],
        credit_id=texts["credit_id"].gather(np.where(credit >= 0, credit, entry)),
        stated=said["amount"],
        amount=_money(found[kernel.CONCERNED]),
        unmoved=_money(found[kernel.UNMOVED]),
        asserted=_money(asserted, asserted >= 0),
        derived=_money(found[kernel.DERIVED], asserted >= 0),
    )


def _gathered(frame: pl.DataFrame, positions: pl.Series) -> pl.DataFrame:
    """A row of `frame` for each position; blanks where it is blank."""
    return frame.select(pl.all().gather(positions))


def _positions(positions: Numbers, present: Flags) -> pl.Series:
    return _blank_unless(pl.Series(positions, dtype=pl.Int64), present)


def _named(column: str, names: Sequence[str], codes: npt.NDArray[np.signedinteger[Any]]) -> pl.Series:
    return pl.Series(column, names, dtype=pl.String).gather(codes)


def _instants(micros: Numbers, present: Flags | None = None) -> pl.Series:
    instants = pl.Series(micros, dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
    return instants if present is None else _blank_unless(instants, present)


def _blank_unless(series: pl.Series, present: Flags) -> pl.Series:
    return pl.select(pl.when(pl.Series(present)).then(series)).to_series()


def _micros(instants: pl.Series, blank: int) -> Numbers:
    return instants.to_physical().fill_null(blank).to_numpy()


def _ten_thousandths(amounts: pl.Series) -> Numbers:
    """The numbers behind exact decimals, which are the lower of the two words that Arrow has for each."""
    arrow = amounts.rechunk().to_arrow()
    words = np.frombuffer(arrow.buffers()[1], np.int64)
    return np.ascontiguousarray(words[2 * arrow.offset :: 2][: len(arrow)])


def _money(ten_thousandths: Numbers, present: Flags | None = None) -> pl.Series:
    """Exact decimals, as Arrow has them: the number, and 64 bits of its sign above it."""
    words = np.empty((ten_thousandths.size, 2), np.int64)
    words[:, 0] = ten_thousandths
    words[:, 1] = ten_thousandths >> 63
    bits = None if present is None else pa.array(present).buffers()[1]
    decimals = pa.Array.from_buffers(pa.decimal128(18, 4), len(words), [bits, pa.py_buffer(words)])
    return pl.Series(pl.from_arrow(decimals))


def _local_days(instants: Numbers, merchants: pl.Series, timezones: Mapping[str, str]) -> pl.Series:
    """The merchant's local day of each instant. A merchant's movements are next to each other."""
    days = np.empty(instants.size, np.int32)
    begins = np.flatnonzero((merchants != merchants.shift()).fill_null(True).to_numpy()).tolist()
    for begin, end in pairwise([*begins, instants.size]):
        days[begin:end] = clock.days(instants[begin:end], timezones[merchants[begin]])
    return pl.Series(days).cast(pl.Date)
