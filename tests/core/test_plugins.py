"""Finding and loading plugins: what is installed, what is refused, and that the error helps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore import hookspecs
from ftcore.errors import PluginError
from ftcore.plugins import implemented_hooks, installed_plugins, load_plugin, open_mode
from ftcore.values import Sample, Target

SAMPLE = Sample({"ask": "hi", "say": "ho"}, "data.jsonl", 1)
TARGET = Target(tools=False, system=True, reasoning=False)

SHOUT = """
from ftcore import hookimpl
from ftcore.values import Conversation, Message, Part

@hookimpl(wrapper=True)
def ftcore_format_sample(sample):
    conversation = yield
    *before, last = conversation.messages
    loud = Message("assistant", (Part("said", last.text.upper()),), trained=True)
    return Conversation((*before, loud))
"""


def refused(name: str = "haiku", disabled: tuple[str, ...] = ()) -> PluginError:
    with pytest.raises(PluginError) as caught:
        open_mode(name, disabled)
    assert caught.value.exit_code == 2
    return caught.value


def assert_names_all_parties(error: PluginError, plugin: str, dist: str, version: str) -> None:
    assert f"{plugin} ({dist} {version})" in error.message
    assert f"--no-plugin {plugin}" in error.hint
    assert dist in error.hint


def said(mode: str, *disabled: str) -> str:
    return open_mode(mode, disabled).format(SAMPLE, TARGET).messages[-1].text


# What is installed


def test_plugins_are_listed_with_their_distribution_modes_first(distribution):
    distribution("ftc-shout", SHOUT, extension="shout", version="0.3")
    distribution("ftc-haiku", mode="haiku", version="2.1")
    found = [(p.name, p.kind, p.distribution, p.version) for p in installed_plugins()]
    assert found == [
        ("haiku", "mode", "ftc-haiku", "2.1"),
        ("shout", "extension", "ftc-shout", "0.3"),
    ]


def test_listing_imports_no_plugin(distribution):
    distribution("ftc-broken", "raise RuntimeError('imported')", mode="broken")
    assert [p.name for p in installed_plugins()] == ["broken"]


def test_the_hooks_of_a_plugin_are_named(distribution):
    distribution("ftc-shout", SHOUT, extension="shout")
    (info,) = installed_plugins()
    assert implemented_hooks(load_plugin(info)) == ("ftcore_format_sample",)


@pytest.mark.parametrize(
    ("allowed", "names"),
    [("", []), ("haiku", ["haiku"]), (" limerick , shout,,", ["limerick", "shout"]), ("x", [])],
)
def test_the_environment_variable_is_an_allow_list(distribution, monkeypatch, allowed, names):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-limerick", mode="limerick")
    distribution("ftc-shout", SHOUT, extension="shout")
    monkeypatch.setenv("FTCORE_PLUGINS", allowed)
    assert [p.name for p in installed_plugins()] == names


def test_without_the_environment_variable_every_plugin_is_allowed(distribution, monkeypatch):
    distribution("ftc-haiku", mode="haiku")
    monkeypatch.delenv("FTCORE_PLUGINS")
    assert "haiku" in [p.name for p in installed_plugins()]


def test_two_distributions_offering_one_mode_are_both_named(distribution):
    distribution("ftc-haiku", mode="haiku", version="1.0")
    distribution("other-haiku", mode="haiku", version="3.0")
    error = refused()
    for party in ("'haiku'", "ftc-haiku 1.0", "other-haiku 3.0"):
        assert party in error.message
    assert "pip uninstall" in error.hint
    assert "--no-plugin haiku" in error.hint


def test_of_two_like_named_modes_one_can_do_without_both(distribution):
    distribution("ftc-haiku", mode="haiku")
    distribution("other-haiku", mode="haiku")
    distribution("ftc-limerick", mode="limerick")
    assert said("limerick", "haiku") == "ho"


def test_a_mode_and_an_extension_may_bear_one_name(distribution):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-shout", SHOUT, extension="haiku")
    assert said("haiku") == "HO"


# Opening a mode


def test_an_unknown_mode_lists_the_installed_ones_and_guesses(distribution):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-limerick", mode="limerick")
    error = refused("haikku")
    assert error.message == "there is no mode 'haikku'"
    assert "did you mean 'haiku'?" in error.hint
    assert "installed modes: haiku, limerick" in error.hint


def test_a_mode_that_the_environment_blocks_says_so(distribution, monkeypatch):
    distribution("ftc-haiku", mode="haiku")
    monkeypatch.setenv("FTCORE_PLUGINS", "limerick")
    error = refused("haiku")
    assert "no mode is installed or allowed" in error.hint
    assert "FTCORE_PLUGINS='limerick'" in error.hint


def test_a_mode_that_the_user_turned_off_says_so(distribution):
    distribution("ftc-haiku", mode="haiku")
    assert "--no-plugin haiku turned it off" in refused("haiku", ("haiku",)).hint


def test_opening_a_mode_never_imports_another(distribution):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-broken", "raise RuntimeError('imported')", mode="broken")
    assert said("haiku") == "ho"
    assert "ftc_haiku" in sys.modules
    assert "ftc_broken" not in sys.modules


def test_an_extension_wraps_a_mode_until_it_is_turned_off(distribution, monkeypatch):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-shout", SHOUT, extension="shout")
    assert said("haiku") == "HO"
    assert [e.name for e in open_mode("haiku").extensions] == ["shout"]
    assert said("haiku", "shout") == "ho"
    monkeypatch.setenv("FTCORE_PLUGINS", "haiku")
    assert said("haiku") == "ho"


def test_several_extensions_wrap_one_after_the_other(distribution):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-shout", SHOUT, extension="shout")
    twice = SHOUT.replace("last.text.upper()", "last.text * 2 + 'é'")
    distribution("ftc-twice", twice, extension="twice")
    assert said("haiku") in ("HOHOé", "HOHOÉ")
    assert said("haiku") == said("haiku")


# Plugins that cannot be used

BROKEN_IMPORTS = {
    "a module that is missing": ("import no_such_module_at_all", "no_such_module_at_all"),
    "a syntax error": ("def :", "SyntaxError"),
    "an error": ("1 / 0", "ZeroDivisionError"),
    "an exit": ("raise SystemExit(3)", "SystemExit"),
    "an old interface": ("from ftcore import no_such_name", "no_such_name"),
}


@pytest.mark.parametrize(("code", "cause"), BROKEN_IMPORTS.values(), ids=BROKEN_IMPORTS)
@pytest.mark.parametrize("kind", ["mode", "extension"])
def test_a_plugin_that_fails_to_import(distribution, kind, code, cause):
    if kind == "extension":
        distribution("ftc-haiku", mode="haiku")
    distribution("ftc-bad", code, **{kind: "haiku" if kind == "mode" else "bad"}, version="0.9")
    error = refused()
    assert_names_all_parties(error, "haiku" if kind == "mode" else "bad", "ftc-bad", "0.9")
    assert kind in error.message
    assert "fails to import" in error.message
    assert cause in error.message


def test_an_entry_point_that_is_no_module(distribution):
    package = distribution("ftc-bad", "thing = 5", mode="haiku", module="ftc_bad")
    entries = package.parent / "ftc_bad-1.0.dist-info" / "entry_points.txt"
    entries.write_text("[ftcore.modes]\nhaiku = ftc_bad:thing\n", encoding="utf-8")
    error = refused()
    assert_names_all_parties(error, "haiku", "ftc-bad", "1.0")
    assert "not a module" in error.message


CONTRACT = {
    "a hook that nobody marked": (
        "def ftcore_metrics(predictions): return {}",
        ["ftcore_metrics", "@hookimpl"],
    ),
    "a keyword-only parameter": (
        "@hookimpl\ndef ftcore_metrics(*, predictions): return {}",
        ["'predictions'", "ftcore_metrics", "keyword-only"],
    ),
    "a catch-all parameter": (
        "@hookimpl\ndef ftcore_metrics(**everything): return {}",
        ["'everything'", "ftcore_metrics", "variadic"],
    ),
    "a parameter with a default, which would never be passed": (
        "@hookimpl\ndef ftcore_metrics(predictions=()): return {}",
        ["'predictions'", "ftcore_metrics", "default"],
    ),
    "a parameter that the hook does not have": (
        "@hookimpl\ndef ftcore_validate_sample(sample, schema): return []",
        ["'schema'", "ftcore_validate_sample", "its parameters: sample"],
    ),
    "a hook that does not exist": (
        "@hookimpl\ndef ftcore_validate_samples(sample): return []",
        ["no hook ftcore_validate_samples", "did you mean ftcore_validate_sample?"],
    ),
    "a marked function that is no hook": (
        "@hookimpl\ndef validate_sample(sample): return []",
        ["no hook validate_sample", "did you mean ftcore_validate_sample?"],
    ),
    "a hook under a name of its own that does not exist": (
        "@hookimpl(specname='ftcore_metric')\ndef figures(predictions): return {}",
        ["no hook ftcore_metric", "did you mean ftcore_metrics?"],
    ),
    "the wrappers of old": (
        "@hookimpl(hookwrapper=True)\ndef ftcore_metrics(predictions): yield",
        ["ftcore_metrics", "wrapper=True"],
    ),
    "a wrapper that does not yield": (
        "@hookimpl(wrapper=True)\ndef ftcore_metrics(predictions): return {}",
        ["ftcore_metrics", "generator"],
    ),
    "a wrapper of defaults, whose values would have no origin": (
        "@hookimpl(wrapper=True)\ndef ftcore_config_defaults():\n    return (yield)",
        ["ftcore_config_defaults", "wrapper"],
    ),
}


@pytest.mark.parametrize(("code", "causes"), CONTRACT.values(), ids=CONTRACT)
@pytest.mark.parametrize("kind", ["mode", "extension"])
def test_a_plugin_that_breaks_the_contract(distribution, mode_code, kind, code, causes):
    if kind == "mode":
        distribution("ftc-bad", f"{mode_code}\n{code}", mode="haiku", version="0.9")
    else:
        distribution("ftc-haiku", mode="haiku")
        code = f"from ftcore import hookimpl\n{code}"
        distribution("ftc-bad", code, extension="bad", version="0.9")
    error = refused()
    assert_names_all_parties(error, "haiku" if kind == "mode" else "bad", "ftc-bad", "0.9")
    for cause in causes:
        assert cause in error.message


def test_a_hook_under_a_name_of_its_own_works(distribution, mode_code):
    code = mode_code.replace("@hookimpl\ndef ftcore_format", "@FORMAT\ndef make")
    code = code.replace("@FORMAT", "@hookimpl(specname='ftcore_format_sample')")
    distribution("ftc-haiku", code, mode="haiku")
    assert said("haiku") == "ho"
    (info,) = installed_plugins()
    assert "ftcore_format_sample" in implemented_hooks(load_plugin(info))


@pytest.mark.parametrize("hook", ["ftcore_sample_schema", "ftcore_format_sample"])
def test_a_mode_that_lacks_a_provider_hook(distribution, mode_code, hook):
    code = mode_code.replace(f"@hookimpl\ndef {hook}", "def other")
    distribution("ftc-bad", code, mode="haiku")
    error = refused()
    assert_names_all_parties(error, "haiku", "ftc-bad", "1.0")
    assert f"does not implement {hook}" in error.message


@pytest.mark.parametrize("hook", ["ftcore_sample_schema", "ftcore_format_sample"])
def test_an_extension_that_implements_what_belongs_to_the_mode(distribution, hook):
    distribution("ftc-haiku", mode="haiku")
    code = f"from ftcore import hookimpl\n@hookimpl\ndef {hook}(): return {{}}"
    distribution("ftc-grab", code, extension="grab", version="7")
    error = refused()
    assert_names_all_parties(error, "grab", "ftc-grab", "7")
    assert f"{hook} belongs to the mode" in error.message
    assert "wrapper=True" in error.message


def test_a_broken_extension_can_be_left_out(distribution):
    distribution("ftc-haiku", mode="haiku")
    distribution("ftc-bad", "1 / 0", extension="bad")
    assert "--no-plugin bad" in refused().hint
    assert said("haiku", "bad") == "ho"


# The command line says the same


def test_the_command_line_shows_what_failed_and_why(distribution):
    distribution("ftc-haiku", mode="haiku")
    package = distribution("ftc-bad", "import no_such_module_at_all", extension="bad")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), *sys.path])}

    def ftcore(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ftcore", *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=env, check=False)

    listed = ftcore("plugins", "--json")
    rows = {row["name"]: row for row in json.loads(listed.stdout)}
    assert rows["haiku"]["error"] is None
    assert "no_such_module_at_all" in rows["bad"]["error"]
    assert "--no-plugin bad" in rows["bad"]["error"]

    data = Path(package.parent, "data.jsonl")
    data.write_text('{"ask": "hi", "say": "ho"}\n', encoding="utf-8")
    command = ("check", "--mode", "haiku", "--data", str(data))
    failed = ftcore(*command)
    assert failed.returncode == 2
    assert "bad (ftc-bad 1.0)" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert ftcore(*command, "--no-plugin", "bad").returncode == 0


def test_turning_off_a_plugin_that_is_not_there_is_an_error(distribution):
    distribution("ftc-haiku", mode="haiku")
    with pytest.raises(PluginError, match="--no-plugin haikoo") as caught:
        installed_plugins({"haikoo"})
    assert "did you mean 'haiku'" in caught.value.hint


@pytest.mark.parametrize("version", ["2", "0", "'1'"])
def test_a_plugin_built_for_another_version_of_the_hooks_is_told_so(
    distribution, mode_code, version
):
    distribution("ftc-haiku", f"FTCORE_API = {version}\n{mode_code}", mode="haiku")
    with pytest.raises(PluginError) as caught:
        open_mode("haiku")
    assert f"built for version {version} of ftcore's hooks" in str(caught.value)
    assert "has version 1" in str(caught.value)
    assert "--no-plugin haiku" in str(caught.value)


def test_a_plugin_that_says_no_version_is_built_for_the_first(distribution, mode_code, monkeypatch):
    distribution("ftc-haiku", mode_code, mode="haiku")
    assert open_mode("haiku").name == "haiku"
    monkeypatch.setattr(hookspecs, "API_VERSION", 2)
    with pytest.raises(PluginError, match="built for version 1 of"):
        open_mode("haiku")
