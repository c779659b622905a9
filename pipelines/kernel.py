"""The replay's loop: entries in order, as arrays, to movements and findings, as arrays.

Only the loop belongs here. `sql/facts/movements.sql` looks up whose a named credit is and puts the entries in order;
`pipelines.chunks` gives the numbers their ids and texts back. Amounts are in 1/10000, instants in microseconds since
1970 UTC, credits and redemptions are positions in the arrays. Nothing here is quadratic: an account of a million
entries is as fast as a million small ones. `python -m pipelines.kernel` compiles it ahead of its first use.
"""

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit

Numbers = npt.NDArray[np.int64]
Function = TypeVar("Function", bound=Callable[..., object])

# What an entry is: its position here is its code.
KINDS = (
    *("opening", "created", "transferred_in"),
    "expiry_changed",
    "refunded",
    *("redeemed", "deducted", "transferred_out"),
    "reversed",
    "expired",
)
TRANSFERRED_IN, EXPIRY_CHANGED, REFUNDED, REDEEMED, DEDUCTED, TRANSFERRED_OUT, REVERSED, EXPIRED = range(2, 10)

# What does not add up: its position here is its code.
FINDINGS = (
    "unit_mismatch",
    "credit_of_other_account",
    "unknown_credit",
    "uncovered_draw",
    "refund_of_unknown_redemption",
    "refund_exceeds_redemption",
    "refund_after_reversal",
    "reversal_short",
    "expiry_mismatch",
)
(
    UNIT_MISMATCH,
    CREDIT_OF_OTHER_ACCOUNT,
    UNKNOWN_CREDIT,
    UNCOVERED_DRAW,
    REFUND_OF_UNKNOWN_REDEMPTION,
    REFUND_EXCEEDS_REDEMPTION,
    REFUND_AFTER_REVERSAL,
    REVERSAL_SHORT,
    EXPIRY_MISMATCH,
) = range(9)

NEVER = 2**63 - 1
NONE = -1  # no credit, no entry, no redemption
UNKNOWN = -2  # a credit that the merchant's ledger does not have
NO_GRACE = -NEVER  # before every instant, those before 1970 too

# Why an entry moves nothing, whatever the credits are.
FREE, WRONG_UNIT, OTHER_ACCOUNT = range(3)

# Rows of the movements that come out; a movement is a column.
MOVEMENT_ROWS = 13
(
    ENTRY,  # position of the entry; NONE: a derived expiry
    CREDIT,  # position of the credit; NONE: uncovered
    KIND,
    AMOUNT,
    OCCURRED_AT,
    PART,  # 1, 2, … of the entry; of a derived expiry: of the credit's derived expiries
    SEQUENCE,  # 1, 2, … of the account
    REMAINING,  # of the credit, after it
    EXPIRES_AT,  # of the credit, after it
    VALID_UNTIL,  # the credit's next movement
    GIVES_BACK,  # of refunded: the column of the redemption's movement that is given back
    GIVEN_BACK,  # of redeemed: how much of it has been given back
    BY_CREDIT,  # of redeemed, once a refund has named a credit: the redemption's columns in order of their credits
) = range(MOVEMENT_ROWS)

# Rows of the findings that come out; a finding is a column.
FINDING_ROWS = 7
(
    FINDING,
    FINDING_ENTRY,
    FINDING_CREDIT,  # position of the credit; NONE: the one that the entry names, if any
    CONCERNED,
    UNMOVED,
    ASSERTED,  # of an expiry_mismatch between sums: what entries say has expired; NONE otherwise
    DERIVED,  # and what has
) = range(FINDING_ROWS)

# The largest amount that there is. Sums of amounts that could pass it stop there.
MOST = 10**18 - 1

# Parts of a redemption below which looking through them beats sorting them.
FEW_PARTS = 16


def _inner(function: Function) -> Function:
    """Compiled as part of what calls it."""
    return cast(Function, njit(function))


