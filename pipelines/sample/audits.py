"""What the sample says of batches and balances: files of a second source, that mostly agree with the entries.

Like `pipelines.sample.world` it knows the formats, as a source would, and nothing of the ledger.
"""

from pipelines.sample.files import Landing
from pipelines.sample.merchants import Batch, cells_of
from pipelines.sample.world import World

BATCH_COLUMNS = (
    *("batch_id", "issued_at", "issued_by_name", "issued_by_email", "credit_type", "reason", "description"),
    *("issued_as", "declared_recipients", "declared_total"),
)
BALANCE_COLUMNS = ("member_id", "balance_type", "as_of", "balance")

# What a batches file says beyond the batches themselves, without the merchant's code before each id.
# merchant | batch | issued at | issuer, by position in the staff | credit_type | reason | description | issued_as
#     | recipients | total
STORIES = """
green-acres | batch-missing-items-may-9 | 2026-05-10T09:12:00 | 2 | Service Recovery | Missing Items
    | Service Recovery - Missing Items May 9 Orders | family | 1 | 15.00
green-acres | batch-winter-2026-02 | 2026-02-03T09:00:00 | 0 | Promotional | Promotion
    | Winter $25 Credit | family | 1 | 25.00
green-acres | batch-advent-2025 | 2025-12-01T09:00:00 | 0 | Promotional | Promotion
    | Advent $25 Credit | family | 2 | 50.00
green-acres | batch-newsletter-2026-06 | 2026-06-23T08:00:00 | 0 | Promotional | Promotion
    | Newsletter code, never sent | import | 310 | 1550.00
harbor-gym | batch-towels-2026-07 | 2026-07-08T08:00:00 | 2 | Service Recovery | Equipment Problem
    | No towels for a week | csv | 25 | abc
"""
# Gym batches are issued per enrollment where a family can have several.
ISSUED_AS = {"batch-floor-repair-2026-02": "enrollment"}
# A member more or less than there are, and a total that forgot a cent for each.
MISDECLARED = {"batch-ferry-2026-03-12": (1, 0), "batch-rowers-2026-06-09": (0, -82)}

# What the merchant's shop said that accounts of the stories held at the start of a day.
# merchant | member | balance type | day | balance
BALANCES = """
green-acres | 1 | | 2026-07-01 | 5.00
green-acres | 4 | | 2026-07-01 | 6.00
green-acres | 31 | | 2026-07-01 | 11.75
green-acres | 7 | winston | 2026-07-01 | 610
green-acres | 8 | | yesterday | 0.00
harbor-gym | 1 | | 2026-06-01 | 0.00
harbor-gym | 10 | | 2026-08-01 | 4.00
kiwi-grocer | 1 | | 2026-07-01 | 0.00
"""


def write_batches(world: World, landing: Landing) -> int:
    """A file of all batches that were issued in the window, as whoever issues them keeps it."""
    profile = world.profile
    rows = [_batch(world, batch) for batch in world.batches if batch.batch_id]
    for merchant_id, batch_id, at, issuer, *said in cells_of(STORIES):
        if merchant_id == profile.merchant_id and at[:7] in world.window.names:
            name, email = profile.staff[int(issuer)]
            rows.append((f"{profile.code}-{batch_id}", at, name, email, *said))
    return landing.rows("batches", BATCH_COLUMNS, sorted(rows, key=lambda row: (row[1] or "", row[0] or "")))


def _batch(world: World, batch: Batch) -> tuple[str | None, ...]:
    profile, batch_id = world.profile, str(batch.batch_id)
    # Two enrollments of the stories are in this batch too.
    recipients = batch.recipients + (batch_id == "batch-floor-repair-2026-02" and len(world.stories) > 0)
    credits = batch.recipients + 2 * (recipients - batch.recipients)
    more, cents = MISDECLARED.get(batch_id, (0, 0))
    varies = batch.highest > batch.amount
    total = f"{(credits * batch.amount + cents) / 100:.2f}"
    name, email = profile.staff[batch.creator]
    return (
        f"{profile.code}-{batch_id}",
        batch.at,
        name,
        email,
        batch.credit_type,
        batch.reason,
        batch.details[0],
        ISSUED_AS.get(batch_id, "family"),
        str(recipients + more),
        None if varies else total,
    )


def write_balances(world: World, landing: Landing) -> int:
    """A file of what the shop says that a few accounts held."""
    profile = world.profile
    told = {row["member"] for row in world.stories}
    rows = [
        (f"{profile.code}-m-{int(member):06d}", balance_type or None, day, balance)
        for merchant_id, member, balance_type, day, balance in cells_of(BALANCES)
        if merchant_id == profile.merchant_id and member in told
    ]
    return landing.rows("balances", BALANCE_COLUMNS, rows)
