"""The sample's files of entries: stories, background and bad rows, a file a month."""

import polars as pl

from pipelines.sample.background import FRAME_COLUMNS, background
from pipelines.sample.files import TIMES, Landing, as_text
from pipelines.sample.members import MEMBER_DIGITS, email_of, name_of
from pipelines.sample.world import World, end_of_day, second_of


def _story_frame(world: World) -> pl.DataFrame:
    """The stories' rows, as the background has its own, and which file holds each (blank: that of its month)."""
    profile = world.profile
    rows: list[dict[str, str | int | None]] = []
    for told in world.stories:
        member = int(told["member"]) - 1
        row: dict[str, str | int | None] = dict.fromkeys(FRAME_COLUMNS)
        row |= {name: value.replace("\\n", "\n") for name, value in told.items() if name in FRAME_COLUMNS}
        expires = told.get("expires_at", "")
        row |= {
            "at": second_of(told["at"]),
            "member_id": f"{profile.code}-m-{member + 1:0{MEMBER_DIGITS}d}",
            # A date is good through that day.
            "expires": (second_of(expires) if "T" in expires else end_of_day(second_of(expires))) if expires else None,
            "issued": second_of(told["issued_at"]) if "issued_at" in told else None,
            "file": told.get("file"),
        }
        creator = told.get("creator")
        if creator == "self":
            name = name_of(member)
            row |= {"creator_name": f"{name.first} {name.last}", "creator_email": email_of(profile, member)}
        elif creator is not None:
            row["creator_name"], row["creator_email"] = profile.staff[int(creator)]
        if "approver" in told:
            row["approved_by"] = profile.staff[int(told["approver"])][1]
        rows.append(row)
    numbers = dict.fromkeys(TIMES.values(), pl.Int64)
    return pl.DataFrame(rows, schema={name: numbers.get(name, pl.String) for name in (*FRAME_COLUMNS, "file")})


def write_entries(world: World, landing: Landing) -> int:
    """A file a month, one of opening balances, and what the front desk keeps in a sheet of its own."""
    window, kind = world.window, world.profile.kind
    # "2025-11-opening" comes before "2025-11" in order of name, and is taken first.
    names = [f"{window.names[0]}-opening", *window.names]
    told = _story_frame(world)
    by_hand = told.filter(pl.col("file") == "front-desk")
    told = told.filter(pl.col("file").is_null()).drop("file")
    for block, count in enumerate(world.blocks):
        rows = background(world, block, count) if count else told.clear()
        if block == 0:
            rows = pl.concat([rows, told])
        month = pl.Series(window.month_of(rows["at"].to_numpy()))
        rows = rows.with_columns(position=pl.when(pl.col("entry_type") == "opening").then(0).otherwise(month + 1))
        # A source lists by time, and so do we: at scale, block by block.
        rows = rows.sort("position", "at", maintain_order=True)
        for (position,), part in rows.group_by("position", maintain_order=True):
            landing.file(names[int(str(position))], kind).append(part.drop("position"))
        if block == 0:
            said = {row["entry_id"]: row for row in as_text(world.profile, told).to_dicts()}
            for bad in world.bad_rows:
                row = {**said[f"{world.profile.code}-{bad.like}"], **bad.values}
                landing.file(bad.month, kind).append_line(row, ragged=bad.is_ragged)
    if by_hand.height:
        landing.file(f"{window.names[-1]}-front-desk", "xlsx").append(by_hand)
    return sum(world.blocks) + len(world.stories) + len(world.bad_rows)