def _leaf(function: Function) -> Function:
    """The same for a function that neither makes nor keeps an array.

    It need not count who uses the arrays that it is given, which took more than half of the kernel's time.
    """
    return cast(Function, njit(function, _nrt=False))  # type: ignore[call-overload]


def _outer(signature: str) -> Callable[[Function], Function]:
    """Compiled when this module is first imported, and kept on disk: later imports only load it.

    Where nothing can be kept, neither beside this module nor in the user's home, each process compiles it anew.
    """

    def compiled(function: Function) -> Function:
        try:
            return cast(Function, njit(signature, cache=True)(function))
        except RuntimeError as problem:
            if "cannot cache" not in str(problem):
                raise
            return cast(Function, njit(signature)(function))

    return compiled


@_leaf
def _comes_first(one: int, other: int, by_second: bool, first: Numbers, second: Numbers, last: Numbers) -> bool:
    if first[one] != first[other]:
        return bool(first[one] < first[other])
    if by_second and second[one] != second[other]:
        return bool(second[one] < second[other])
    return bool(last[one] < last[other])


@_leaf
def _place(
    heap: Numbers,
    size: int,
    slots: Numbers,
    credit: int,
    by_second: bool,
    first: Numbers,
    second: Numbers,
    last: Numbers,
) -> int:
    """Put `credit` where its key says, whether it is in the heap or not; the heap's size."""
    slot = slots[credit]
    if slot < 0:
        slot = size
        size += 1
    while slot > 0:
        parent = (slot - 1) >> 1
        if not _comes_first(credit, heap[parent], by_second, first, second, last):
            break
        heap[slot] = heap[parent]
        slots[heap[slot]] = slot
        slot = parent
    while 2 * slot + 1 < size:
        child = 2 * slot + 1
        if child + 1 < size and _comes_first(heap[child + 1], heap[child], by_second, first, second, last):
            child += 1
        if not _comes_first(heap[child], credit, by_second, first, second, last):
            break
        heap[slot] = heap[child]
        slots[heap[slot]] = slot
        slot = child
    heap[slot] = credit
    slots[credit] = slot
    return size


@_leaf
def _without_top(
    heap: Numbers, size: int, slots: Numbers, by_second: bool, first: Numbers, second: Numbers, last: Numbers
) -> int:
    """Take the top off the heap; the heap's size."""
    slots[heap[0]] = -1
    size -= 1
    if size > 0:
        moved = heap[size]
        slots[moved] = 0
        _place(heap, size, slots, moved, by_second, first, second, last)
    return size


@_leaf
def _move(
    movements: Numbers,
    count: int,
    since: int,
    begin: int,
    entry: int,
    credit: int,
    kind: int,
    amount: int,
    occurred_at: int,
    part: int,
    remaining: Numbers,
    expires_at: Numbers,
    latest: Numbers,
) -> None:
    """Write movement number `count`. The account's first is number `since`, and its first entry is at `begin`."""
    movements[ENTRY, count] = entry
    movements[CREDIT, count] = credit + begin if credit >= 0 else NONE
    movements[KIND, count] = kind
    movements[AMOUNT, count] = amount
    movements[OCCURRED_AT, count] = occurred_at
    movements[PART, count] = part
    movements[SEQUENCE, count] = count - since + 1
    movements[VALID_UNTIL, count] = NEVER
    movements[GIVES_BACK, count] = NONE
    movements[GIVEN_BACK, count] = 0
    if credit == NONE:
        movements[REMAINING, count] = 0
        movements[EXPIRES_AT, count] = NEVER
        return
    movements[REMAINING, count] = remaining[credit]
    movements[EXPIRES_AT, count] = expires_at[credit]
    if latest[credit] >= 0:
        movements[VALID_UNTIL, latest[credit]] = occurred_at
    latest[credit] = count


