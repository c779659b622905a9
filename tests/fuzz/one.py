"""One target under the fuzzer, as `python -m tests.fuzz` runs it: `python -m tests.fuzz.one TARGET CORPUS [-flag=…]`.

Given a file in place of a folder, it runs that input alone: to see what a finding was, and that it is no more.
"""

import sys

import atheris


def main() -> None:
    """Does not return: the fuzzer ends the process."""
    program, name, *arguments = sys.argv
    with atheris.instrument_imports(include=["pipelines.readers", "pipelines.grammar"], enable_loader_override=False):
        from tests.fuzz.targets import TARGETS

    atheris.Setup([program, *arguments], TARGETS[name]())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
