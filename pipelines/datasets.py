"""What may be dropped into landing/: the datasets, their columns, and which of those a file must have."""

from dataclasses import dataclass, field

from schemas import ledger
from schemas.table import Table


@dataclass(frozen=True)
class Dataset:
    """A kind of file. Its rows are typed by sql/staging/<name>.sql and judged by sql/ledger/<singular>_verdicts.sql."""

    name: str
    singular: str
    # What staging calls a row's id. Where it is made of several of the file's columns, those are `id_from`.
    id_column: str
    columns: tuple[str, ...]
    required: frozenset[str]
    table: type[Table]
    # Whether a row is there for good, so that the same bytes again say nothing new.
    grows: bool = field(default=False)
    id_from: tuple[str, ...] = ()
    # Whether each file is all there is, so that it takes the place of the one before.
    snapshot: bool = False

    @property
    def id_columns(self) -> tuple[str, ...]:
        """The file's columns that make up a row's id."""
        return self.id_from or (self.id_column,)


ENTRIES = Dataset(
    name="entries",
    singular="entry",
    id_column="entry_id",
    columns=(
        *("merchant_id", "entry_id", "entry_type", "occurred_at", "member_id", "balance_type", "amount"),
        *("credit_id", "redemption_id", "transfer_id", "batch_id", "credit_type", "reason", "reason_details"),
        *("internal_note", "creator_name", "creator_email", "approved_by", "location", "priority", "expires_at"),
        *("issued_at", "original_amount", "system"),
    ),
    required=frozenset({"entry_id", "entry_type", "occurred_at", "member_id", "amount"}),
    table=ledger.Entries,
    grows=True,
)
MEMBERS = Dataset(
    name="members",
    singular="member",
    id_column="member_id",
    columns=(
        *("merchant_id", "member_id", "email", "first_name", "last_name", "is_employee", "keywords"),
        *("autopay_methods", "location", "updated_at"),
    ),
    required=frozenset({"member_id"}),
    table=ledger.Members,
)
BATCHES = Dataset(
    name="batches",
    singular="batch",
    id_column="batch_id",
    columns=(
        *("merchant_id", "batch_id", "issued_at", "issued_by_name", "issued_by_email", "credit_type", "reason"),
        *("description", "issued_as", "declared_recipients", "declared_total", "location"),
    ),
    required=frozenset({"batch_id"}),
    table=ledger.Batches,
)
BALANCES = Dataset(
    name="balances",
    singular="balance",
    id_column="balance_id",
    columns=("merchant_id", "member_id", "balance_type", "as_of", "balance"),
    required=frozenset({"member_id", "as_of", "balance"}),
    table=ledger.Balances,
    grows=True,
    id_from=("member_id", "as_of", "balance_type"),
)
STUDENTS = Dataset(
    name="students",
    singular="student",
    id_column="student_id",
    columns=("merchant_id", "student_id", "member_id", "first_name", "last_name", "keywords"),
    required=frozenset({"student_id", "member_id"}),
    table=ledger.Students,
    snapshot=True,
)
ENROLLMENTS = Dataset(
    name="enrollments",
    singular="enrollment",
    id_column="enrollment_id",
    columns=(
        *("merchant_id", "enrollment_id", "student_id", "kind", "name", "program", "location", "days", "keywords"),
        *("program_keywords", "starts_on", "ends_on", "status"),
    ),
    required=frozenset({"enrollment_id", "student_id", "kind", "name"}),
    table=ledger.Enrollments,
    snapshot=True,
)
CHARGES = Dataset(
    name="charges",
    singular="charge",
    id_column="charge_id",
    columns=("merchant_id", "charge_id", "member_id", "category", "amount", "outstanding", "charged_on", "location"),
    required=frozenset({"charge_id", "member_id", "amount", "outstanding"}),
    table=ledger.Charges,
    snapshot=True,
)
# In the order in which new files are taken.
DATASETS = {dataset.name: dataset for dataset in (MEMBERS, STUDENTS, ENROLLMENTS, CHARGES, BATCHES, ENTRIES, BALANCES)}