@_leaf
def _find(findings: Numbers, count: int, finding: int, entry: int, credit: int, concerned: int, unmoved: int) -> int:
    """Write a finding; how many there are."""
    findings[FINDING, count] = finding
    findings[FINDING_ENTRY, count] = entry
    findings[FINDING_CREDIT, count] = credit
    findings[CONCERNED, count] = concerned
    findings[UNMOVED, count] = unmoved
    findings[ASSERTED, count] = NONE
    findings[DERIVED, count] = NONE
    return count + 1


@_inner
def _part_of(movements: Numbers, start: int, parts: int, credit: int, is_sorted: bool) -> int:
    """The movement of a redemption that drew from `credit`, NONE if none did. A redemption draws from a credit once."""
    if parts <= FEW_PARTS:
        for movement in range(start, start + parts):
            if movements[CREDIT, movement] == credit:
                return movement
        return NONE
    if not is_sorted:
        order = np.argsort(movements[CREDIT, start : start + parts], kind="mergesort")
        movements[BY_CREDIT, start : start + parts] = start + order
    low, high = start, start + parts
    while low < high:
        middle = (low + high) >> 1
        if movements[CREDIT, movements[BY_CREDIT, middle]] < credit:
            low = middle + 1
        else:
            high = middle
    if low < start + parts and movements[CREDIT, movements[BY_CREDIT, low]] == credit:
        return int(movements[BY_CREDIT, low])
    return NONE


@_leaf
def _expire(
    movements: Numbers,
    count: int,
    since: int,
    begin: int,
    credit: int,
    when: int,
    expiries: Numbers,
    expired: Numbers,
    remaining: Numbers,
    expires_at: Numbers,
    latest: Numbers,
) -> int:
    """Write the derived expiry of what remains of `credit`, if anything does; how many movements there are."""
    amount = remaining[credit]
    if amount <= 0:
        return count
    remaining[credit] = 0
    expired[credit] = min(expired[credit] + amount, MOST)
    expiries[credit] += 1
    _move(
        movements, count, since, begin, NONE, credit, EXPIRED, amount, when, expiries[credit],
        remaining, expires_at, latest,
    )  # fmt: skip
    return count + 1


