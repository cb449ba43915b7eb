"""`verify` as it is typed: what it prints, its exit code, and what it compares with."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from mlflow.tracking import MlflowClient
from written_verdicts import write

from flawline.checks import FlawlineError
from flawline.cli import cli
from flawline.detector.record_reading import Row
from flawline.detector.verifying import Verified
from flawline.verification import Replay, checked_hash, chosen, numbers_in, tracking_store


@pytest.fixture
def verdicts(tmp_path, monkeypatch) -> Path:
    """The path of verdicts with their record, outside any project."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "v.csv")
    return tmp_path / "v.csv"


def verify(*arguments) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["verify", *map(str, arguments)])
    return result.exit_code, result.output


def head_of(path: Path) -> str:
    return json.loads(path.with_name("v.csv.record.json").read_text())["head"]


def test_whole_verdicts_end_with_0_and_say_what_they_stand_on(verdicts):
    code, said = verify(verdicts)
    lines = said.splitlines()
    assert code == 0
    assert lines[0] == f"{verdicts}: 7 rows"
    assert "recorded: 7 rows of category bolt, method cae" in lines
    assert "MLflow run: ab12" in lines
    assert f"compared with the record beside the verdicts: last hash {head_of(verdicts)}" in lines
    assert lines[-1] == "whole: 7 rows are as they were written, none is missing, doubled or moved"


def test_a_row_that_was_changed_ends_with_1_and_is_named(verdicts):
    verdicts.write_text(verdicts.read_text().replace("pass", "reject", 1))
    code, said = verify(verdicts)
    assert code == 1
    assert "line 2: row 1 was changed: wanted the hash " in said
    assert said.splitlines()[-1] == "NOT PROVEN: 1 finding, see above"


def test_a_file_that_a_spreadsheet_saved_is_whole_and_told(verdicts):
    verdicts.write_bytes(b"\xef\xbb\xbf" + verdicts.read_bytes().replace(b"\n", b"\r\n"))
    code, said = verify(verdicts)
    assert code == 0
    assert "saved again by another program: it is not in UTF-8, or begins with a byte order mark; its lines do" in said
    assert "Every field holds what was written" in said


def test_a_hash_that_was_written_down_proves_without_a_record_and_refutes_another_file(verdicts):
    head = head_of(verdicts)
    kept = verdicts.rename(verdicts.with_name("mail.csv"))
    assert verify(kept) == (1, f"{kept}: 7 rows\nnothing is known to compare the last row with: give the record, "
                            f"--head or --run\nNOT PROVEN: 1 finding, see above\n")  # fmt: skip
    assert verify(kept, "--head", head.upper())[0] == 0
    assert verify(kept, "--record", "v.csv.record.json")[0] == 0
    write(verdicts, 6)
    code, said = verify(verdicts, "--head", head)
    assert code == 1
    assert "as the hash of the last row, by --head, got " in said


@pytest.mark.parametrize("typed", ["", "ab12", "g" * 64, "a" * 63])
def test_a_hash_that_is_none_is_refused(typed):
    with pytest.raises(
        FlawlineError, match=rf"--head must be the last row's hash, 64 digits from 0 to f, got '{typed}'"
    ):
        checked_hash(typed)


@pytest.fixture
def store(verdicts, monkeypatch) -> MlflowClient:
    uri = f"sqlite:///{verdicts.with_name('mlflow.db')}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return MlflowClient(uri)


def test_a_tracked_run_knows_the_hash_too(verdicts, store):
    from mlflow.exceptions import MlflowException

    record = write(verdicts)
    told, other, none = (store.create_run("0").info.run_id for _ in range(3))
    for name, value in record.seal.told().items():
        store.log_param(told, name, value)
        store.log_param(other, name, value if name == "verdicts.rows" else "f" * 64)
    assert verify(verdicts, "--run", told)[0] == 0
    code, said = verify(verdicts, "--run", other)
    assert code == 1
    assert f"as the hash of the last row, by the MLflow run {other}, got " in said
    assert f"before the first row, by the MLflow run {other}, got " in said
    code, said = verify(verdicts, "--run", none)
    assert (code, said) == (
        1,
        f"Error: the MLflow run {none} was told of no verdicts; wanted the run of an inspection\n",
    )
    assert "Error: no MLflow run nowhere in sqlite:///" in verify(verdicts, "--run", "nowhere")[1]
    with pytest.raises(MlflowException, match="Changing param values is not allowed"):
        store.log_param(told, "verdicts.head", "f" * 64)


def test_a_store_that_is_not_there_is_told_and_not_made(verdicts, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///none.db")
    with pytest.raises(
        FlawlineError, match=r"no tracking store at sqlite:///none\.db\. Run the command in the project"
    ):
        tracking_store(None)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(FlawlineError, match="no tracking store at MLFLOW_TRACKING_URI, which is not set"):
        tracking_store(None)
    assert not Path("none.db").exists()


def test_in_a_project_the_projects_store_is_asked(finished, monkeypatch):
    monkeypatch.chdir(finished.path / "data")
    assert tracking_store(None) == f"sqlite:///{(finished.path / 'mlflow.db').as_posix()}"


def test_options_of_a_replay_need_its_folder(verdicts):
    code, said = verify(verdicts, "--sample", "3")
    assert (code, said) == (
        1,
        "Error: --detector, --rows and --sample need --replay FOLDER, the folder of the photographs\n",
    )
    code, said = verify(verdicts, "--replay", "nowhere")
    assert code == 1
    assert "nothing was replayed: no folder nowhere; wanted that of the photographs" in said
    assert said.splitlines()[-1] == "NOT PROVEN: 1 finding, see above"


def test_rows_are_named_by_number_or_drawn_anew():
    rows = [Row(number + 1, ("a", str(number), "x")) for number in range(1, 200)]
    verified = Verified([], [], ["image", "row", "previous"], [*rows, Row(300, ("broken",))])
    assert [row.number for row in chosen(verified, Replay(None, None, "3,7-9", None))] == [3, 7, 8, 9]
    one, other = (chosen(verified, Replay(None, None, "", 20)) for _ in range(2))
    assert len(set(one)) == 20
    assert one == sorted(one, key=lambda row: row.line)
    assert one != other  # but with a probability of 1 in 10^27
    assert chosen(verified, Replay(None, None, "", 999)) == rows
    with pytest.raises(FlawlineError, match="no row to replay: --rows 900 names none of 200"):
        chosen(verified, Replay(None, None, "900", None))


@pytest.mark.parametrize("text", ["a", "3-", "0", "1,,2", "-3"])
def test_rows_that_are_not_numbers_are_refused(text):
    with pytest.raises(FlawlineError, match=rf"--rows must be numbers of rows such as 3,7-9, got '{text}'"):
        numbers_in(text)


def test_the_packaged_program_verifies_without_a_project(verdicts):
    done = subprocess.run([sys.executable, "-m", "flawline", "verify", verdicts], capture_output=True, text=True)
    assert (done.returncode, done.stdout.splitlines()[-1][:6]) == (0, "whole:"), done.stderr
    verdicts.write_text("")
    done = subprocess.run([sys.executable, "-m", "flawline", "verify", verdicts], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {verdicts} is empty; wanted the verdicts of an inspection\n"
