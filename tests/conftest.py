"""What all tests share: goldens, and the option that rewrites them.

Fixtures of one module stay in that module; ledgers, tables and processes have modules of their own.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

GOLDENS = Path(__file__).parent / "golden"
Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="take what the golden tests make as what they should make")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --bless, only the golden tests run."""
    if config.getoption("--bless"):
        chosen = [item for item in items if "golden" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(name, text)`: text is what tests/golden/<name> holds; --bless makes it so, to be read as a diff."""
    bless = bool(request.config.getoption("--bless"))

    def compare(name: str, text: str) -> None:
        path = GOLDENS / name
        if bless:
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"There is no tests/golden/{name}; `make bless` writes it."
        assert text.splitlines() == path.read_text(encoding="utf-8").splitlines(), (
            f"{name}: `make bless` if it is meant"
        )

    return compare
