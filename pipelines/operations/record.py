"""What is kept for the reader of a preview that was processed: a CSV of all that it posted, and its filters."""

from pathlib import Path

from pipelines import listings
from pipelines.journal import make_folder
from pipelines.operations.engine import Desk


def write_record(desk: Desk, operation_id: str) -> Path:
    """The CSV of every entry that the operation posted, made from the ledger; again where it is there already."""
    folder = desk.home.previews / desk.merchant.id
    make_folder(folder)
    path = folder / f"{operation_id}.processed.csv"
    beside = path.with_name(f".{path.name}.tmp")
    listings.write_csv(desk.query("processed", operation_id=operation_id), beside)
    beside.replace(path)
    return path


def filters_of(desk: Desk, operation_id: str) -> str:
    """The filters in words, as the preview summed them up; none where a rebuild has not kept the preview."""
    found = desk.one(
        "select filters from ledger.previews where merchant_id = $1 and preview_id = $2", desk.merchant.id, operation_id
    )
    return str(found or "")