@_inner
def _replay_while_there_is_room(
    account: int,
    movements: Numbers,
    count: int,
    findings: Numbers,
    found: int,
    parts: Numbers,
    accounts: Numbers,
    kind: npt.NDArray[np.int8],
    occurred_at: Numbers,
    amount: Numbers,
    stated_expiry: Numbers,
    priority: Numbers,
    rank: Numbers,
    named: Numbers,
    redemption: Numbers,
    barred: npt.NDArray[np.int8],
    grace: Numbers,
    oldest_first: npt.NDArray[np.bool_],
) -> tuple[int, int, int, int]:
    """Replay account after account, from number `account` on, until they or the columns come to an end.

    Returns the first account that is not done, how many movements and findings those before it have made, and which
    of the two tables was too short for it, by its number of rows.
    """
    longest = 1
    for number in range(account, accounts.size - 1):
        longest = max(longest, accounts[number + 1] - accounts[number])

    # What is known of an account, by position within it, so that it stays close to the processor.
    # Of each credit, at the entry that brings it. What remains is NONE until then.
    remaining = np.empty(longest, np.int64)
    expires_at = np.empty(longest, np.int64)
    draw_first = np.empty(longest, np.int64)
    draw_last = np.empty(longest, np.int64)
    latest = np.empty(longest, np.int64)
    taken_back = np.empty(longest, np.bool_)
    expiries = np.empty(longest, np.int64)
    expired = np.empty(longest, np.int64)
    asserted = np.empty(longest, np.int64)
    asserted_by = np.empty(longest, np.int64)
    asserting = np.empty(longest, np.int64)

    # Of each redemption, at its entry: its first movement, the last one that is not wholly given back, and whether
    # its movements have been sorted by credit.
    start = np.empty(longest, np.int64)
    cursor = np.empty(longest, np.int64)
    is_sorted = np.empty(longest, np.bool_)

    # Credits in the order of draws, and in the order of expiries, as heaps. One that is used up stays there until it
    # comes to the top, where it is passed over.
    draws = np.empty(longest, np.int64)
    draw_slots = np.empty(longest, np.int64)
    dues = np.empty(longest, np.int64)
    due_slots = np.empty(longest, np.int64)

    room, findings_room = movements.shape[1] - 2, findings.shape[1] - 2
    while account < accounts.size - 1:
        begin, end = accounts[account], accounts[account + 1]
        since, found_since = count, found
        draw_count = due_count = asserting_count = 0
        by_expiry = not oldest_first[account]
        for i in range(begin, end):
            here = i - begin
            parts[i] = 0
            remaining[here] = latest[here] = asserted_by[here] = NONE
            start[here] = cursor[here] = draw_slots[here] = due_slots[here] = NONE
            expiries[here] = expired[here] = asserted[here] = 0
            taken_back[here] = is_sorted[here] = False
            draw_first[here] = priority[i]
            draw_last[here] = rank[i]

        for i in range(begin, end + 1):
            # Rule 4: what expires at this instant or before does so before the entry, and after the last entry
            # everything that ever will. Only then can what entries assert be held against it.
            if i == end:
                for position in range(asserting_count):
                    credit = asserting[position]
                    gap = abs(asserted[credit] - expired[credit])
                    if gap > 0:
                        if found >= findings_room:
                            return account, since, found_since, FINDING_ROWS
                        found = _find(findings, found, EXPIRY_MISMATCH, asserted_by[credit], NONE, gap, 0)
                        findings[ASSERTED, found - 1] = asserted[credit]
                        findings[DERIVED, found - 1] = expired[credit]
            now = occurred_at[i] if i < end else NEVER - 1
            while due_count > 0 and expires_at[dues[0]] <= now:
                credit = dues[0]
                due_count = _without_top(dues, due_count, due_slots, True, expires_at, draw_first, draw_last)
                if count >= room:
                    return account, since, found_since, MOVEMENT_ROWS
                when = expires_at[credit]
                count = _expire(
                    movements, count, since, begin, credit, when, expiries, expired, remaining, expires_at, latest
                )  # fmt: skip
            if i == end:
                break

            here = i - begin
            what = kind[i]
            opens = what <= TRANSFERRED_IN
            draws_down = REDEEMED <= what <= TRANSFERRED_OUT
            credit = here
            if not opens:
                credit = named[i] - begin if named[i] >= 0 else named[i]
            rest = amount[i]
            if what == REDEEMED:
                start[here] = count
            if found >= findings_room:
                return account, since, found_since, FINDING_ROWS
            if count >= room:
                return account, since, found_since, MOVEMENT_ROWS

            if barred[i] == WRONG_UNIT:
                found = _find(findings, found, UNIT_MISMATCH, i, NONE, rest, rest)
                continue
            if what == REFUNDED and (redemption[i] < 0 or start[redemption[i] - begin] < 0):
                found = _find(findings, found, REFUND_OF_UNKNOWN_REDEMPTION, i, NONE, rest, rest)
                continue
            if barred[i] == OTHER_ACCOUNT:
                found = _find(findings, found, CREDIT_OF_OTHER_ACCOUNT, i, NONE, rest, rest)
                continue
            may_name_none = draws_down or what == REFUNDED
            if (
                credit == UNKNOWN
                or (credit == NONE and not may_name_none)
                or (not opens and credit >= 0 and remaining[credit] < 0)
            ):
                found = _find(findings, found, UNKNOWN_CREDIT, i, NONE, rest, 0 if draws_down else rest)
                if not draws_down:
                    continue
                credit = UNKNOWN

            if draws_down:
                while rest > 0:
                    source = credit
                    if credit == NONE:
                        while draw_count > 0 and remaining[draws[0]] == 0:
                            draw_count = _without_top(
                                draws, draw_count, draw_slots, by_expiry, draw_first, expires_at, draw_last
                            )  # fmt: skip
                        source = draws[0] if draw_count > 0 else NONE
                    moved = rest
                    if source >= 0 and remaining[source] > 0:
                        moved = min(rest, remaining[source])
                        remaining[source] -= moved
                        if what == DEDUCTED:
                            taken_back[source] = True
                    else:
                        source = NONE
                        found = _find(findings, found, UNCOVERED_DRAW, i, NONE, rest, 0)
                    if count >= room:
                        return account, since, found_since, MOVEMENT_ROWS
                    parts[i] += 1
                    _move(
                        movements, count, since, begin, i, source, what, moved, now, parts[i],
                        remaining, expires_at, latest,
                    )  # fmt: skip
                    count += 1
                    rest -= moved
                if what == REDEEMED:
                    cursor[here] = count - 1
                continue

            if what == EXPIRED and now >= expires_at[credit]:
                if asserted_by[credit] < 0:
                    asserting[asserting_count] = credit
                    asserting_count += 1
                asserted[credit] = min(asserted[credit] + rest, MOST)
                asserted_by[credit] = i
                continue

            if what == REVERSED or what == EXPIRED:  # noqa: PLR1714, SIM109 - not a tuple to look through
                moved = min(rest, remaining[credit])
                if moved > 0:
                    remaining[credit] -= moved
                    if what == REVERSED:
                        taken_back[credit] = True
                    parts[i] += 1
                    _move(
                        movements, count, since, begin, i, credit, what, moved, now, parts[i],
                        remaining, expires_at, latest,
                    )  # fmt: skip
                    count += 1
                if moved < rest:
                    mismatch = REVERSAL_SHORT if what == REVERSED else EXPIRY_MISMATCH
                    found = _find(findings, found, mismatch, i, NONE, rest - moved, rest - moved)
                continue

            # The rest gives: an opening or expiry_changed once, a refund to one part of its redemption after another.
            part, last = NONE, NONE
            if what == REFUNDED:
                spent = redemption[i] - begin
                part, last = cursor[spent], start[spent]
                if named[i] >= 0:
                    part = _part_of(movements, last, parts[redemption[i]], named[i], is_sorted[spent])
                    is_sorted[spent] = True
                    last = max(part, 0)
            while True:
                given = rest
                if what == REFUNDED:
                    while part >= last and movements[GIVEN_BACK, part] == movements[AMOUNT, part]:
                        part -= 1
                    if part < last or rest == 0:
                        break
                    if found >= findings_room:
                        return account, since, found_since, FINDING_ROWS
                    if count >= room:
                        return account, since, found_since, MOVEMENT_ROWS
                    given = min(rest, movements[AMOUNT, part] - movements[GIVEN_BACK, part])
                    movements[GIVEN_BACK, part] += given
                    rest -= given
                    credit = movements[CREDIT, part]
                    if credit >= 0:
                        credit -= begin
                if credit >= 0:
                    if opens:
                        remaining[credit] = given
                        expires_at[credit] = stated_expiry[i]
                    elif what == EXPIRY_CHANGED:
                        expires_at[credit] = stated_expiry[i]
                    else:
                        remaining[credit] += given
                        if expires_at[credit] <= now and grace[i] > now:
                            expires_at[credit] = grace[i]
                parts[i] += 1
                _move(
                    movements, count, since, begin, i, credit, what, given, now, parts[i],
                    remaining, expires_at, latest,
                )  # fmt: skip
                movements[GIVES_BACK, count] = part
                count += 1
                if credit >= 0:
                    if expires_at[credit] <= now:
                        count = _expire(
                            movements, count, since, begin, credit, now, expiries, expired,
                            remaining, expires_at, latest,
                        )  # fmt: skip
                    if remaining[credit] > 0 or draw_slots[credit] >= 0:
                        draw_count = _place(
                            draws, draw_count, draw_slots, credit, by_expiry, draw_first, expires_at, draw_last
                        )  # fmt: skip
                    if (remaining[credit] > 0 and expires_at[credit] < NEVER) or due_slots[credit] >= 0:
                        due_count = _place(
                            dues, due_count, due_slots, credit, True, expires_at, draw_first, draw_last
                        )  # fmt: skip
                    if what == REFUNDED and taken_back[credit]:
                        found = _find(findings, found, REFUND_AFTER_REVERSAL, i, credit + begin, given, 0)
                if what != REFUNDED:
                    break
            if what == REFUNDED:
                if named[i] < 0:
                    cursor[redemption[i] - begin] = part
                if rest > 0:
                    found = _find(findings, found, REFUND_EXCEEDS_REDEMPTION, i, NONE, rest, rest)
        account += 1
    return account, count, found, 0


