"""The sample's settings: merchants.toml and access.toml."""

from collections.abc import Sequence

from pipelines.sample.merchants import Profile


def merchants_toml(profiles: Sequence[Profile], request: str) -> str:
    merchants = "\n".join(
        f'[merchants.{profile.merchant_id}]\nname = "{profile.name}"\ntimezone = "{profile.timezone}"\n'
        f'currency = "{profile.currency}"\n{profile.settings.strip()}\n'
        for profile in profiles
    )
    return f"# The merchants of the sample: {request}.\n#\n{OPTIONAL_SETTINGS.lstrip()}\n{merchants}"


def access_toml(profiles: Sequence[Profile], request: str) -> str:
    actors = [
        f'[actors."{email}"]\nname = "{name}"\nrole = "{role}"\nmerchants = ["{profile.merchant_id}"]\n'
        for profile in profiles
        for (name, email), role in zip(profile.staff, ("administrator", "owner"), strict=False)
    ]
    return f"# Who may do what in the sample: {request}.\n# Roles: viewer, administrator, owner.\n\n" + "\n".join(
        actors
    )


OPTIONAL_SETTINGS = """
# Each merchant may also have (here with their defaults, but for the two limits):
#   label = "Farm"                # how reports title the merchant
#   draw_order = "expiring_first" # or "oldest_first"
#   refund_grace_days = 0         # how long credit lives on that a refund brings back after its expiry
#   reversal_window_days = 60     # from the issue date, last day included
#   reversal_limit = 50000.00     # a larger reversal needs another owner's approval (unless said: no limit)
#   approval_limit = 100.00       # a credit above it needs approved_by (unless said: no limit)
#   decimal_comma = false         # amounts such as 1234,56
#   ignore_columns = []           # columns of the files that mean nothing here
#   encoding = "utf-8"            # of text files that are not UTF-8: any that Python knows
#   reasons = []                  # offered when adjusting; empty: those seen in the ledger
#   complete_through = "auto"     # "entries" or "balances": a period is complete when one is dated at or after its end
#   block_on_errors = false       # error flags hold back the workbook
#   shard = "main"                # merchants of one shard share a ledger file and its lock
# and thresholds for odd but valid entries, as these (docs/anomalies.md has all):
#   [merchants.<id>.anomalies]
#   business_hours = "07:00-20:00"
#   business_days = ["mon", "tue", "wed", "thu", "fri", "sat"]
#   recovery_budget = 5000.00
#   robust_z = 3.5
"""
