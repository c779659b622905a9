"""Mass credits, step by step as people are taught them, and credits from a CSV; then the rules behind the steps.

Who qualifies is asked of one gym, whose rosters every test below finds unchanged; what is processed, of a new one.
"""

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import dagster as dg
import duckdb
import pytest

from pipelines import listings, periods, runs
from pipelines.definitions import defs
from pipelines.journal import Journal
from pipelines.operations.engine import Preview
from pipelines.operations.mass_credits import EnrollmentFilter, MassCredits, mass_credits_plan
from pipelines.operations.request_file import read_request
from pipelines.operations.requests import RefusedError
from pipelines.rebuild import rebuild
from pipelines.resources import Voice
from pipelines.settings import find_home
from pipelines.shards import ledger_path
from tests.desks import ANN, BO, Office, make_office
from tests.homes import csv
from tests.processes import COMMAND, environment, rollforward, start
from tests.reported import build_tables
from tests.tables import rows

ROSTERS = {
    "members": """
        member_id  email            first_name  last_name  keywords     autopay_methods
        kim        kim@gym.example  Kim         Ito                     Bank
        lee        lee@gym.example  Ada         Lee        VIP; staff   card;bank
        ray        ray@gym.example  Bo          Ray        new          card
        sol        sol@gym.example
        """,
    "students": """
        student_id  member_id  first_name  last_name  keywords
        kai         kim        Kai         Ito
        mia         lee        Mia         Lee        Team; gold
        tom         lee        Tom         Lee
        zoe         ray        Zoe         Ray        team
        """,
    "enrollments": """
        enrollment_id  student_id  kind   name        program  location  days     keywords  program_keywords  status
        kai-b          kai         class  Tumbling B  Gym      East      tue      int       fall              ended
        mia-a          mia         class  Tumbling A  Gym      East      mon;wed  beg;fun   fall              active
        tom-b          tom         class  Tumbling B  Gym      East      tue      int       fall              Active
        zoe-a          zoe         class  Tumbling A  Gym      West      mon;wed  beg       fall              active
        zoe-s          zoe         camp   Surf        Sea      Beach     fri      summer                      active
        """,
    "charges": """
        charge_id  member_id  category  amount  outstanding
        c1         lee        Tuition   80.00   80.00
        c2         lee        Shop      10.00    0.00
        c3         ray        Tuition   80.00    0.00
        c4         kim        Shop      20.00   20.00
        c5         sol        Tuition   -5.00   -5.00
        """,
}
ALL = ["kim", "lee", "ray", "sol"]
ASKED = {"description": "Snow day", "credit_type": "Service Recovery", "amount": "12.50", "issue_per": "family"}
WHO = ("--merchant", "acme", "--actor", ANN)
TIMEZONE = ZoneInfo("America/New_York")


def today() -> date:
    return datetime.now(TIMEZONE).date()


def land_rosters(office: Office) -> Office:
    for name, text in ROSTERS.items():
        office.installation.land(f"acme/{name}/1.csv", csv(rows(text)))
    return office


