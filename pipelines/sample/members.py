"""The sample's members: who they are, by number, and the files that say so."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import polars as pl

from pipelines.sample.files import Landing
from pipelines.sample.merchants import Profile, cells_of
from pipelines.sample.world import Ints, World

MEMBER_DIGITS = 6
EMPLOYEE = 4  # of every 47 members, this one works for the merchant: of the stories' members the fifth
UNKNOWN_MEMBER = 39  # of the stories' members the fortieth: in entries, and in no file of members
MOVED_MONTH = "2026-08"
MAIL_DOMAINS = ("mail.example", "post.example", "inbox.example", "letters.example", "home.example")
KEYWORDS = ("wholesale", "newsletter", None, "newsletter;founding", "email opt-in", "spring", "email opt-in;newsletter")
AUTOPAY = ("card", None, "card;bank", "bank")
# First names | last names that go with them, each in its own script and as in an email address.
PEOPLE = """
Ada ada, James james, Grace grace, Owen owen, Ruth ruth, Tom tom
    | Miller miller, O'Brien obrien, Johnson johnson, Smith-Jones smith-jones, McDonald mcdonald, Okafor okafor
José jose, María maria, Lucía lucia, João joao, Íñigo inigo, Belén belen
    | García garcia, Núñez nunez, de la Peña delapena, Gonçalves goncalves, Muñoz munoz, Araújo araujo
Søren soren, Jürgen jurgen, Łukasz lukasz, Zoë zoe, Åsa asa, Dvořák dvorak
    | Müller muller, Ødegård odegard, Wójcik wojcik, Groß gross, Björnsdóttir bjornsdottir, Çelik celik
ليلى layla, محمد muhammad, فاطمة fatima, يوسف yusuf, نور noor, عمر omar
    | حداد haddad, الخطيب alkhatib, منصور mansour, العلي alali, خوري khoury, سالم salem
נועה noa, דוד david, יעל yael, אורי uri, תמר tamar, משה moshe
    | כהן cohen, לוי levi, מזרחי mizrahi, פרץ peretz, ביטון biton, אברהם avraham
伟 wei, 芳 fang, 秀英 xiuying, 敏 min, 强 qiang, 丽 li
    | 王 wang, 李 li, 张 zhang, 刘 liu, 陈 chen, 杨 yang
Priya priya, Anh anh, Đức duc, Arjun arjun, Phương phuong, Nisha nisha
    | Sharma sharma, Nguyễn nguyen, Trần tran, Patel patel, Phạm pham, Iyer iyer
Sina sina, Tāwhiri tawhiri, ʻAna ana, Leilani leilani, Manaia manaia, Sione sione
    | Faleolo faleolo, Māhina mahina, Tuimavave tuimavave, Ngata ngata, Latu latu, Kealoha kealoha
"""
NAME_STRIDE = 41  # no divisor in common with the number of names, so that neighbours differ and all names occur


def write_members(world: World, landing: Landing) -> int:
    """Who they are when the ledger begins, and in August what has changed for some; one of them is nowhere."""
    rows = 0
    first = world.window.names[0]
    for start in range(0, world.members, world.block_rows):
        known = _members(world, start, min(start + world.block_rows, world.members)).filter(
            pl.col("member_id") != f"{world.profile.code}-m-{UNKNOWN_MEMBER + 1:0{MEMBER_DIGITS}d}"
        )
        landing.file(first, "csv").append(known)
        rows += known.height
    if MOVED_MONTH in world.window.names[1:]:
        moved = _members(world, world.first_at_large, min(world.first_at_large + 6, world.members)).with_columns(
            email=pl.lit("moved.") + pl.col("email"),
            location=pl.lit(world.profile.locations[-1]),
            updated_at=pl.lit(f"{MOVED_MONTH}-17T10:00:00Z"),
        )
        landing.file(MOVED_MONTH, "csv").append(moved)
        rows += moved.height
    return rows


def _members(world: World, start: int, end: int) -> pl.DataFrame:
    """Members by number, `end` not included, as text."""
    profile = world.profile
    number = np.arange(start, end, dtype=np.int64)
    name = number * NAME_STRIDE % len(_names())
    firsts, lasts, mails = zip(*_names(), strict=True)
    is_employee = number % 47 == EMPLOYEE
    is_wholesale = (number >= world.first_wholesale) & (number < world.first_solo)
    keyword = np.where(is_wholesale, 0, 1 + number * 5 % (len(KEYWORDS) - 1))

    def of(options: Sequence[str | None], position: Ints) -> pl.Series:
        return pl.Series(options, dtype=pl.String).gather(position)

    frame = pl.DataFrame({"number": number, "is_employee": is_employee, "mail": of(mails, name)})
    domain = pl.when("is_employee").then(pl.lit(profile.domain)).otherwise(of(MAIL_DOMAINS, number % len(MAIL_DOMAINS)))
    return frame.select(
        member_id=pl.lit(f"{profile.code}-m-") + member_number(pl.col("number")),
        email=pl.col("mail") + "." + (pl.col("number") + 1).cast(pl.String) + "@" + domain,
        first_name=of(firsts, name),
        last_name=of(lasts, name),
        is_employee=pl.when("is_employee").then(pl.lit("true")).otherwise(pl.lit("false")),
        keywords=of(KEYWORDS, keyword),
        autopay_methods=of(AUTOPAY, number * 3 % len(AUTOPAY)),
        location=of(profile.locations, number % len(profile.locations)),
        updated_at=pl.lit(f"{world.window.names[0]}-01T00:00:00Z"),
    )


class _Name(NamedTuple):
    """A member's name, and how an email address spells it."""

    first: str
    last: str
    mail: str


@cache
def _names() -> list[_Name]:
    def spelled(names: str) -> list[tuple[str, str]]:
        pairs = (name.strip().rpartition(" ") for name in names.split(","))
        return [(name, mail) for name, _, mail in pairs]

    return [
        _Name(first, last, f"{first_mail}.{last_mail}")
        for firsts, lasts in cells_of(PEOPLE)
        for first, first_mail in spelled(firsts)
        for last, last_mail in spelled(lasts)
    ]


def member_number(member: pl.Expr) -> pl.Expr:
    """As in ids: the first is 1."""
    return (member + 1).cast(pl.String).str.zfill(MEMBER_DIGITS)


def name_of(member: int) -> _Name:
    """The name of the member with that number."""
    return _names()[member * NAME_STRIDE % len(_names())]


def email_of(profile: Profile, member: int) -> str:
    """The email of the member with that number at that merchant."""
    domain = profile.domain if member % 47 == EMPLOYEE else MAIL_DOMAINS[member % len(MAIL_DOMAINS)]
    return f"{name_of(member).mail}.{member + 1}@{domain}"
