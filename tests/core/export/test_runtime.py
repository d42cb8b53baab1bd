"""llama.cpp runs quietly in the process, answers truly and says why it refuses a file."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from ftcore.export.runtime import RuntimeRefusedError, open_runtime, runtime_available


def test_the_version_is_known_without_loading_it():
    code = (
        "import sys; from ftcore.export.runtime import runtime_available; "
        "print(runtime_available()); sys.exit('xllamacpp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == runtime_available()


def test_a_prompt_is_continued_and_stopped(exported):
    with open_runtime(exported("plain", "F16"), context=128, threads=1) as runtime:
        prompt = runtime.tokenize("Hello, world 42", add_special=True)
        answer = runtime.greedy(prompt, 5)
        likely = runtime.next_token(prompt, 20)
        assert len(answer.ids) == 5
        assert not answer.ended
        assert likely.ids[0] == answer.ids[0]
        assert len(likely.ids) == 20
        assert np.all(np.diff(likely.logprobs) <= 0)
        assert runtime.stops_on(prompt, 2)
        assert not runtime.stops_on(prompt, 3)


def test_a_question_too_long_is_refused_with_the_reason(exported):
    with open_runtime(exported("plain", "F16"), context=128, threads=1) as runtime:
        with pytest.raises(RuntimeRefusedError, match="exceeds the available context size"):
            runtime.greedy([5] * 400, 1)
        assert runtime.greedy([5], 1).ids  # and it goes on working


@pytest.mark.parametrize("content", [b"no GGUF at all", b"GGUF"])
def test_a_broken_file_is_refused_with_llama_cpps_reason(tmp_path, content, capfd):
    path = tmp_path / "broken.gguf"
    path.write_bytes(content)
    with (
        pytest.raises(RuntimeRefusedError, match=r"cannot load broken\.gguf: .*model") as caught,
        open_runtime(path, context=128, threads=1),
    ):
        pass
    assert caught.value.exit_code == 1
    assert capfd.readouterr() == ("", "")


def test_nothing_of_llama_cpps_noise_reaches_the_terminal(exported):
    code = """
        import sys
        from pathlib import Path
        from ftcore.export.runtime import open_runtime
        with open_runtime(Path(sys.argv[1]), context=128, threads=1) as runtime:
            runtime.greedy(runtime.tokenize("a b c", add_special=False), 4)
            runtime.apply_template([{"role": "user", "content": "hi"}], [])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(exported("plain", "F16"))]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_a_runtime_that_nobody_asked_ends(exported):
    """On one core its loop would begin only when it has been told to end, and then never end."""
    code = """
        import os, sys
        from pathlib import Path
        from ftcore.export.runtime import open_runtime
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        for _ in range(8):
            with open_runtime(Path(sys.argv[1]), context=128, threads=1):
                pass
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(exported("plain", "F16"))]
    subprocess.run(command, check=True, timeout=100)


def test_a_proxy_of_the_environment_is_not_asked(exported, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with open_runtime(exported("plain", "F16"), context=128, threads=1) as runtime:
        assert runtime.tokenize("a", add_special=False)


def test_without_the_runtime_the_command_that_installs_it_is_named(
    plain, tmp_path, without_runtime
):
    code = """
        from pathlib import Path
        from ftcore.errors import FtcoreError
        from ftcore.export.certify import certify
        try:
            certify(Path("a.gguf"), Path(sys.argv[1]))
        except FtcoreError as error:
            print(error)
    """
    done = without_runtime(code, plain, cwd=tmp_path)
    assert "pip install 'ftcore[llamacpp]'" in done.stdout


def test_two_files_can_be_loaded_one_after_the_other(exported):
    answers = []
    for name in ("plain", "odd"):
        path: Path = exported(name, "F16")
        with open_runtime(path, context=128, threads=1) as runtime:
            answers.append(runtime.greedy([1, 2, 3], 8).ids)
    assert answers[0] != answers[1]