@pytest.fixture(scope="module")
def gym(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """For previews only."""
    return land_rosters(make_office(tmp_path_factory.mktemp("gym")))


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """The same gym, to issue credits at."""
    return land_rosters(make_office(tmp_path))


def previewed(office: Office, **asked: Any) -> Preview:
    return office.preview("mass-credits", actor=ANN, **{**ASKED, "date": str(today()), **asked})


def families(office: Office, **asked: Any) -> list[str]:
    return previewed(office, **asked).recipients["member_id"].to_list()


def students(office: Office, **asked: Any) -> list[str]:
    return previewed(office, issue_per="student", **asked).recipients["student_id"].to_list()


def enrollments(office: Office, **asked: Any) -> list[str]:
    return previewed(office, issue_per="enrollment", **asked).recipients["enrollment_id"].to_list()


def refusal(office: Office, **asked: Any) -> str:
    with pytest.raises(RefusedError) as refused:
        previewed(office, **asked)
    return str(refused.value)


def processed(office: Office, preview: Preview, **how: Any) -> list[dict[str, Any]]:
    """The entries that come of a preview."""
    office.process(preview, actor=ANN, **how)
    return office.rows(f"from ledger.entries where operation_id = '{preview.preview_id}' order by source_row")


# Step 1: a description, which is part of the credit's title


def test_step_1_the_description_is_the_batchs_and_the_details_of_its_credits(office: Office) -> None:
    entries = processed(office, previewed(office, description="Snow day 12 January"))
    assert {entry["reason_details"] for entry in entries} == {"Snow day 12 January"}
    (batch,) = office.rows("from ledger.batches")
    assert batch["description"] == "Snow day 12 January"


def test_step_1_without_a_description_nothing_is_issued(gym: Office) -> None:
    assert refusal(gym, description=" ") == "description is missing."


# Step 2: the credit type


def test_step_2_the_credit_type_is_on_every_credit_and_on_the_batch(office: Office) -> None:
    entries = processed(office, previewed(office, credit_type="Promotional"))
    assert {entry["credit_type"] for entry in entries} == {"Promotional"}
    assert office.rows("select credit_type from ledger.batches") == [{"credit_type": "Promotional"}]


# Step 3: the date


def test_step_3_a_credit_of_today_is_issued_at_the_instant_of_processing(office: Office) -> None:
    before = datetime.now(UTC)
    (entry, *_) = processed(office, previewed(office))
    assert before < entry["occurred_at"] < datetime.now(UTC)
    assert entry["occurred_at"] == entry["recorded_at"]


def test_step_3_a_credit_of_a_day_before_is_issued_at_its_first_instant(office: Office) -> None:
    (entry, *_) = processed(office, previewed(office, date="2026-03-08", expires_in_days=3))
    assert entry["occurred_at"] == datetime(2026, 3, 8, tzinfo=TIMEZONE)
    assert entry["expires_at"] == datetime(2026, 3, 11, 23, 59, 59, tzinfo=TIMEZONE)
    assert office.rows("select issued_at from ledger.batches") == [{"issued_at": entry["occurred_at"]}]


def test_step_3_a_date_is_never_in_the_future_and_is_written_as_one(gym: Office) -> None:
    tomorrow = today() + timedelta(days=1)
    assert refusal(gym, date=str(tomorrow)) == f'date "{tomorrow}" is in the future: today is {today()} at acme.'
    for text in ("06/30/2026", "20260630", "2026-02-30"):
        assert refusal(gym, date=text) == f'date "{text}" is not a date; write it like 2026-06-30.'
    assert refusal(gym, date="") == "date is missing."


# Step 4: the amount


@pytest.mark.parametrize("amount", ["12.50", "12.5", 12.5])
def test_step_4_the_amount_is_text_or_a_number(gym: Office, amount: object) -> None:
    assert set(previewed(gym, amount=amount).recipients["amount"]) == {Decimal("12.50")}


def test_step_4_an_amount_is_an_amount_and_never_a_percentage(gym: Office) -> None:
    assert refusal(gym, amount="10%") == 'amount "10%" is not an amount; write it like 12.50.'
    assert refusal(gym, amount="1.005") == 'amount "1.005" has too many decimals; USD has 2.'
    assert "minus sign" in refusal(gym, amount=-5)


def test_step_4_amounts_that_come_to_more_than_a_batch_can_declare_are_refused(gym: Office) -> None:
    said = refusal(gym, amount="99999999999999")
    assert said.startswith("The 4 credits come to 399,999,999,999,996.00 USD in all, which has more than 14 digits")
    assert families(gym) == ALL, "and the next request is worked on"


# Step 5: once per family, student or enrollment


def test_step_5_once_per_family_is_one_credit_for_each(gym: Office) -> None:
    assert families(gym) == ALL


def test_step_5_once_per_student_is_one_for_each_student_of_the_family(gym: Office) -> None:
    assert students(gym) == ["kai", "mia", "tom", "zoe"]


def test_step_5_once_per_enrollment_is_one_for_each_active_enrollment(gym: Office) -> None:
    assert enrollments(gym) == ["mia-a", "tom-b", "zoe-a", "zoe-s"]


# Step 6: all, or those with outstanding charges


def test_step_6_only_those_with_outstanding_charges(gym: Office) -> None:
    assert families(gym, only_with_outstanding_charges=False) == ALL
    assert families(gym, only_with_outstanding_charges=True) == ["kim", "lee"]


# Step 7: autopay


def test_step_7_one_of_the_autopay_methods_is_on_file(gym: Office) -> None:
    assert families(gym, autopay_methods=["card"]) == ["lee", "ray"]
    assert families(gym, autopay_methods=["card", "bank"]) == ["kim", "lee", "ray"]


# Step 8: charge categories


def test_step_8_a_charge_of_one_of_the_categories_paid_or_not(gym: Office) -> None:
    assert families(gym, charge_categories=["Tuition"]) == ["lee", "ray", "sol"]
    assert families(gym, charge_categories=["Shop", "tuition"]) == ALL


def test_step_8_with_the_switch_of_step_6_it_is_a_charge_of_the_category_that_is_outstanding(gym: Office) -> None:
    assert families(gym, charge_categories=["Tuition"], only_with_outstanding_charges=True) == ["lee"]
    # Lee has a charge of the shop, and an outstanding one; but the outstanding one is not of the shop.
    assert families(gym, charge_categories=["Shop"], only_with_outstanding_charges=True) == ["kim"]


# Step 9: student keywords and family keywords


def test_step_9_one_of_the_family_keywords(gym: Office) -> None:
    assert families(gym, family_keywords=["staff"]) == ["lee"]
    assert families(gym, family_keywords=["staff", "new"]) == ["lee", "ray"]


def test_step_9_a_student_with_one_of_the_student_keywords(gym: Office) -> None:
    assert families(gym, student_keywords=["gold"]) == ["lee"]
    assert families(gym, student_keywords=["gold", "team"]) == ["lee", "ray"]


def test_step_9_per_student_and_per_enrollment_only_such_students_get_one(gym: Office) -> None:
    assert students(gym, student_keywords=["team"]) == ["mia", "zoe"]
    assert enrollments(gym, student_keywords=["team"]) == ["mia-a", "zoe-a", "zoe-s"]


# Step 10: enrollment filters


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"days": ["Mon"]}, ["lee", "ray"]),
        ({"days": ["fri"]}, ["ray"]),
        ({"locations": ["East"]}, ["lee"]),
        ({"classes": ["tumbling a "]}, ["lee", "ray"]),
        ({"classes": ["Surf"]}, []),
        ({"camps": ["Surf"]}, ["ray"]),
        ({"programs": ["Gym"]}, ["lee", "ray"]),
        ({"class_keywords": ["fun"]}, ["lee"]),
        ({"class_keywords": ["summer"]}, []),
        ({"camp_keywords": ["summer"]}, ["ray"]),
        ({"program_keywords": ["fall"]}, ["lee", "ray"]),
    ],
)
def test_step_10_an_enrollment_filter_asks_for_any_of_its_lists(
    gym: Office, asked: Mapping[str, list[str]], found: list[str]
) -> None:
    assert families(gym, enrollment_filters=[asked]) == found


def test_step_10_classes_a_and_b_are_that_exact_combination(gym: Office) -> None:
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A", "Tumbling B"]}]) == ["lee"]


def test_step_10_for_either_class_the_credits_are_run_once_for_each(gym: Office) -> None:
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A"]}]) == ["lee", "ray"]
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling B"]}]) == ["lee"]


def test_step_10_several_filters_must_all_be_met(gym: Office) -> None:
    both = [{"classes": ["Tumbling A"]}, {"camps": ["Surf"]}]
    assert families(gym, enrollment_filters=both) == ["ray"]
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A"]}, {"classes": ["Tumbling B"]}]) == ["lee"]


def test_only_active_enrollments_count(gym: Office) -> None:
    assert "kim" not in families(gym, enrollment_filters=[{"days": ["tue"]}])
    assert "kai-b" not in enrollments(gym)


def test_an_enrollment_must_itself_have_a_value_of_each_list(gym: Office) -> None:
    """Zoe's class is in the West and her camp on Friday; no enrollment of hers is in the West on Friday."""
    assert families(gym, enrollment_filters=[{"locations": ["West"]}, {"days": ["fri"]}]) == ["ray"]
    assert families(gym, enrollment_filters=[{"locations": ["West"], "days": ["fri"]}]) == []


def test_classes_and_camps_are_one_list_and_every_value_of_it_must_be_had(gym: Office) -> None:
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A"], "camps": ["Surf"]}]) == ["ray"]


def test_every_value_must_be_had_by_an_enrollment_that_meets_the_whole_filter(gym: Office) -> None:
    """Lee has classes A and B in the East; Tumbling A on Tuesday nobody has."""
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A", "Tumbling B"], "locations": ["East"]}]) == [
        "lee"
    ]
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A", "Tumbling B"], "days": ["tue"]}]) == []
    assert families(gym, enrollment_filters=[{"days": ["mon", "tue"]}]) == ["lee"]


