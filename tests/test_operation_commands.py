"""Operations as people ask for them: the command line, and the launchpad of Dagster's UI."""

import json
import re
from pathlib import Path

import dagster as dg
import pytest

from pipelines import runs
from pipelines.definitions import defs
from pipelines.operations import jobs
from pipelines.operations.catalogue import OPERATIONS
from pipelines.settings import Home
from tests.desks import ANN, OLGA, end_of_process, make_office
from tests.processes import rollforward

WHO = ("--merchant", "acme", "--actor", ANN)
OWNER = ("--merchant", "acme", "--actor", OLGA)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    office = make_office(tmp_path_factory.mktemp("operations"))
    office.land("""
        entry_id  member_id  amount  batch_id
        c1        ada        10.00   sale
        c2        ben        10.00   sale
    """)
    return office.home


def test_an_adjustment_says_what_it_did_and_stands_in_the_history_and_the_list(home: Path) -> None:
    done = rollforward(home, "adjust", "ada", "12.50", "--reason", "Other reason", "--other-reason", "Egg", *WHO)
    assert done.stdout == "Added 12.50 USD to ada (default).\n"
    assert done.stderr.rstrip().endswith(f"Next: rollforward --home {home} operations")
    rows = json.loads(rollforward(home, "--json", "history", "ada").stdout)
    assert (rows[-1]["amount"], rows[-1]["balance"], rows[-1]["reason"]) == ("12.50", "22.50", "Egg")
    (listed,) = json.loads(
        rollforward(home, "--json", "operations", "--kind", "adjust", "--status", "processed").stdout
    )
    assert (listed["actor"], listed["total"], listed["interface"]) == (ANN, "12.50", "cli")


def test_a_refusal_is_one_sentence_and_exit_code_one(home: Path) -> None:
    refused = rollforward(
        home, "adjust", "--reason", "Other reason", "--other-reason", "x", *WHO, "--", "ben", "-1000", status=1
    )
    assert refused.stderr.strip().endswith("is more than the balance of member ben: 10.00 USD.")
    assert refused.stdout == ""


def test_a_minus_sign_that_reads_as_an_option_is_told_where_it_goes(home: Path) -> None:
    said = rollforward(home, "adjust", "ada", "-12.50", "--reason", "Goodwill", *WHO, status=2).stderr
    assert said.rstrip().endswith("Write a negative AMOUNT last, behind --, like: -- m-1042 -12.50")
    assert "Did you mean" in rollforward(home, "adjust", "ada", "1", "--resaon", "x", status=2).stderr


def test_an_argument_that_is_no_text_is_refused_in_words(home: Path) -> None:
    for command in (
        ("adjust", "ada", "1", "--reason", "Other reason", "--other-reason", "\udcff", *WHO),
        ("history", "\udcff"),
        ("balances", "--merchant", "\udcff"),
        ("credits-csv", "preview", "\udcff.csv", *WHO),
    ):
        said = rollforward(home, *command, status=2).stderr
        assert "has bytes that are not UTF-8" in said
        assert "Traceback" not in said


def test_a_batch_is_previewed_as_json_and_processed_once(home: Path) -> None:
    asked = ("reverse-batch", "preview", "sale", "--reason", "Wrong", *OWNER)
    rollforward(home, *asked, status=1)  # the entries' batch is of June, outside the window
    home.joinpath("merchants.toml").write_text(
        home.joinpath("merchants.toml")
        .read_text()
        .replace('currency = "USD"', 'currency = "USD"\nreversal_window_days = 9999', 1)
    )
    shown = json.loads(rollforward(home, "--json", *asked).stdout)
    assert (shown["recipient_count"], shown["total"]) == (2, "20.00")
    assert [row["member_id"] for row in shown["recipients"]] == ["ada", "ben"]
    assert Path(shown["csv_file"]).read_text().splitlines()[1].startswith("1,ada")
    process = ("reverse-batch", "process", shown["preview_id"], "--exclude", "ben", *OWNER)
    first = json.loads(rollforward(home, "--json", *process).stdout)
    again = json.loads(rollforward(home, "--json", *process).stdout)
    assert (first["total"], first["already"], again["already"]) == ("10.00", False, True)
    assert float(json.loads(rollforward(home, "--json", "balances", "--member", "ben").stdout)[0]["balance"]) == 10


