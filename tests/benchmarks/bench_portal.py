"""The portal on a ledger of a million entries: how long the server takes for each page, and 50 readers at once."""

import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pipelines.settings import find_home
from tests.benchmarks import Goal
from tests.portals import Portal, portal
from tests.processes import rollforward

ENTRIES, QUICK_ENTRIES = 1_000_000, 20_000
MONTHS, ROUNDS, READERS = 24, 7, 50
PAGES = (
    "", "members", "members?search=miller", "members?balance_from=100&sort=balance", "members?email=post",
    "movements", "movements?type=redeemed&from=2026-10-01&to=2026-10-31", "movements?reason=Goodwill",
    "extant", "extant?credit_type=Promotional", "flags", "flags?severity=error", "batches", "batches?search=route",
    "rejects", "files", "operations", "period?period=2026-10",
)  # fmt: skip
GOALS = {
    "slowest page, median, ms": Goal("under", 150),
    "readers that met an error": Goal("under", 1),
}


def run(quick: bool) -> dict[str, float]:
    """Milliseconds of server time, of a copy that has been read before: as the second reader of it meets them."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        size = QUICK_ENTRIES if quick else ENTRIES
        rollforward(home, "sample", "--entries", str(size), "--months", str(MONTHS))
        rollforward(home, "report", "--month", "2026-10")
        served = portal(find_home(home), Path(folder) / "access.jsonl")
        addresses = [f"/m/green-acres/{page}".rstrip("/") for page in PAGES] + _single(served)
        medians = {address: _median_ms(served, address) for address in ("/", *addresses)}
        figures = {
            "entries": float(size),
            "pages": float(len(medians)),
            "median page, ms": statistics.median(medians.values()),
            f"{READERS} readers at once, pages a second": 0.0,
        }

        def read(number: int) -> bool:
            return all(served.get(address).status == 200 for address in addresses[number % 5 :: 5])

        started = time.perf_counter()
        with ThreadPoolExecutor(READERS) as readers:
            well = list(readers.map(read, range(READERS)))
        pages = sum(len(addresses[number % 5 :: 5]) for number in range(READERS))
        figures[f"{READERS} readers at once, pages a second"] = pages / (time.perf_counter() - started)
        figures["readers that met an error"] = float(well.count(False))
        figures["slowest page, median, ms"] = max(medians.values())
        return {**figures, **{f"{address}, ms": taken for address, taken in medians.items()}}


def _single(served: Portal) -> list[str]:
    """A member, a credit, an entry and a batch, as the lists lead to them."""
    lists = (("members", "member"), ("extant", "credit"), ("movements?type=created", "entry"), ("batches", "batch"))
    found = []
    for listing, page in lists:
        link = served.get(f"/m/green-acres/{listing}").link(f"/m/green-acres/{page}?id=")
        assert parse_qs(urlsplit(link).query)["id"]
        found.append(link)
    return found


def _median_ms(served: Portal, address: str) -> float:
    took = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        assert served.get(address).status == 200, address
        took.append((time.perf_counter() - started) * 1000)
    # The first opens the copy.
    return statistics.median(took[1:])
