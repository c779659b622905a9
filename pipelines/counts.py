"""Counts as people read them, as `pipelines.wording` has them in SQL. Nothing heavy is imported here."""


def counted(count: int, one: str, many: str) -> str:
    """1 row; 1,247 rows."""
    return f"{count:,} {one if count == 1 else many}"