@_inner
def _grown(table: Numbers) -> Numbers:
    """`table` with room for twice as many columns."""
    wider = np.empty((table.shape[0], 2 * table.shape[1]), np.int64)
    wider[:, : table.shape[1]] = table
    return wider


# Arrays that are only read, as those are that Polars hands out.
_WHOLE, _CODE, _FLAG = (f"Array({element}, 1, 'C', readonly=True)" for element in ("int64", "int8", "boolean"))


@_outer(
    "Tuple((int64[:, :], int64[:, :], int64[::1]))"
    f"({_WHOLE}, {_CODE}, {', '.join([_WHOLE] * 7)}, {_CODE}, {_WHOLE}, {_FLAG}, int64)"
)
def replay(
    accounts: Numbers,
    kind: npt.NDArray[np.int8],
    occurred_at: Numbers,
    amount: Numbers,
    stated_expiry: Numbers,
    priority: Numbers,
    rank: Numbers,
    named: Numbers,
    redemption: Numbers,
    barred: npt.NDArray[np.int8],
    grace: Numbers,
    oldest_first: npt.NDArray[np.bool_],
    room: int,
) -> tuple[Numbers, Numbers, Numbers]:
    """Replay whole accounts. All arrays have an element for each entry, except the two that say otherwise.

    accounts       where each account's entries begin, which are in the order of rule 1; and last, where all end
    kind           position in KINDS
    stated_expiry  of openings and expiry_changed: the credit's expires_at, or NEVER
    rank           of openings: position by (issued_at, credit_id), comparable within the account
    named          position of the credit that the entry names, if it is one of this account; else NONE or UNKNOWN
    redemption     of refunds: position of the redemption, if it is one of this account; else NONE
    barred         FREE, or why the entry moves nothing: WRONG_UNIT, OTHER_ACCOUNT
    grace          of refunds: until when a credit that had expired lives again; NO_GRACE where it does not
    oldest_first   of each account: whether expires_at plays no part in the order of draws
    room           how many movements to make room for at first; it grows

    Returns movements (MOVEMENT_ROWS × n), findings (FINDING_ROWS × n) and each entry's number of movements.
    """
    movements = np.empty((MOVEMENT_ROWS, max(room, 8)), np.int64)
    findings = np.empty((FINDING_ROWS, 256), np.int64)
    parts = np.empty(kind.size, np.int64)
    account = count = found = 0
    while True:
        account, count, found, short = _replay_while_there_is_room(
            account, movements, count, findings, found, parts, accounts, kind, occurred_at, amount, stated_expiry,
            priority, rank, named, redemption, barred, grace, oldest_first,
        )  # fmt: skip
        if account == accounts.size - 1:
            return movements[:, :count], findings[:, :found], parts
        # The account that did not fit begins again. Twice the room each time makes that cheap.
        if short == MOVEMENT_ROWS:
            movements = _grown(movements)
        else:
            findings = _grown(findings)


if __name__ == "__main__":
    # Importing this module has compiled it, or found it compiled.
    print("The replay's kernel is compiled.")
