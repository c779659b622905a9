"""A merchant small enough for tests of whole runs, in processes of their own: its files, its June."""

from pathlib import Path

from tests.homes import ACME, csv

JUNE = ("report", "--month", "2026-06")
WORKBOOK = "acme/2026-06/credits-acme-2026-06.xlsx"
MEMBERS = "member_id,email,first_name\nada,ada@acme.example,Ada\nbo,bo@acme.example,Bo\n"
ENTRIES = csv(
    {"entry_id": f"e{n}", "entry_type": kind, "occurred_at": f"2026-0{month}-1{n % 9}T12:00", "member_id": member,
     "amount": amount}
    for n, (kind, month, member, amount) in enumerate([
        ("created", 5, "ada", "10.00"), ("created", 6, "bo", "5.50"), ("redeemed", 6, "ada", "4.00"),
        ("created", 6, "ada", "3.00"), ("redeemed", 6, "bo", "6.00"), ("refunded", 6, "bo", "x"),
    ])
)  # fmt: skip
MORE = "entry_id,entry_type,occurred_at,member_id,amount\nlater,created,2026-06-20T12:00,bo,2.00\n"


def land(home: Path, name: str, text: str) -> Path:
    path = home / "landing/acme" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def furnish(home: Path) -> Path:
    """Settings and landing files of a small merchant."""
    home.mkdir(parents=True)
    (home / "merchants.toml").write_text(ACME, encoding="utf-8")
    land(home, "members/all.csv", MEMBERS)
    land(home, "entries/june.csv", ENTRIES)
    return home


# Holds the ledger of the home that it is given until it is given a line.
HOLD = """
import sys
from pipelines import settings, shards
with shards.lock(settings.find_home(sys.argv[1]), "main", wait_s=60, say=print, who="a long run"):
    print("held", flush=True)
    sys.stdin.readline()
"""
