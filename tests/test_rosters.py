"""Rosters: students, enrollments and charges, of which each file is all there is; and a member as a family."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipelines.rebuild import rebuild
from tests.homes import ACME, Ingested, Installation, csv, make_home
from tests.tables import rows

STUDENTS = """
student_id  member_id  first_name  last_name  keywords
mia         lee        Mia         Lee        team;gold
tom         lee        Tom         Lee
"""


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return make_home(tmp_path)


def table(text: str) -> str:
    return csv(rows(text))


def held(home: Installation, name: str, columns: str) -> list[tuple[Any, ...]]:
    """What the ledger has of a roster."""
    with home.opened() as shard:
        return shard.connection.execute(f"select {columns} from ledger.{name} order by all").fetchall()


def refused(home: Installation, dataset: str, column: str, value: str, **row: str) -> str:
    """The explanation of the only row that is set aside, where `column` says `value`."""
    home.land(f"acme/{dataset}/{column}.csv", csv([{**row, column: value}]))
    taken = home.ingest()
    assert taken.counts[-1] == (1, 0, 0, 1)
    return taken.explanation


ENROLLMENT = {"enrollment_id": "e1", "student_id": "mia", "kind": "class", "name": "Tumbling"}
CHARGE = {"charge_id": "c1", "member_id": "lee", "amount": "80.00", "outstanding": "0.00"}


def test_a_students_file_says_who_belongs_to_which_family(home: Installation) -> None:
    home.land("acme/students/2026-06-01.csv", table(STUDENTS))
    assert home.ingest().counts == [(2, 2, 0, 0)]
    assert held(home, "students", "student_id, member_id, first_name, keywords") == [
        ("mia", "lee", "Mia", "team;gold"),
        ("tom", "lee", "Tom", None),
    ]


def test_an_enrollment_has_its_class_or_camp_its_days_and_its_keywords(home: Installation) -> None:
    home.land(
        "acme/enrollments/a.csv",
        csv([{**ENROLLMENT, "kind": "Class", "days": "mon;Wed", "keywords": "beginner", "program": "Gym",
              "program_keywords": "fall", "location": "East", "starts_on": "2026-09-01", "ends_on": "2026-12-18",
              "status": "active"}]),
    )  # fmt: skip
    assert home.ingest().counts == [(1, 1, 0, 0)]
    assert held(home, "enrollments", "* exclude (merchant_id, source_file, source_row, file_event, event)") == [
        ("e1", "mia", "class", "Tumbling", "Gym", "East", "mon;Wed", "beginner", "fall",
         date(2026, 9, 1), date(2026, 12, 18), "active")
    ]  # fmt: skip


def test_a_charge_says_what_of_it_is_outstanding(home: Installation) -> None:
    home.land("acme/charges/a.csv", csv([{**CHARGE, "outstanding": "1,030.50", "charged_on": "2026-06-01"}]))
    home.ingest()
    assert held(home, "charges", "charge_id, amount, outstanding, charged_on") == [
        ("c1", Decimal(80), Decimal("1030.5"), date(2026, 6, 1))
    ]


def test_what_was_paid_ahead_or_given_back_is_a_charge_with_a_sign(home: Installation) -> None:
    home.land("acme/charges/a.csv", csv([{**CHARGE, "amount": "-5", "outstanding": "-5.00"}]))
    assert home.ingest().counts == [(1, 1, 0, 0)]


@pytest.mark.parametrize(
    ("dataset", "row", "column", "value", "explanation"),
    [
        ("students", {"student_id": "mia"}, "member_id", "", "member_id is blank, and this row needs one."),
        ("enrollments", ENROLLMENT, "kind", "course", 'kind "course" is neither class nor camp.'),
        ("enrollments", ENROLLMENT, "days", "mon,wed", 'days "mon,wed" is not a list of days; write it like mon;wed.'),
        ("enrollments", ENROLLMENT, "days", "monday", 'days "monday" is not a list of days; write it like mon;wed.'),
        ("enrollments", ENROLLMENT, "starts_on", "2026-02-30",
         'starts_on "2026-02-30" is not a date; write it like 2026-06-30.'),
        ("enrollments", ENROLLMENT, "ends_on", "soon", 'ends_on "soon" is not a date; write it like 2026-06-30.'),
        ("charges", CHARGE, "amount", "1e2", 'amount "1e2" is not an amount; write it like 1234.50.'),
        ("charges", CHARGE, "outstanding", "", "outstanding is blank, and this row needs one."),
        ("charges", CHARGE, "outstanding", "1.005", 'outstanding "1.005" has 3 decimals, USD has 2.'),
        ("charges", CHARGE, "charged_on", "0000-01-01",
         'charged_on "0000-01-01" is not a date; write it like 2026-06-30.'),
    ],
)  # fmt: skip
def test_a_row_of_a_roster_that_cannot_go_in_is_set_aside_with_its_reason(
    home: Installation, dataset: str, row: dict[str, str], column: str, value: str, explanation: str
) -> None:
    assert refused(home, dataset, column, value, **row) == explanation


def test_a_merchant_with_decimal_commas_has_them_in_charges_too(tmp_path: Path) -> None:
    home = make_home(tmp_path, ACME.replace('currency = "USD"', 'currency = "USD"\ndecimal_comma = true'))
    home.land("acme/charges/a.csv", csv([{**CHARGE, "amount": "80", "outstanding": "1.030,50"}]))
    home.ingest()
    assert held(home, "charges", "outstanding") == [(Decimal("1030.5"),)]


# Each file is the full snapshot


def test_a_new_file_takes_the_place_of_all_before_it(home: Installation) -> None:
    home.land("acme/students/1.csv", table(STUDENTS))
    home.ingest()
    home.land("acme/students/2.csv", "student_id,member_id\nzoe,ray\n")
    home.ingest()
    assert held(home, "students", "student_id, member_id") == [("zoe", "ray")]


def test_a_file_without_rows_leaves_none(home: Installation) -> None:
    home.land("acme/students/1.csv", table(STUDENTS))
    home.land("acme/students/2.csv", "student_id,member_id\n")
    home.ingest()
    assert held(home, "students", "student_id") == []


def test_a_snapshot_is_of_its_merchant_and_its_dataset_alone(tmp_path: Path) -> None:
    home = make_home(tmp_path, ACME + '[merchants.beta]\nname = "B"\ntimezone = "UTC"\ncurrency = "USD"\n')
    home.land("acme/students/1.csv", table(STUDENTS))
    home.land("acme/enrollments/1.csv", csv([ENROLLMENT]))
    home.ingest()
    home.land("beta/students/1.csv", "student_id,member_id\nzoe,ray\n")
    home.ingest()
    assert [who for (who,) in held(home, "students", "student_id")] == ["mia", "tom", "zoe"]
    assert len(held(home, "enrollments", "enrollment_id")) == 1


def test_of_one_id_in_a_file_the_last_row_counts(home: Installation) -> None:
    home.land("acme/students/1.csv", "student_id,member_id\nmia,lee\nmia,ray\n")
    assert home.ingest().counts == [(2, 2, 0, 0)]
    assert held(home, "students", "student_id, member_id") == [("mia", "ray")]


def test_the_same_file_again_changes_nothing_and_under_a_new_name_it_is_the_newest(home: Installation) -> None:
    home.land("acme/students/1.csv", table(STUDENTS))
    home.ingest()
    home.land("acme/students/1.csv", table(STUDENTS))
    assert home.ingest().counts == []
    home.land("acme/students/2.csv", "student_id,member_id\nzoe,ray\n")
    home.ingest()
    home.land("acme/students/3.csv", table(STUDENTS))
    home.ingest()
    assert [who for (who,) in held(home, "students", "student_id")] == ["mia", "tom"]


def test_a_file_that_cannot_be_read_is_no_snapshot(home: Installation) -> None:
    home.land("acme/students/1.csv", table(STUDENTS))
    home.ingest()
    home.land("acme/students/2.csv", "student,member_id\nzoe,ray\n")
    taken = home.ingest()
    assert taken.counts == [(1, 0, 0, 1)]
    assert 'Column "student" of the header is unknown' in taken.explanation
    assert [who for (who,) in held(home, "students", "student_id")] == ["mia", "tom"]


def test_a_file_of_which_no_row_can_go_in_is_no_snapshot(home: Installation) -> None:
    """A page of an error under the name of a roster has lines, and none of them is a row."""
    home.land("acme/students/1.csv", table(STUDENTS) + "zoe\n")
    home.ingest()
    home.land("acme/students/2.jsonl", "<html>\n<p>Error 500</p>\n")
    taken = home.ingest()
    assert taken.counts == [(2, 0, 0, 2)]
    assert [row["source_file"] for row in taken.open] == [
        "acme/students/1.csv",
        *["acme/students/2.jsonl"] * 2,
    ]
    assert [who for (who,) in held(home, "students", "student_id")] == ["mia", "tom"]
    home.ingest(retry=True)
    assert [who for (who,) in held(home, "students", "student_id")] == ["mia", "tom"]


def test_what_was_set_aside_of_a_snapshot_is_closed_by_the_next_one(home: Installation) -> None:
    home.land("acme/charges/1.csv", csv([CHARGE, {**CHARGE, "charge_id": "c2", "amount": "?"}]))
    assert len(home.ingest().open) == 1
    home.land("acme/charges/2.csv", csv([CHARGE]))
    taken = home.ingest()
    assert taken.open == []
    assert len(taken.rejected) == 1


def test_rows_set_aside_join_their_snapshot_when_the_settings_let_them_in(home: Installation) -> None:
    home.land("acme/charges/1.csv", csv([CHARGE, {**CHARGE, "charge_id": "c2", "amount": "1.234"}]))
    home.ingest()
    home.configure(ACME.replace("USD", "KWD"))
    taken = home.ingest()
    assert [str(outcome.reading) for outcome in taken.result.files] == ["retry"]
    assert [charge for (charge,) in held(home, "charges", "charge_id")] == ["c1", "c2"]


def test_a_file_read_at_last_is_the_snapshot_unless_a_newer_one_has_come(home: Installation) -> None:
    """It could not be read under the former encoding, and came after the one that is there."""
    latin = "student_id,member_id,first_name\nzoe,ray,Zoë\n".encode("cp1252")
    home.land("acme/students/1.csv", table(STUDENTS))
    home.land("acme/students/2.csv", latin)
    assert len(home.ingest().open) == 1
    home.configure(ACME.replace('currency = "USD"', 'currency = "USD"\nencoding = "cp1252"'))
    assert home.ingest().open == []
    assert held(home, "students", "student_id, first_name") == [("zoe", "Zoë")]

    home.configure(ACME)
    home.land("acme/students/3.csv", latin.replace(b"zoe", b"ann"))
    home.land("acme/students/4.csv", table(STUDENTS))
    taken: Ingested = home.ingest()
    assert taken.open == [], "what came after it is all there is"
    home.configure(ACME.replace('currency = "USD"', 'currency = "USD"\nencoding = "cp1252"'))
    home.ingest(retry=True)
    assert [who for (who,) in held(home, "students", "student_id")] == ["mia", "tom"]


def test_a_snapshot_read_at_last_stays_when_what_was_set_aside_of_it_is_read_again(home: Installation) -> None:
    """Its first retry set a row aside, and that row's own retry is of the same snapshot, not of a newer one."""
    charges = [{**CHARGE, "till": "4"}, {**CHARGE, "charge_id": "c2", "amount": "1.234", "till": "4"}]
    home.land("acme/charges/1.csv", csv(charges))
    assert home.ingest().counts == [(1, 0, 0, 1)]
    ignoring = ACME.replace('currency = "USD"', 'currency = "USD"\nignore_columns = ["till"]')
    home.configure(ignoring)
    assert home.ingest().counts == [(2, 1, 0, 1)]
    assert home.ingest(retry=True).counts == [(1, 0, 0, 1)]
    assert [charge for (charge,) in held(home, "charges", "charge_id")] == ["c1"]
    home.configure(ignoring.replace("USD", "KWD"))
    assert home.ingest().counts == [(1, 1, 0, 0)]
    assert [charge for (charge,) in held(home, "charges", "charge_id")] == ["c1", "c2"]


