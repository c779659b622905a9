"""The sample's rosters: whose children train at the gym, in which classes, and what families owe for them.

What mass credits ask for. By the member's number alone, so that the same families qualify on every machine.
"""

from pipelines.sample.files import Landing
from pipelines.sample.world import World

GYM = "harbor-gym"
MOST_FAMILIES = 120
# name | program | days | keywords of the class
CLASSES = (
    ("Tumbling Mon", "Gymnastics", "mon", "recital"),
    ("Tumbling Wed", "Gymnastics", "wed", "recital"),
    ("Swim Sat", "Aquatics", "sat", None),
    ("Open Gym", "Gymnastics", "mon;wed;fri", None),
)
FIRST_NAMES = ("Noa", "Kofi", "Mei", "Luca", "Sara", "Emil")


def write_students(world: World, landing: Landing) -> int:
    """A file of all students: a child of each family, two of every third."""
    rows = [
        (f"hg-s-{number}", family, FIRST_NAMES[number % 6], "team" if number % 7 == 0 else None)
        for number, family in _children(world)
    ]
    return landing.rows("students", ("student_id", "member_id", "first_name", "keywords"), rows)


def write_enrollments(world: World, landing: Landing) -> int:
    """A file of all enrollments: one class each, two of every fourth; every ninth has ended."""
    rows = []
    for number, _ in _children(world):
        for place in range(2 if number % 4 == 0 else 1):
            name, program, days, keywords = CLASSES[(number + place) % 4]
            status = "ended" if number % 9 == 0 else "active"
            student = f"hg-s-{number}"
            rows.append((f"{student}-{place + 1}", student, "class", name, program, "Harbor", days, keywords, status))
    columns = ("enrollment_id", "student_id", "kind", "name", "program", "location", "days", "keywords", "status")
    return landing.rows("enrollments", columns, rows)


def write_charges(world: World, landing: Landing) -> int:
    """A file of all charges of October: tuition, which every fifth family has not paid."""
    rows = [
        (f"hg-t-{number}", family, "Tuition", "85.00", "85.00" if number % 5 == 0 else "0.00", "2026-10-01")
        for number, family in enumerate(_families(world), start=1)
    ]
    columns = ("charge_id", "member_id", "category", "amount", "outstanding", "charged_on")
    return landing.rows("charges", columns, rows)


def _families(world: World) -> list[str]:
    if world.profile.merchant_id != GYM:
        return []
    return [f"{world.profile.code}-m-{number:06d}" for number in range(1, min(world.members, MOST_FAMILIES) + 1)]


def _children(world: World) -> list[tuple[int, str]]:
    """Each child's number, from 1, and its family."""
    families = [family for number, family in enumerate(_families(world)) for _ in range(2 if number % 3 == 0 else 1)]
    return list(enumerate(families, start=1))
