"""Reports: one table for each sheet of the workbook, a row as the accountant sees it, and the summaries' tables.

Only shape belongs here: what a number *is* was settled in facts.
"""

from pipelines.tables import table
from schemas import reports

flows = table("reports.flows", reports.Flows)
credits_created = table("reports.credits_created", reports.CreditsCreated)
credit_redemptions = table("reports.credit_redemptions", reports.CreditRedemptions)
credit_redemption_refunds = table("reports.credit_redemption_refunds", reports.CreditRedemptionRefunds)
credit_expirations = table("reports.credit_expirations", reports.CreditExpirations)
extant_credits = table("reports.extant_credits", reports.ExtantCredits)
credit_adjustments = table("reports.credit_adjustments", reports.CreditAdjustments)
roll_forward = table("reports.roll_forward", reports.RollForward)
opening_balances = table("reports.opening_balances", reports.OpeningBalances)
completeness = table("reports.completeness", reports.Completeness)
summary_statistics = table("reports.summary_statistics", reports.SummaryStatistics)
breakdowns = table("reports.breakdowns", reports.Breakdowns)
ageing = table("reports.ageing", reports.Ageing)
expiry_schedule = table("reports.expiry_schedule", reports.ExpirySchedule)
trend = table("reports.trend", reports.Trend)
checks = table("reports.checks", reports.Checks)
provenance = table("reports.provenance", reports.Provenance)