def test_equal_files_that_could_not_be_read_each_take_their_place_when_they_can(home: Installation) -> None:
    """The first one was sent once more under a third name, after another."""
    first, second = table(STUDENTS).encode() + "zoë,lee,,,\n".encode("cp1252"), "student_id,member_id\nzoë,ray\n"
    for name, content in (("1", first), ("2", second.encode("cp1252")), ("3", first)):
        home.land(f"acme/students/{name}.csv", content)
    assert home.ingest().counts == [(1, 0, 0, 1)] * 3
    home.configure(ACME.replace('currency = "USD"', 'currency = "USD"\nencoding = "cp1252"'))
    taken = home.ingest()
    assert taken.counts == [(3, 3, 0, 0), (1, 1, 0, 0), (3, 3, 0, 0)]
    assert taken.open == []
    assert held(home, "students", "student_id, source_file") == [
        ("mia", "acme/students/3.csv"),
        ("tom", "acme/students/3.csv"),
        ("zoë", "acme/students/3.csv"),
    ]


def test_a_rebuild_comes_to_the_same_rosters(home: Installation) -> None:
    home.land("acme/students/1.csv", table(STUDENTS))
    home.land("acme/enrollments/1.csv", csv([ENROLLMENT, {**ENROLLMENT, "enrollment_id": "e2", "kind": "?"}]))
    home.land("acme/charges/1.csv", csv([CHARGE]))
    home.ingest()
    home.land("acme/students/2.csv", "student_id,member_id\nzoe,ray\n")
    home.ingest()
    (rebuilt,) = rebuild(home.home, wait_s=0, say=home.said.append)
    assert rebuilt.compared
    assert rebuilt.differences == ()
    assert held(home, "students", "student_id, member_id") == [("zoe", "ray")]
    assert len(held(home, "charges", "charge_id")) == 1


def test_rosters_come_in_other_kinds_of_files_too(home: Installation) -> None:
    home.land("acme/students/1.jsonl", '{"student_id": "mia", "member_id": 17}\n')
    assert home.ingest().counts == [(1, 1, 0, 0)]
    assert held(home, "students", "student_id, member_id") == [("mia", "17")]


def test_a_member_is_a_family_with_keywords_and_autopay_methods(home: Installation) -> None:
    home.land(
        "acme/members/1.csv", csv([{"member_id": "lee", "keywords": "vip;staff", "autopay_methods": "card;bank"}])
    )
    (family,) = home.ingest().members
    assert (family["keywords"], family["autopay_methods"]) == ("vip;staff", "card;bank")