def test_a_preview_of_more_than_a_table_shows_says_which_file_has_all(tmp_path: Path) -> None:
    office = make_office(tmp_path)
    members = [f"m{number}" for number in range(51)]
    rows = [f"c-{member:<6}  {member:<9}  10.00" for member in members]
    office.land("\n".join(["entry_id  member_id  amount", *rows]))
    wanted = tmp_path / "wanted.csv"
    wanted.write_text("\n".join(["member_id,amount", *(f"{member},1" for member in members)]))
    done = rollforward(office.home, "credits-csv", "preview", str(wanted), "--reason", "Goodwill", *WHO)
    (file,) = office.home.glob("previews/acme/*.csv")
    assert done.stdout.splitlines()[-1] == f"… and 1 more; {file} has all."
    assert len(file.read_text().splitlines()) == 1 + 51


def test_what_was_processed_is_told_with_the_total_as_the_preview_wrote_it(home: Path, tmp_path: Path) -> None:
    wanted = tmp_path / "wanted.csv"
    wanted.write_text("member_id,amount\nada,1234.50\n")
    asked = ("credits-csv", "preview", str(wanted), "--reason", "Goodwill", *WHO, "--approved-by", OLGA)
    shown = rollforward(home, *asked).stderr
    assert "1,234.50 USD in all" in shown
    preview_id = re.findall(r"credits-csv process (\S+)", shown)[0]
    done = rollforward(home, "credits-csv", "process", preview_id, *WHO, "--approved-by", OLGA)
    assert "1,234.50 USD in all" in done.stderr


def test_every_operation_is_a_job_whose_form_explains_each_field() -> None:
    for operation in OPERATIONS.values():
        names = [f"{operation.kind}-preview", f"{operation.kind}-process"] if operation.previewed else [operation.kind]
        for name in names:
            job = defs.resolve_job_def(jobs.name_of(name))
            assert job.description
            (op,) = (node.definition for node in job.nodes)
            assert isinstance(op, dg.OpDefinition)
            kind = op.config_schema.config_type
            assert isinstance(kind, dg.Shape)
            fields = kind.fields
            assert {"merchant", "actor", "approved_by"} <= set(fields)
            for field, schema in fields.items():
                assert schema.description, f"{name}: {field}"


def balance_of_ben(home: Path) -> float:
    (row,) = json.loads(rollforward(home, "--json", "balances", "--member", "ben").stdout)
    return float(row["balance"])


def launch_recount(home: Path) -> dg.ExecuteInProcessResult:
    """Launch a change of Ben's balance by 5.00 as the UI does."""
    job = defs.resolve_job_def("modify_balance")
    with runs.instance_of(Home(home)) as instance:
        return job.execute_in_process(
            instance=instance,
            raise_on_error=False,
            run_config={
                "resources": {"rollforward": {"config": {"home": str(home)}}},
                "ops": {
                    "modify_balance_op": {
                        "config": {"merchant": "acme", "actor": ANN, "member": "ben", "amount": 5, "notes": "Recount"}
                    }
                },
            },
        )


def test_a_run_of_the_launchpad_is_recorded_as_one(home: Path) -> None:
    done = launch_recount(home)
    assert done.success
    (listed,) = json.loads(rollforward(home, "--json", "operations", "--kind", "modify-balance").stdout)
    assert (listed["interface"], listed["run_id"]) == ("dagster", done.run_id)


def test_a_run_of_the_launchpad_that_ended_before_it_told_its_result_is_told_by_the_next_and_not_done_twice(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(*_: object) -> None:
        raise RuntimeError("The machine stopped here.")

    rollforward(home, "ingest")
    before = balance_of_ben(home)
    monkeypatch.setattr(jobs, "_told", end)
    assert not launch_recount(home).success
    end_of_process()
    monkeypatch.undo()
    # Another run comes between, such as the sensor's.
    rollforward(home, "ingest")
    for already in (True, False):
        (observed,) = launch_recount(home).asset_observations_for_node("modify_balance_op")
        told = observed.metadata["operation"].value
        assert isinstance(told, dict)
        assert told["already"] is already
        what = "Added 5.00 USD to ben (default)."
        assert observed.metadata["what"].value == what + already * " This had been done before; nothing was posted now."
    assert balance_of_ben(home) == before + 10, "asked once more, it is done once more"
