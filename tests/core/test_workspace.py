"""Profiles and run folders: where they lie, and what cannot be one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ftcore.errors import FtcoreError, InputError
from ftcore.workspace import check_output, new_run_folder, profile, profile_files


def test_a_username_is_a_folder_of_the_workspace(tmp_path):
    home = tmp_path / "profiles" / "greggles"
    found = profile(tmp_path, "greggles")
    assert (found.data, found.runs) == (home / "data", home / "runs")


def test_without_a_username_runs_lie_in_the_workspace(tmp_path):
    found = profile(tmp_path, None)
    assert (found.data, found.runs) == (None, tmp_path / "runs")


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "x" * 64])
def test_usual_usernames(tmp_path, name):
    assert profile(tmp_path, name).runs.is_relative_to(tmp_path / "profiles" / name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", "a\\b", ".hidden", "-x", "a b", "a\n", "ä", "x" * 65,
     "a\0"],
)  # fmt: skip
def test_a_username_cannot_lead_out_of_the_profiles(tmp_path, name):
    with pytest.raises(InputError, match="cannot be a username") as caught:
        profile(tmp_path, name)
    assert "letters, digits" in caught.value.hint


def test_a_profiles_files_come_in_the_order_of_their_names(tmp_path):
    for name in ("b.jsonl", "a.jsonl", "notes.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in profile_files(tmp_path)] == ["a.jsonl", "b.jsonl"]


def test_a_profile_without_data_says_where_it_belongs(tmp_path):
    with pytest.raises(InputError) as caught:
        profile_files(tmp_path / "data")
    assert str(tmp_path / "data") in caught.value.message
    assert "--data" in caught.value.hint


def test_a_run_folder_has_date_mode_and_a_short_id(tmp_path):
    one, other = (new_run_folder(tmp_path / "runs", ["haiku"], None) for _ in range(2))
    assert one.parent == tmp_path / "runs"
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}-haiku-[0-9a-f]{6}", one.name)
    assert one != other
    assert one.is_dir()
    assert not list(one.iterdir())


def test_a_run_of_several_modes_is_called_mixed(tmp_path):
    assert "-mixed-" in new_run_folder(tmp_path, ["haiku", "limerick"], None).name


def test_an_output_may_be_new_or_empty(tmp_path):
    assert new_run_folder(tmp_path, ["haiku"], tmp_path / "a" / "b").is_dir()
    assert new_run_folder(tmp_path, ["haiku"], tmp_path / "a" / "b") == tmp_path / "a" / "b"


@pytest.mark.parametrize("kind", ["file", "folder with a file"])
def test_an_output_that_exists_is_never_written_over(tmp_path, kind):
    output = tmp_path / "out"
    inner = output / "x" if kind == "folder with a file" else output
    inner.parent.mkdir(exist_ok=True)
    inner.write_text("mine")
    with pytest.raises(InputError, match="exists already") as caught:
        new_run_folder(tmp_path, ["haiku"], output)
    assert "--output" in caught.value.hint
    assert inner.read_text() == "mine"


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize("place", ["/proc/ftcore-run", "/proc/self"])
def test_a_place_that_nobody_can_write_to(place):
    # even root cannot make a file there
    with pytest.raises(FtcoreError) as caught:
        new_run_folder(Path("/proc"), ["haiku"], Path(place))
    assert place in str(caught.value)
    assert "--output" in caught.value.hint


@pytest.mark.parametrize("name", ["x" * 300, "file/below", "nul\0byte"])
def test_an_output_that_the_system_refuses(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(FtcoreError, match="cannot be") as caught:
        new_run_folder(tmp_path, ["haiku"], tmp_path / name)
    assert "--output" in caught.value.hint


def test_a_place_for_runs_is_judged_without_making_it(tmp_path):
    check_output(tmp_path / "runs", new=False)
    (tmp_path / "runs" / "earlier").mkdir(parents=True)
    check_output(tmp_path / "runs", new=False)
    with pytest.raises(InputError, match="exists already"):
        check_output(tmp_path / "runs", new=True)
    check_output(tmp_path / "a" / "b", new=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(FtcoreError, match="no permission"):
        check_output(Path("/proc/sys/ftcore"), new=True)