def test_more_enrollments_than_asked_for_do_not_exclude(gym: Office) -> None:
    assert families(gym, enrollment_filters=[{"camps": ["Surf"]}]) == ["ray"]


def test_a_value_that_is_asked_for_twice_is_asked_for_once(gym: Office) -> None:
    assert families(gym, enrollment_filters=[{"classes": ["Surf school", "Tumbling A"]}]) == []
    assert families(gym, enrollment_filters=[{"classes": ["Tumbling A", "TUMBLING A"]}]) == ["lee", "ray"]


def test_per_student_those_with_an_enrollment_that_meets_one_of_the_filters(gym: Office) -> None:
    assert students(gym, enrollment_filters=[{"classes": ["Tumbling A"]}]) == ["mia", "zoe"]
    assert students(gym, enrollment_filters=[{"classes": ["Tumbling A", "Tumbling B"]}]) == ["mia", "tom"]


def test_per_enrollment_those_that_meet_one_of_the_filters(gym: Office) -> None:
    assert enrollments(gym, enrollment_filters=[{"days": ["mon"]}]) == ["mia-a", "zoe-a"]
    assert enrollments(gym, enrollment_filters=[{"camps": ["Surf"]}, {"classes": ["Tumbling A"]}]) == ["zoe-a", "zoe-s"]


def test_different_conditions_must_all_be_met(gym: Office) -> None:
    assert families(gym, autopay_methods=["card"], family_keywords=["new"]) == ["ray"]
    assert families(gym, autopay_methods=["card"], only_with_outstanding_charges=True) == ["lee"]
    assert families(gym, student_keywords=["team"], enrollment_filters=[{"locations": ["East"]}]) == ["lee"]
    # Tom has the enrollment, Mia the keyword: the family qualifies, and Mia's enrollments are the ones that count.
    assert enrollments(gym, student_keywords=["gold"], enrollment_filters=[{"days": ["tue"]}]) == []


def test_a_filter_that_says_nothing_is_refused_since_it_would_let_everyone_through(gym: Office) -> None:
    assert refusal(gym, enrollment_filters=[{"days": ["mon"]}, {}]).startswith("enrollment_filters 2 is empty. Name ")
    assert refusal(gym, family_keywords=[""]).startswith("family_keywords has a blank value.")
    assert refusal(gym, enrollment_filters=[{"days": ["monday"]}]) == (
        'enrollment_filters 1, days "monday" is none of mon, tue, wed, thu, fri, sat, sun.'
    )


def test_a_filter_that_no_enrollment_can_meet_is_warned_of(gym: Office) -> None:
    made = previewed(gym, enrollment_filters=[{"class_keywords": ["beg"], "camp_keywords": ["summer"]}])
    assert made.recipients.is_empty()
    assert made.warnings[0].startswith("Enrollment filter 1 asks for a class and for a camp")


# Steps 11 and 13: the preview, and the list of those who get one


def test_step_11_a_preview_moves_nothing(gym: Office) -> None:
    previewed(gym)
    assert gym.rows("from ledger.entries") == []
    assert gym.rows("from ledger.batches") == []


def test_step_13_each_is_listed_with_name_email_amount_and_why(gym: Office) -> None:
    made = previewed(
        gym, only_with_outstanding_charges=True, autopay_methods=["CARD"], family_keywords=["vip"],
        student_keywords=["team"], enrollment_filters=[{"days": ["mon"]}],
    )  # fmt: skip
    (one,) = made.recipients.to_dicts()
    assert (one["name"], one["email"], one["amount"]) == ("Ada Lee", "lee@gym.example", Decimal("12.50"))
    assert one["why"] == (
        "enrolled in Tumbling A; outstanding charge: Tuition; autopay card; family keyword vip; student keyword team"
    )
    assert (made.total, made.unit) == (Decimal("12.50"), "USD")
    assert Path(made.csv_file).read_text().splitlines()[1].startswith("1,lee,lee@gym.example,Ada Lee,")


def test_step_13_a_student_and_an_enrollment_are_named(gym: Office) -> None:
    made = previewed(gym, issue_per="enrollment", enrollment_filters=[{"camps": ["Surf"]}])
    assert made.recipients["why"].to_list() == ["for Zoe Ray; enrolled in Surf"]
    assert set(previewed(gym).recipients["why"]) == {"every family"}


def test_step_13_after_a_correction_a_new_preview_must_be_run(office: Office) -> None:
    made = previewed(office, family_keywords=["vip", "new"])
    office.installation.land(
        "acme/members/2.csv", csv([{"member_id": "lee", "email": "lee@gym.example"},
                                   {"member_id": "sol", "keywords": "new"},
                                   {"member_id": "ray", "keywords": "new", "email": "other@gym.example"}])
    )  # fmt: skip
    with pytest.raises(RefusedError) as refused:
        office.process(made, actor=ANN)
    assert str(refused.value) == (
        f"The data has changed since the preview {made.preview_id} was made: 1 recipient no longer belongs to it"
        " (lee); 1 recipient belongs to it now (sol); 1 recipient has changed (ray). Nothing was posted."
        " Make a new preview and look at it."
    )
    assert office.rows("from ledger.entries") == []
    (kept,) = office.rows("select kind, status from ledger.operations")
    assert kept == {"kind": "mass-credits", "status": "refused"}


def test_a_roster_that_changes_nothing_that_the_preview_says_is_no_matter(office: Office) -> None:
    made = previewed(office, family_keywords=["vip"])
    office.installation.land("acme/students/2.csv", csv([{"student_id": "new", "member_id": "ray"}]))
    assert len(processed(office, made)) == 1


# Step 12: the filter summary


def test_step_12_the_filter_summary_says_all_that_was_asked(gym: Office) -> None:
    made = previewed(
        gym, date="2026-06-01", reason="Weather", location="East", expires_in_days=30,
        only_with_outstanding_charges=True, autopay_methods=["card", "bank"], charge_categories=["Tuition"],
        student_keywords=["team"], family_keywords=["vip"],
        enrollment_filters=[{"classes": ["Tumbling A", "Tumbling B"], "days": ["mon"]}, {"camp_keywords": ["summer"]}],
    )  # fmt: skip
    assert made.filters.splitlines() == [
        "Snow day (Service Recovery): 12.50 USD once per family, dated 2026-06-01, good through 2026-07-01.",
        "Reason: Weather",
        "Location: East",
        "Families: only with outstanding charges",
        "Autopay on file: card or bank",
        "Charges of category: Tuition, outstanding",
        "Student keyword: team",
        "Family keyword: vip",
        "Enrollment filter 1: days mon; classes Tumbling A and Tumbling B",
        "Enrollment filter 2: camp keywords summer",
    ]


