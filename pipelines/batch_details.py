"""View Details of a batch as a job of Dagster's, so that it needs neither the workbook nor the command line."""

import dagster as dg
from pydantic import Field

from pipelines import batches
from pipelines.listings import ListingError
from pipelines.resources import for_people
from pipelines.settings import find_home
from pipelines.tables import asset_key, markdown, markdown_table, shown_rows


class Batch(dg.Config):
    """Which batch to look at."""

    batch_id: str = Field(description="The batch's id, as Credits Batches has it.")
    home: str = Field(default="", description="The home folder. Blank: $ROLLFORWARD_HOME, else ./data.")


@dg.op(description="View Details: the batch and all its recipients, as of now, shown with this step's observation.")
def view_batch(context: dg.OpExecutionContext, config: Batch) -> None:
    """Read them from the copies for readers, so that a run in progress is not waited for."""
    with for_people():
        try:
            batch, recipients = batches.details(find_home(config.home or None), (), config.batch_id)
        except ListingError as problem:
            raise dg.Failure(str(problem), allow_retries=False) from None
    if batch.is_empty():
        raise dg.Failure(f'There is no batch "{config.batch_id}". Credits Batches lists them.', allow_retries=False)
    header = ("what", *["is"] * batch.height)
    context.log_event(
        dg.AssetObservation(
            asset_key=asset_key("audits.batch_recipients"),
            metadata={
                "batch": dg.MetadataValue.md(
                    markdown_table(header, [*zip(batch.columns, *shown_rows(batch), strict=True)])
                ),
                "recipients": markdown(recipients),
                "recipient_count": int(batch["recipient_count"].sum()),
            },
        )
    )


@dg.job(description="View Details of a batch: who got how much, what they used, what is left. Reads only.")
def batch_details() -> None:
    """Seed 000's View Details, for the Dagster UI."""
    view_batch()
