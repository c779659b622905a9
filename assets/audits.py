"""Audits: what became of every batch, and which rows deserve a look.

What a rule looks for is in sql/anomalies, one file each; what a batch's figures are is in sql/audits.
"""

from pipelines import audits as auditing
from pipelines.tables import table
from schemas import audits

batch_recipients = table("audits.batch_recipients", audits.BatchRecipients, by_month=auditing.recipients_of_month)
credits_batches = table("audits.credits_batches", audits.CreditsBatches, by_month=auditing.batches_of_month)
batch_summary = table("audits.batch_summary", audits.BatchSummary)
anomaly_flags = table(
    "audits.anomaly_flags", audits.AnomalyFlags, by_month=auditing.flags_of_month, check=auditing.NO_ERRORS
)
not_assessable = table("audits.not_assessable", audits.NotAssessable)
checks = table("audits.checks", audits.Checks)