# Step 14: process


def test_step_14_one_batch_of_one_credit_for_each(office: Office) -> None:
    made = previewed(office, reason="Weather", internal_note="Ask Bo", expires_in_days=10)
    entries = processed(office, made)
    assert [entry["member_id"] for entry in entries] == ALL
    told = ("entry_type", "amount", "batch_id", "reason", "internal_note", "creator_name", "creator_email")
    assert {tuple(entry[name] for name in told) for entry in entries} == {
        ("created", Decimal("12.50"), made.preview_id, "Weather", "Ask Bo", "Ann Lee", ANN)
    }
    assert {entry["expires_at"].astimezone(TIMEZONE).date() for entry in entries} == {today() + timedelta(days=10)}
    assert office.balance("ray") == "12.50"
    (batch,) = office.rows("from ledger.batches")
    of_batch = ("batch_id", "issued_by_name", "issued_by_email", "reason", "issued_as", "declared_recipients")
    assert [batch[name] for name in of_batch] == [made.preview_id, "Ann Lee", ANN, "Weather", "family", 4]
    assert batch["declared_total"] == Decimal(50)


def test_all_credits_and_the_batch_belong_to_the_location_that_was_chosen(office: Office) -> None:
    entries = processed(office, previewed(office, issue_per="enrollment", location="Main Street"))
    assert {entry["location"] for entry in entries} == {"Main Street"}
    assert office.rows("select location from ledger.batches") == [{"location": "Main Street"}]


def test_whoever_is_excluded_gets_none(office: Office) -> None:
    entries = processed(office, previewed(office, issue_per="student"), exclude=["kim", "zoe"])
    assert [entry["member_id"] for entry in entries] == ["lee", "lee"]
    (batch,) = office.rows("from ledger.batches")
    assert (batch["declared_recipients"], batch["declared_total"]) == (1, Decimal(25))
    made = previewed(office)
    with pytest.raises(RefusedError, match='exclude "nobody" is no member, student, enrollment or credit'):
        office.process(made, actor=ANN, exclude=["nobody"])


def test_an_id_that_a_member_shares_with_anothers_student_leaves_nobody_out_until_it_is_said_which(
    tmp_path: Path,
) -> None:
    office = make_office(tmp_path)
    office.installation.land("acme/members/all.csv", "member_id\n1\n2\n3\n")
    office.installation.land("acme/students/all.csv", "student_id,member_id\n1,2\n2,1\n3,3\n")
    made = previewed(office, issue_per="student", student_keywords=[], family_keywords=[])
    with pytest.raises(RefusedError, match=r"member and of a student .*: write member_id=1 or student_id=1\."):
        office.process(made, actor=ANN, exclude=["1"])
    with pytest.raises(RefusedError, match='exclude "student_id=9" is no member'):
        office.process(made, actor=ANN, exclude=["student_id=9"])
    entries = processed(office, made, exclude=["3", "student_id=1"])
    assert [entry["member_id"] for entry in entries] == ["1"]


def test_the_same_preview_again_issues_nothing(office: Office) -> None:
    made = previewed(office)
    office.process(made, actor=ANN)
    again = office.process(made, actor=ANN)
    assert again.already
    assert len(office.rows("from ledger.entries")) == 4


