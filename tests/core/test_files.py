"""Files appear whole or not at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time

import pytest

from ftcore.files import CHUNK, hashing, sha256, whole_file, write_whole


def test_a_file_appears_with_its_content(tmp_path):
    write_whole(tmp_path / "a.json", "ünï\n")
    assert (tmp_path / "a.json").read_bytes() == "ünï\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failure_leaves_what_was_there_and_nothing_beside_it(tmp_path):
    write_whole(tmp_path / "a.json", "old")
    with pytest.raises(RuntimeError), whole_file(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        assert (tmp_path / "a.json").read_text() == "old"
        raise RuntimeError
    assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_an_interrupt_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), whole_file(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_block_that_writes_nothing_makes_no_file(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.json"):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of a process")
def test_a_disk_that_takes_only_half_leaves_what_was_there(tmp_path):
    """A limit on the size of files fails a write midway, as a full disk does."""
    write_whole(tmp_path / "a.json", "old")
    code = (
        "import resource, sys\nfrom pathlib import Path\nfrom ftcore.files import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    write_whole(Path(sys.argv[1]), 'new' * 10_000)\n"
        "except OSError:\n    print('failed')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.json")], capture_output=True, text=True
    )
    assert done.stdout == "failed\n"
    assert (tmp_path / "a.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_two_processes_may_write_the_same_file(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom ftcore.files import write_whole\n"
        "for _ in range(50): write_whole(Path(sys.argv[1]), sys.argv[2] * 10_000)\n"
    )
    path = tmp_path / "a.txt"
    writers = [subprocess.Popen([sys.executable, "-c", code, str(path), letter]) for letter in "ab"]
    assert [writer.wait() for writer in writers] == [0, 0]
    assert path.read_text() in ("a" * 10_000, "b" * 10_000)
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_hash_is_that_of_all_bytes(tmp_path, size):
    data = bytes(index % 251 for index in range(size))
    (tmp_path / "a.bin").write_bytes(data)
    assert sha256(tmp_path / "a.bin") == hashlib.sha256(data).hexdigest()
    with hashing(tmp_path / "a.bin") as digest:
        assert digest() == hashlib.sha256(data).hexdigest()


def test_a_hash_that_nobody_waits_for_is_given_up(tmp_path):
    """Who stops a long proof does not wait until a large file is read to its end."""
    path = tmp_path / "a.bin"
    with path.open("wb") as file:
        file.truncate(2**36)  # a hole: no disk is needed
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), hashing(path):
        raise KeyboardInterrupt
    assert time.monotonic() - begun < 5  # all of it would take a minute


def test_a_file_that_goes_before_it_is_hashed_is_said(tmp_path):
    with hashing(tmp_path / "gone.bin") as digest, pytest.raises(FileNotFoundError):
        digest()
