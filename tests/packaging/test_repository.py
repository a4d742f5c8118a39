"""What the repository on GitHub needs: workflows, templates and hooks that fit the project."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from packaging.specifiers import SpecifierSet

ROOT: Final = Path(__file__).parents[2]
GITHUB: Final = ROOT / ".github"
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
SCHEMAS: Final = {
    "workflows": "workflows/*.yml",
    "issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
    "issue-config": "ISSUE_TEMPLATE/config.yml",
}


def run_tool(name: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(name)
    return subprocess.run([program, *words], cwd=ROOT, capture_output=True, text=True, check=False)


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((GITHUB / f"workflows/{name}.yml").read_text("utf-8"))
    return found


def test_zizmor_finds_nothing_to_abuse() -> None:
    done = run_tool("zizmor", "--offline", "--no-progress", "--persona=pedantic", GITHUB)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_files_fit_the_schemas_of_github(schema: str) -> None:
    files = sorted(GITHUB.glob(SCHEMAS[schema]))
    assert files
    done = run_tool("check-jsonschema", f"--builtin-schema=vendor.github-{schema}", *files)
    assert done.returncode == 0, done.stdout


def test_dependabot_accepts_its_config() -> None:
    file = GITHUB / "dependabot.yml"
    done = run_tool("check-jsonschema", "--builtin-schema=vendor.dependabot", file)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["test", "release"])
def test_actions_are_pinned_by_hash_and_jobs_get_single_permissions(name: str) -> None:
    text = (GITHUB / f"workflows/{name}.yml").read_text("utf-8")
    used = re.findall(r"uses: (\S+@\S+.*)$", text, re.MULTILINE)
    assert used
    assert [line for line in used if not re.fullmatch(r"\S+@[0-9a-f]{40} # v[\d.]+", line)] == []
    assert workflow(name)["permissions"] == {}
    assert all("permissions" in job for job in workflow(name)["jobs"].values())
    # The token of the job itself is the only secret.
    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"GITHUB_TOKEN"}


def test_an_action_has_the_same_hash_everywhere() -> None:
    hashes: dict[str, set[str]] = {}
    for file in (GITHUB / "workflows").glob("*.yml"):
        for action, version in re.findall(r"uses: (\S+)@(.*)$", file.read_text(), re.MULTILINE):
            hashes.setdefault(action, set()).add(version)
    assert {action for action, versions in hashes.items() if len(versions) > 1} == set()


def test_the_image_is_published_under_the_name_of_the_repository() -> None:
    repository = PROJECT["urls"]["Source"].removeprefix("https://github.com/")
    text = (GITHUB / "workflows/release.yml").read_text("utf-8")
    assert set(re.findall(r"ghcr\.io/([\w-]+/[\w-]+)", text)) == {repository}


def test_classifiers_requires_python_and_the_matrix_name_the_same_versions() -> None:
    classifiers = re.findall(r"Python :: (3\.\d+)'", str(PROJECT["classifiers"]))
    matrix = workflow("test")["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == classifiers
    untested = [each["python"] for each in matrix["include"] if each["may-fail"]]
    assert not set(untested) & set(classifiers)
    allowed = SpecifierSet(PROJECT["requires-python"])
    assert all(version in allowed for version in [*classifiers, *untested])
    oldest = min(int(version.partition(".")[2]) for version in classifiers)
    assert f"3.{oldest - 1}" not in allowed


@pytest.mark.parametrize("name", ["ISSUE_TEMPLATE/problem.yml", "pull_request_template.md"])
def test_templates_ask_for_what_is_needed_and_warn_about_passwords(name: str) -> None:
    text = " ".join((GITHUB / name).read_text("utf-8").split())
    for words in ("check --json", "version", "firmware", "Everybody can read this", "passwords"):
        assert words.lower() in text.lower()


def test_pre_commit_runs_the_ruff_of_the_constraints() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    [pinned] = re.findall(r"^ruff==.*$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert set(re.findall(r"ruff==[\d.]+", text)) == {pinned}
    hooks = [hook["id"] for repo in yaml.safe_load(text)["repos"] for hook in repo["hooks"]]
    assert hooks == ["ruff-check", "ruff-format"]