def test_the_half_of_a_preview_that_was_killed_as_it_was_written_is_gone_with_the_next_one(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(_rows: object, path: Path) -> NoReturn:
        path.write_text("member_id,ema")
        raise KeyboardInterrupt

    monkeypatch.setattr(listings, "write_csv", killed)
    with pytest.raises(KeyboardInterrupt):
        previewed(office)
    monkeypatch.undo()
    shown = previewed(office)
    folder = office.installation.home.previews / "acme"
    assert [path.name for path in folder.iterdir()] == [f"{shown.preview_id}.csv"]


def test_a_preview_without_recipients_is_shown_and_cannot_be_processed(office: Office) -> None:
    made = previewed(office, family_keywords=["unheard of"])
    assert (made.recipients.height, made.total) == (0, Decimal(0))
    with pytest.raises(RefusedError, match="has no recipients, so there is nothing to process"):
        office.process(made, actor=ANN)


def test_a_batch_that_got_another_amount_is_not_flagged_for_it(office: Office) -> None:
    made = previewed(office)
    processed(office, made)
    office.process(office.preview("adjust-batch", batch=made.preview_id, amount="15", reason="Too little"))
    soon = datetime.now(UTC) + timedelta(seconds=1)  # a report is as of a whole second
    with office.shard() as shard:
        period = periods.range_of(shard.merchants["acme"], today(), today(), now=soon)
        build_tables(shard.connection, [period])
        (batch,) = shard.connection.execute("select total_amount, status from audits.credits_batches").fetchall()
        flags = shard.connection.execute("select rule from audits.anomaly_flags where rule like '%batch%'").fetchall()
    assert batch == (Decimal("60.0000"), "Adjusted")
    assert flags == [], "it declares 50.00 for 4 members, who have two credits of it each"


def test_a_credit_above_the_approval_limit_needs_another_person(office: Office) -> None:
    office.settings("approval_limit = 10.00")
    made = previewed(office, date="2026-06-01", expires_in_days=5)
    over, limit = made.warnings
    assert over.endswith("which is over: they expire at once.")
    assert "above approval_limit 10.00: to process it, approved_by must name another person" in limit
    with pytest.raises(RefusedError, match=r"is above approval_limit 10\.00: approved_by must name another person"):
        office.process(made, actor=ANN)
    assert {entry["approved_by"] for entry in processed(office, made, approved_by=BO)} == {BO}


def test_a_batch_with_the_same_recipients_amount_and_reason_is_warned_of_for_seven_days(office: Office) -> None:
    first = previewed(office, reason="Weather")
    assert first.warnings == ()
    office.process(first, actor=ANN)
    (warning,) = previewed(office, reason="weather ", description="Again").warnings
    assert warning.startswith(f"Batch {first.preview_id} of {today()} has the same recipients, amount and reason")
    for other in ({"amount": "12.51"}, {"reason": "Holiday"}, {"issue_per": "student"}, {"family_keywords": ["vip"]}):
        assert previewed(office, **{"reason": "Weather", **other}).warnings == ()


def test_of_two_previews_of_the_same_the_second_is_not_processed_without_its_warning(office: Office) -> None:
    first, second = previewed(office, reason="Weather"), previewed(office, reason="Weather")
    assert first.warnings == second.warnings == ()
    office.process(first, actor=ANN)
    with pytest.raises(RefusedError, match=rf"Batch {first.preview_id} of .* the same a second time.* Nothing was"):
        office.process(second, actor=ANN)
    warned = previewed(office, reason="Weather")
    assert len(warned.warnings) == 1
    assert office.process(warned, actor=ANN).entries == len(ALL)


def test_a_batch_of_eight_days_ago_is_not_warned_of(office: Office) -> None:
    day = today() - timedelta(days=8)
    office.land("\n".join(
        ["entry_id  entry_type  member_id  amount  batch_id  occurred_at       reason",
         f"kim-1     opening     kim        12.50   old       {day}T05:01Z  Weather",
         *(f"{who}-1     created     {who}        12.50   old       {day}T05:01Z  Weather" for who in ALL[1:])]
    ))  # fmt: skip
    assert previewed(office, reason="Weather").warnings == ()
    for later in (day, day + timedelta(days=7)):
        assert len(previewed(office, reason="Weather", date=str(later)).warnings) == 1


def test_a_batch_that_was_posted_today_is_warned_of_whatever_its_date(office: Office) -> None:
    day = today() - timedelta(days=60)
    first = previewed(office, date=str(day))
    office.process(first, actor=ANN)
    (warning,) = previewed(office).warnings
    assert warning.startswith(f"Batch {first.preview_id} of {day} has")


def test_credits_that_would_have_expired_by_now_are_warned_of(gym: Office) -> None:
    (warning,) = previewed(gym, date="2026-06-01", expires_in_days=10).warnings
    assert warning == "The credits are good through 2026-06-11, which is over: they expire at once."


def test_a_rebuild_comes_to_the_same_credits_and_batch(office: Office) -> None:
    office.process(previewed(office, issue_per="enrollment", date="2026-06-01"), actor=ANN)
    (rebuilt,) = rebuild(office.installation.home, wait_s=0, say=office.installation.said.append)
    assert rebuilt.differences == ()
    assert len(office.rows("from ledger.batches")) == 1


# Credits from a CSV


def csv_preview(office: Office, content: str, **asked: Any) -> Preview:
    path = office.home / "gift cards.csv"
    path.write_text(content)
    return office.preview("credits-csv", actor=ANN, file=str(path), **asked)


def csv_refusal(office: Office, content: str) -> str:
    with pytest.raises(RefusedError) as refused:
        csv_preview(office, content)
    return str(refused.value)


def test_a_csv_is_one_batch_with_individual_amounts(office: Office) -> None:
    made = csv_preview(
        office,
        "member_id;amount;reason_details;expires_at\nlee;1,250.50;For the float;2199-06-30\nray;7;;0\n",
        reason="Refund", credit_type="Refund", description="June refunds", location="East",
    )  # fmt: skip
    assert (made.total, made.warnings) == (Decimal("1257.50"), ())
    lee, ray = processed(office, made)
    told = ("member_id", "amount", "reason", "reason_details", "credit_type", "location", "batch_id")
    assert [lee[name] for name in told] == [
        "lee", Decimal("1250.50"), "Refund", "For the float", "Refund", "East", made.preview_id,
    ]  # fmt: skip
    assert lee["expires_at"] == datetime(2199, 6, 30, 23, 59, 59, tzinfo=TIMEZONE)
    assert (ray["amount"], ray["reason_details"], ray["expires_at"]) == (Decimal(7), "June refunds", None)
    (batch,) = office.rows("from ledger.batches")
    assert (batch["issued_as"], batch["description"], batch["declared_recipients"]) == ("csv", "June refunds", 2)


def test_what_is_not_said_of_a_csv_is_its_name_and_today(office: Office) -> None:
    made = csv_preview(office, "member_id,amount\nlee,5\n")
    assert made.filters == f"gift cards.csv (Adjustment): the rows of gift cards.csv, in USD, dated {today()}."


def test_a_csv_that_was_previewed_in_one_currency_is_not_issued_in_another(office: Office) -> None:
    made = csv_preview(office, "member_id,amount\nlee,5\n")
    office.installation.configure(office.installation.home.merchants_file.read_text("utf-8").replace("USD", "EUR"))
    with pytest.raises(RefusedError, match=r"in USD, dated .* and by now it is .* in EUR, dated"):
        office.process(made)


def test_bad_rows_refuse_the_csv_with_row_and_column(gym: Office) -> None:
    content = (
        "member_id,amount,expires_at\nlee,5,\nghost,5,\nlee,5.005,\nray,-1,\nray,5,2020-01-01\n,5,\nray,,\nray,0,\n"
    )
    assert csv_refusal(gym, content) == (
        "gift cards.csv has 7 bad rows, and nothing of it is taken:"
        ' row 3, member_id "ghost" is no member of acme, and no entry names them.'
        ' row 4, amount "5.005" has too many decimals; USD has 2.'
        ' row 5, amount "-1" has a minus sign; credits are issued here.'
        ' row 6, expires_at "2020-01-01" is not after the day of the credit.'
        " row 7, member_id is blank. And 2 more rows."
    )


def test_a_row_with_a_cell_too_many_refuses_the_csv(gym: Office) -> None:
    said = csv_refusal(gym, "member_id,amount\nlee,5,9\nghost,5\n")
    assert said.startswith("gift cards.csv has 2 bad rows, and nothing of it is taken: row 2: ")
    assert said.endswith(' row 3, member_id "ghost" is no member of acme, and no entry names them.')


def test_a_csv_with_another_column_or_that_is_not_there_is_refused(gym: Office) -> None:
    assert csv_refusal(gym, "member,amount\nlee,5\n").startswith('gift cards.csv: Column "member" of the header')
    with pytest.raises(RefusedError, match=r"is not there\. Name a CSV that is"):
        gym.preview("credits-csv", actor=ANN, file=str(gym.home / "no.csv"))


def test_a_member_who_is_in_the_csv_twice_gets_both_and_it_is_warned_of(office: Office) -> None:
    made = csv_preview(office, "member_id,amount\nlee,5\nlee,6\nray,1\n")
    assert made.warnings == ("1 member is in the file more than once: lee.",)
    assert [str(entry["amount"]) for entry in processed(office, made)] == ["5.0000", "6.0000", "1.0000"]
    assert office.rows("select declared_recipients from ledger.batches") == [{"declared_recipients": 2}]


def test_credits_of_a_csv_that_have_expired_by_now_are_warned_of_and_not_issued_where_they_had_not(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    dated = {"date": "2026-06-01"}
    made = csv_preview(office, "member_id,amount,expires_at\nlee,5,2026-06-10\nray,6,\n", **dated)
    said = "The time until which 1 credit is good is over (row 2; 5.00 USD in all): they expire at once."
    assert made.warnings == (said,)
    assert processed(office, made)
    soon = csv_preview(office, f"member_id,amount,expires_at\nlee,7,{today()}\n", date=str(today()))
    assert soon.warnings == ()
    monkeypatch.setattr(Journal, "next_instant", lambda *_: datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(RefusedError, match=r"\(row 2; 7\.00 USD in all\)"):
        office.process(soon, actor=ANN)


def test_a_csv_that_has_changed_since_its_preview_is_refused(office: Office) -> None:
    made = csv_preview(office, "member_id,amount\nlee,5\nray,5\n")
    csv_preview(office, "member_id,amount\nlee,5\nray,6\n")
    with pytest.raises(RefusedError, match=r"1 recipient has changed \(ray\)"):
        office.process(made, actor=ANN)


def test_a_csv_in_which_an_expiry_has_moved_by_seconds_is_refused(office: Office) -> None:
    made = csv_preview(office, "member_id,amount,expires_at\nlee,5,2099-06-30\n")
    csv_preview(office, "member_id,amount,expires_at\nlee,5,2099-06-30T23:59:00\n")
    with pytest.raises(RefusedError, match=r"1 recipient has changed \(lee\)"):
        office.process(made, actor=ANN)


def test_a_csv_without_a_date_previewed_one_day_and_processed_the_next_is_refused(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = csv_preview(office, "member_id,amount\nlee,5\nray,6\n")
    tomorrow = today() + timedelta(days=1)
    monkeypatch.setattr(Journal, "next_instant", lambda *_: datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(RefusedError, match=rf'said ".*dated {today()}\.", and by now it is ".*dated {tomorrow}\."'):
        office.process(made, actor=ANN)
    assert processed(office, csv_preview(office, "member_id,amount\nlee,5\nray,6\n"))


# All rules at once: the query beside the same rules written a second time, plain, on rosters and requests by chance


WORDS = ("a", "b", "c")
LISTS = ("days", "locations", "classes", "camps", "programs", "class_keywords", "camp_keywords", "program_keywords")


def some(draw: random.Random, most: int = 2) -> list[str]:
    return draw.sample(WORDS, draw.randint(0, most))


def random_rosters(draw: random.Random) -> dict[str, list[dict[str, str]]]:
    def several(most: int = 3) -> str:
        return draw.choice([";", " ; "]).join(some(draw, most)).upper()

    members = [{"member_id": f"m{n}", "keywords": several(), "autopay_methods": several()} for n in range(12)]
    students = [
        {"student_id": f"s{n}", "member_id": draw.choice(members)["member_id"], "keywords": several()}
        for n in range(20)
    ]
    enrollments = [
        {
            "enrollment_id": f"e{n}", "student_id": draw.choice(students)["student_id"],
            "kind": draw.choice(["class", "class", "camp"]), "name": draw.choice(WORDS), "program": draw.choice(WORDS),
            "location": draw.choice(["", *WORDS]), "days": ";".join(draw.sample(["mon", "tue", "wed"], 2)),
            "keywords": several(), "program_keywords": several(),
            "status": draw.choice(["active", "Active", "ended", ""]),
        }
        for n in range(60)
    ]  # fmt: skip
    charges = [
        {
            "charge_id": f"c{n}", "member_id": draw.choice(members)["member_id"], "category": draw.choice(["", *WORDS]),
            "amount": "5", "outstanding": draw.choice(["0", "5"]),
        }
        for n in range(12)
    ]  # fmt: skip
    return {"members": members, "students": students, "enrollments": enrollments, "charges": charges}


def random_request(draw: random.Random) -> dict[str, Any]:
    def rarely(most: int = 2) -> list[str]:
        return some(draw, most) if draw.random() < 0.25 else []

    filters = []
    for _ in range(draw.choice([0, 0, 1, 1, 2])):
        lists = {name: some(draw, 1) for name in draw.sample(LISTS[1:], draw.randint(1, 2))}
        if draw.random() < 0.4:
            lists["days"] = draw.sample(["mon", "tue"], draw.randint(1, 2))
        if any(lists.values()):
            filters.append(lists)
    return {
        "issue_per": draw.choice(["family", "student", "enrollment"]),
        "only_with_outstanding_charges": draw.random() < 0.3,
        "autopay_methods": rarely(),
        "charge_categories": rarely(),
        "student_keywords": rarely(),
        "family_keywords": rarely(),
        "enrollment_filters": filters,
    }


def plainly(rosters: Mapping[str, list[dict[str, str]]], asked: Mapping[str, Any]) -> set[tuple[Any, ...]]:
    """Who qualifies: member, student, enrollment. As the rules read, one family after the other."""

    def words(text: str) -> set[str]:
        return {word.strip().lower() for word in text.split(";")} - {""}

    def has(enrollment: Mapping[str, str], name: str, value: str) -> bool:
        if name in ("classes", "camps"):
            return enrollment["kind"] == {"classes": "class", "camps": "camp"}[name] and enrollment["name"] == value
        if name in ("class_keywords", "camp_keywords"):
            return enrollment["kind"] == name.removesuffix("_keywords") and value in words(enrollment["keywords"])
        column = {"locations": "location", "programs": "program"}.get(name, name)
        return value in words(enrollment[column])

    def meets(enrollment: Mapping[str, str], one: Mapping[str, list[str]]) -> bool:
        given = [{name} for name in one if one[name] and name not in ("classes", "camps")]
        if one.get("classes") or one.get("camps"):
            given.append({"classes", "camps"})
        return all(
            any(has(enrollment, name, value) for name in names for value in one.get(name, [])) for names in given
        )

    filters = asked["enrollment_filters"]
    who: set[tuple[Any, ...]] = set()
    for member in rosters["members"]:
        mine = [one for one in rosters["students"] if one["member_id"] == member["member_id"]]
        ids = {one["student_id"] for one in mine}
        active = [
            one for one in rosters["enrollments"] if one["student_id"] in ids and one["status"].lower() == "active"
        ]
        keyed = {
            one["student_id"]
            for one in mine
            if not asked["student_keywords"] or words(one["keywords"]) & {*asked["student_keywords"]}
        }
        if asked["only_with_outstanding_charges"] or asked["charge_categories"]:
            charges = [
                one
                for one in rosters["charges"]
                if one["member_id"] == member["member_id"]
                and (one["outstanding"] != "0" or not asked["only_with_outstanding_charges"])
                and (not asked["charge_categories"] or one["category"] in asked["charge_categories"])
            ]
            if not charges:
                continue
        if asked["autopay_methods"] and not words(member["autopay_methods"]) & {*asked["autopay_methods"]}:
            continue
        if asked["family_keywords"] and not words(member["keywords"]) & {*asked["family_keywords"]}:
            continue
        if asked["student_keywords"] and not keyed:
            continue
        if not all(
            any(has(enrollment, name, value) for enrollment in active if meets(enrollment, one))
            for one in filters
            for name in one
            for value in one[name]
        ):
            continue
        meeting = [one for one in active if not filters or any(meets(one, asked_for) for asked_for in filters)]
        if asked["issue_per"] == "family":
            who.add((member["member_id"], None, None))
        elif asked["issue_per"] == "student":
            who |= {
                (member["member_id"], student, None)
                for student in keyed
                if not filters or student in {one["student_id"] for one in meeting}
            }
        else:
            who |= {
                (member["member_id"], one["student_id"], one["enrollment_id"])
                for one in meeting
                if one["student_id"] in keyed
            }
    return who


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))])
def test_the_query_finds_whom_the_rules_find_when_written_plainly(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    rosters = random_rosters(draw)
    office = make_office(tmp_path)
    for name, roster in rosters.items():
        office.installation.land(f"acme/{name}/1.csv", csv(roster))
    sizes = set()
    whole: dict[str, Any] = {**ASKED, "date": str(today()), "merchant": "acme", "actor": ANN}
    request = MassCredits(**whole)
    with office.desk(request, "mass-credits") as desk:
        for _ in range(150):
            asked = random_request(draw)
            plan = mass_credits_plan(desk, request.model_copy(update={**asked, "enrollment_filters": [
                EnrollmentFilter(**one) for one in asked["enrollment_filters"]
            ]}))  # fmt: skip
            assert plan.recipients is not None
            found = {*plan.recipients.select("member_id", "student_id", "enrollment_id").rows()}
            assert found == plainly(rosters, asked), asked
            assert len(found) == plan.recipients.height
            sizes.add(len(found))
    assert len(sizes) > 10, "requests by chance find all sorts of numbers of people"


# As people ask for it: the command line, and Dagster


def request_file(home: Path, **asked: Any) -> str:
    """A request as TOML."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**ASKED, "date": str(today()), **asked}.items()]
    path = home / "request.toml"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_request_is_previewed_and_processed_from_the_command_line(office: Office) -> None:
    home = office.home
    path = Path(request_file(home))
    path.write_text(
        f'description = "Snow day"\ncredit_type = "Refund"\ndate = {today()}\namount = 12.50\n'
        'issue_per = "enrollment"\n[[enrollment_filters]]\nclasses = ["Tumbling A"]\n'
    )
    shown = json.loads(rollforward(home, "--json", "mass-credits", "preview", str(path), *WHO).stdout)
    assert (shown["recipient_count"], shown["total"]) == (2, "25.00")
    keys = ("member_id", "student_id", "enrollment_id", "amount", "why")
    assert [tuple(one[key] for key in keys) for one in shown["recipients"]] == [
        ("lee", "mia", "mia-a", "12.50", "for Mia Lee; enrolled in Tumbling A"),
        ("ray", "zoe", "zoe-a", "12.50", "for Zoe Ray; enrolled in Tumbling A"),
    ]
    done = rollforward(home, "mass-credits", "process", shown["preview_id"], "--exclude", "zoe", *WHO)
    assert done.stdout == f"Snow day: 12.50 USD to each enrollment, dated {today()}. Left out: zoe.\n"
    assert "Enrollment filter 1: classes Tumbling A" in done.stderr
    record = home / "previews/acme" / f"{shown['preview_id']}.processed.csv"
    assert str(record) in done.stderr
    (credit,) = rows_of_csv(record)
    assert (credit["member_id"], credit["enrollment_id"], credit["amount"]) == ("lee", "mia-a", "12.5000")

    again = json.loads(rollforward(home, "--json", "mass-credits", "process", shown["preview_id"], *WHO).stdout)
    assert again["already"]
    assert again["csv_file"] == str(record)
    (listed,) = json.loads(rollforward(home, "--json", "operations").stdout)
    assert json.loads(listed["request"])["exclude"] == ["zoe"]


def rows_of_csv(path: Path) -> list[dict[str, str]]:
    from csv import DictReader

    with path.open(newline="") as file:
        return list(DictReader(file))


@pytest.mark.slow
def test_a_csv_is_previewed_and_processed_from_the_command_line(office: Office) -> None:
    path = office.home / "gifts.csv"
    path.write_text("member_id,amount\nlee,5\nray,7.25\n")
    shown = json.loads(rollforward(office.home, "--json", "credits-csv", "preview", str(path), *WHO).stdout)
    assert (shown["recipient_count"], shown["total"]) == (2, "12.25")
    done = rollforward(office.home, "credits-csv", "process", shown["preview_id"], *WHO)
    assert done.stdout == f"gifts.csv: credits from gifts.csv, dated {today()}.\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('colour = "red"\n', 'key "colour" is unknown.'),
        ('familykeywords = ["vip"]\n', 'key "familykeywords" is unknown. Did you mean "family_keywords"?'),
        ('merchant = "acme"\n', 'key "merchant" is the option --merchant of the command, not of the request.'),
        ('autopay_methods = "card"\n', 'key "autopay_methods": "card" should be a list such as ["one", "two"].'),
        ('expires_in_days = "30"\n', 'key "expires_in_days": "30" should be a whole number.'),
        ("expires_in_days = 30.0\n", 'key "expires_in_days": "30.0" should be a whole number.'),
        ("expires_in_days = true\n", 'key "expires_in_days": "True" should be a whole number.'),
        ('only_with_outstanding_charges = "yes"\n', '"yes" should be true or false.'),
        ('[[enrollment_filters]]\nday = ["mon"]\n', 'enrollment_filters 1, key "day" is unknown. Did you mean "days"?'),
        ("description", "cannot be read as TOML"),
    ],
)
def test_a_request_that_says_what_there_is_not_is_refused_with_its_name(tmp_path: Path, text: str, said: str) -> None:
    path = Path(request_file(tmp_path))
    path.write_text(path.read_text() + text)
    with pytest.raises(RefusedError) as refused:
        read_request(path, MassCredits, merchant="acme", actor=ANN, approved_by="")
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_request_without_what_it_needs_or_with_another_choice_is_refused(tmp_path: Path) -> None:
    def refused(text: str) -> str:
        path = tmp_path / "request.toml"
        path.write_text(text)
        with pytest.raises(RefusedError) as problem:
            read_request(path, MassCredits, merchant="acme", actor=ANN, approved_by="")
        return str(problem.value)

    assert 'key "description" is missing.' in refused("amount = 5\n")
    whole = Path(request_file(tmp_path)).read_text()
    assert 'key "issue_per": "member" should be' in refused(whole.replace('"family"', '"member"'))


def test_the_launchpad_says_what_each_field_is_and_the_run_shows_the_preview(office: Office) -> None:
    op = defs.resolve_job_def("mass_credits_preview").graph.node_named("mass_credits_preview_op").definition
    assert isinstance(op, dg.OpDefinition)
    form = op.config_schema.config_type.fields  # type: ignore[union-attr]
    assert all(len(field.description or "") > 15 for field in form.values())
    required = {name for name, field in form.items() if field.is_required}
    assert required == {"merchant", "actor", "description", "credit_type", "date", "amount", "issue_per"}

    home = office.installation.home
    asked = {**ASKED, "date": str(today()), "merchant": "acme", "actor": ANN,
             "enrollment_filters": [{"classes": ["Tumbling A", "Tumbling B"]}]}  # fmt: skip
    told = ask_dagster(home.path, "mass_credits_preview", asked)
    assert (told["recipient_count"], told["total"]) == (1, 12.5)
    assert "| lee |" in told["recipients"]
    done = ask_dagster(
        home.path,
        "mass_credits_process",
        {"merchant": "acme", "actor": ANN, "preview_id": told["preview"]["preview_id"]},
    )
    assert done["entries"] == 1
    assert Path(done["csv_file"]).is_file()
    assert "Enrollment filter 1: classes Tumbling A and Tumbling B" in done["filters"]


def ask_dagster(home: Path, job: str, asked: Mapping[str, Any]) -> Mapping[str, Any]:
    told = runs.run(
        find_home(home), job, speaks=Voice(lambda _said: None), resource={}, ops={f"{job}_op": {"config": dict(asked)}}
    )
    return told[dg.AssetKey(["ledger", "operations"]).to_user_string()]


def test_a_day_of_a_published_month_is_refused_and_one_before_it_brings_a_warning(office: Office) -> None:
    office.land("entry_id  member_id\na         lee")
    rollforward(office.home, "report", "--month", "2026-06")
    assert refusal(office, date="2026-06-30") == (
        'date "2026-06-30" is in 2026-06, whose workbook is published. Use 2026-07-01 or a later day.'
    )
    assert previewed(office, date="2026-07-01").recipients.height == 4
    with pytest.raises(RefusedError, match="whose workbook is published"):
        csv_preview(office, "member_id,amount\nlee,5\n", date="2026-06-15")
    assert previewed(office, date="2026-07-01").warnings == ()
    # May was never published, and is not refused; but the books of June were closed without these credits.
    said = (
        "2026-05-31 is before 2026-06, whose workbook is published: what these credits add to its opening balance makes"
        " it a new version when it is reported again."
    )
    assert previewed(office, date="2026-05-31").warnings == (said,)
    assert said in csv_preview(office, "member_id,amount\nlee,5\n", date="2026-05-31").warnings


# Faults


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with 50,000 families, ready to be copied."""
    office = make_office(tmp_path_factory.mktemp("crowd"))
    office.installation.land("acme/members/1.csv", "member_id\n" + "".join(f"m{n}\n" for n in range(50_000)))
    rollforward(office.home, "ingest")
    return office.home


def crowd_preview(crowd: Path, home: Path) -> str:
    shutil.copytree(crowd, home, ignore=shutil.ignore_patterns(".dagster"))
    rollforward(home, "mass-credits", "preview", request_file(home), *WHO)
    (made,) = (home / "previews/acme").glob("*.csv")
    return made.stem


def issued(home: Path) -> tuple[int, int, int]:
    """Entries, members with a balance, operations."""
    with duckdb.connect(str(ledger_path(find_home(home), "main")), read_only=True) as connection:
        counts = connection.execute(
            "select (select count(*) from ledger.entries),"
            " (select count(distinct member_id) from facts.movements where remaining = 12.5),"
            " (select count(*) from ledger.operations where status = 'processed')"
        ).fetchone()
    assert counts is not None
    return counts


@pytest.mark.slow  # of fewer credits, tests/test_kills.py kills it at more moments
@pytest.mark.parametrize("moment", ["archived", "journalled"])
def test_killed_in_the_middle_of_50_000_credits_and_processed_again_they_are_issued_once(
    crowd: Path, tmp_path: Path, moment: str
) -> None:
    """Killed as soon as its entries are in the archive, or its event in the journal."""
    home = tmp_path / "home"
    preview_id = crowd_preview(crowd, home)
    watched = home / ("archive" if moment == "archived" else "journal/acme")
    before = len(names(watched))
    process = start(home, "mass-credits", "process", preview_id, *WHO)
    until = time.monotonic() + 300
    while len(names(watched)) == before and time.monotonic() < until:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = json.loads(rollforward(home, "--json", "mass-credits", "process", preview_id, *WHO).stdout)
    assert done["entries"] == 50_000
    assert issued(home) == (50_000, 50_000, 1)
    assert len(rows_of_csv(Path(done["csv_file"]))) == 50_000
    again = json.loads(rollforward(home, "--json", "mass-credits", "process", preview_id, *WHO).stdout)
    assert again["already"]
    assert issued(home) == (50_000, 50_000, 1)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.startswith(".")}


def test_of_two_processes_that_process_one_preview_one_issues_and_the_other_says_so(
    crowd: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    preview_id = crowd_preview(crowd, home)
    command = [*COMMAND, "--home", str(home), "--json", "mass-credits", "process", preview_id, *WHO]
    both = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
        for _ in range(2)
    ]
    told = [finished(process) for process in both]
    assert sorted(one["already"] for one, _ in told) == [False, True]
    (said,) = [said for one, said in told if one["already"]]
    assert f"{preview_id} had been processed before; nothing was posted now" in said
    assert issued(home) == (50_000, 50_000, 1)


def finished(process: "subprocess.Popen[str]") -> tuple[Mapping[str, Any], str]:
    told, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    return json.loads(told), said
