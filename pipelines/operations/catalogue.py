"""Every operation there is, by the name of its command."""

from pipelines.operations import batches, credits_csv, mass_credits, merge, single

_FAMILIES = (single, merge, mass_credits, credits_csv, batches)
OPERATIONS = {operation.kind: operation for family in _FAMILIES for operation in family.OPERATIONS}
