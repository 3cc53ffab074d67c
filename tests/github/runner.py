"""GitHub's runner, as far as a composite action meets it.

It reads action.yml, fills in the expressions, gives each step its command files and environment, runs its script with
`bash --noprofile --norc -e -o pipefail`, and reads what comes back the way the runner does.
https://github.com/actions/runner/tree/main/src/Runner.Worker
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import unicodedata
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import platformdirs
import yaml

from tests.command import lend_archives

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())

LEVELS = {"error", "warning", "notice"}


@dataclass(frozen=True)
class Command:
    """A workflow command that the runner would obey."""

    name: str
    properties: Mapping[str, str]
    data: str


def commands(output: str) -> list[Command]:
    """Every command in `output`, found as the runner finds it: line by line, in its two forms.

    Written from ActionCommand.cs, not from what the product does.
    """
    found = []
    for line in re.split(r"\r\n|\n|\r", output):
        stripped = line.lstrip("".join(filter(str.isspace, line)) + "\ufeff") if line else line
        if stripped.startswith("::") and (end := stripped.find("::", 2)) >= 0:
            head, data = stripped[2:end], stripped[end + 2 :]
            name, _, rest = head.partition(" ")
            pairs = (each.partition("=") for each in rest.split(",") if "=" in each)
            properties = {key.strip(): _unescaped(value, with_properties=True) for key, _, value in pairs}
            found.append(Command(name.lower(), properties, _unescaped(data)))
        elif (start := line.find("##[")) >= 0 and (end := line.find("]", start)) >= 0:
            name, _, rest = line[start + 3 : end].partition(" ")
            pairs = (each.partition("=") for each in rest.split(";") if "=" in each)
            found.append(Command(name.lower(), {key: value for key, _, value in pairs}, line[end + 1 :]))
    return found


def _unescaped(text: str, *, with_properties: bool = False) -> str:
    pairs = [("%0D", "\r"), ("%0A", "\n")]
    if with_properties:
        pairs += [("%3A", ":"), ("%2C", ",")]
    for code, character in [*pairs, ("%25", "%")]:
        text = text.replace(code, character)
    return text


@dataclass
class Step:
    """What one step did."""

    status: int
    stdout: str
    outputs: Mapping[str, str]
    env: Mapping[str, str]
    path: str
    summary: str

    @property
    def commands(self) -> list[Command]:
        """What the runner would obey."""
        return commands(self.stdout)

    @property
    def annotations(self) -> list[Command]:
        """What the runner would show."""
        return [each for each in self.commands if each.name in LEVELS]


@dataclass
class Job:
    """A job on a runner: its folders, its environment, and what an event has started it."""

    folder: Path
    environment: Path
    """A reviewer's environment that was made before, as a job that has used the action has it."""
    event_name: str = "pull_request"
    event: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    action: Path = ROOT
    steps: dict[str, Step] = field(default_factory=dict)
    exported: dict[str, str] = field(default_factory=dict)
    """What steps have written to GITHUB_ENV: every later step has it."""

    def __post_init__(self) -> None:
        self.temp = self.folder / "temp"
        self.workspace = self.folder / "workspace"
        self.files = self.temp / "_runner_file_commands"
        for each in (self.files, self.workspace):
            each.mkdir(parents=True, exist_ok=True)
        cache = self.folder / "cache" / "alembic-reviewer"
        if not cache.exists():
            cache.mkdir(parents=True)
            lend_archives(cache)
        made = self.temp / self.environment.name
        if not made.exists():
            made.symlink_to(self.environment)
        self.payload = self.temp / "event.json"
        self.payload.write_text(json.dumps(self.event))

    def use(self, **inputs: str) -> dict[str, str]:
        """Use the action with these inputs (`_` for `-`) and return its outputs."""
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        defaults = {name: str(each.get("default", "")) for name, each in ACTION["inputs"].items()}
        unknown = given.keys() - defaults.keys()
        assert not unknown, f"action.yml has no input {unknown}"
        values = {**defaults, **given}
        self.steps = {}
        for step in ACTION["runs"]["steps"]:
            if self._wanted(step, values):
                self.steps[step["id"]] = self._run(step, values)
        return {name: self._filled(each["value"], values) for name, each in ACTION["outputs"].items()}

    @property
    def failed(self) -> bool:
        """Whether the job would be red."""
        return any(step.status != 0 for step in self.steps.values())

    @property
    def stdout(self) -> str:
        """The log."""
        return "".join(step.stdout for step in self.steps.values())

    @property
    def summary(self) -> str:
        """The job's summary."""
        return "".join(step.summary for step in self.steps.values())

    def _wanted(self, step: Mapping[str, Any], inputs: Mapping[str, str]) -> bool:
        match step["if"]:
            case "${{ inputs.mode != 'comment' }}":
                return inputs["mode"] != "comment"
            case "${{ !cancelled() && (inputs.mode == 'comment' || steps.review.outputs.report-json != '') }}":
                return (
                    inputs["mode"] == "comment"
                    or self._filled("${{ steps.review.outputs.report-json }}", inputs) != ""
                )
        raise AssertionError(f"no reading of the condition {step['if']}")

    def _filled(self, text: str, inputs: Mapping[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            for part in found[1].split("||"):
                words = part.strip().split(".")
                if words[0] == "inputs":
                    got = inputs[words[1]]
                elif words[0] == "steps":
                    got = self.steps[words[1]].outputs.get(words[3], "") if words[1] in self.steps else ""
                elif words == ["github", "token"]:
                    got = "the-token"
                else:
                    raise AssertionError(f"no reading of the expression {part}")
                if got:
                    # a default may be an expression itself
                    return self._filled(got, inputs) if got.startswith("${{") else got
            return ""

        return re.sub(r"\$\{\{\s*(.+?)\s*\}\}", value, text)

    def _run(self, step: Mapping[str, Any], inputs: Mapping[str, str]) -> Step:
        assert step["shell"] == "bash"
        suffix = str(uuid.uuid4())
        kinds = {
            "output": "set_output",
            "env": "set_env",
            "path": "add_path",
            "state": "save_state",
            "step_summary": "step_summary",
        }
        files = {kind: self.files / f"{name}_{suffix}" for kind, name in kinds.items()}
        for file in files.values():
            file.touch()
        script = self.temp / f"{suffix}.sh"
        script.write_text(step["run"])
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_NAME": self.event_name,
            "GITHUB_EVENT_PATH": str(self.payload),
            "GITHUB_REPOSITORY": "octo-org/blog",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "1000",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_ACTOR": "mona",
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_ACTION_PATH": str(self.action),
            "RUNNER_TEMP": str(self.temp),
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            **{f"GITHUB_{kind.upper()}": str(file) for kind, file in files.items()},
            **self.variables,
            **self.exported,
            # a step's own env wins over what earlier steps have exported
            **{name: self._filled(str(text), inputs) for name, text in step.get("env", {}).items()},
        }
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
            cwd=self.workspace,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
        )
        exported = _pairs(files["env"])
        self.exported |= {name: value for name, value in exported.items() if name != "NODE_OPTIONS"}
        return Step(
            done.returncode,
            done.stdout.decode("utf-8", "replace"),
            _pairs(files["output"]),
            exported,
            files["path"].read_text(),
            files["step_summary"].read_text(encoding="utf-8"),
        )


def _pairs(file: Path) -> dict[str, str]:
    """`name=value` and `name<<end … end`, as the runner reads its command files."""
    found, lines = {}, iter(file.read_text(encoding="utf-8").split("\n"))
    for line in lines:
        if "<<" in line and ("=" not in line or line.index("<<") < line.index("=")):
            name, _, end = line.partition("<<")
            value = []
            for each in lines:
                if each == end:
                    break
                value.append(each)
            else:
                raise AssertionError(f"no end of the value of {name}")
            found[name] = "\n".join(value)
        elif line:
            name, equals, rest = line.partition("=")
            assert equals, f"not a line of a command file: {line}"
            found[name] = rest
    return found


def odd_spaces() -> list[str]:
    """Everything that .NET's Trim takes for white space."""
    return [
        chr(n) for n in range(0x10000) if chr(n).isspace() or unicodedata.category(chr(n)) in {"Zs", "Zl", "Zp"}
    ]


def made_environment() -> Path:
    """The reviewer's environment, made by the action's own script, once for each lock file."""
    shared = Path(platformdirs.user_cache_dir("alembic-reviewer-tests")) / "action"
    shared.mkdir(parents=True, exist_ok=True)
    with (shared / "environment.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [
                "bash",
                "-euo",
                "pipefail",
                "-c",
                '. "$GITHUB_ACTION_PATH/action/environment.sh"; echo "made $reviewer"',
            ],
            env={**os.environ, "GITHUB_ACTION_PATH": str(ROOT), "RUNNER_TEMP": str(shared)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return Path(done.stdout.rpartition("made ")[2].strip()).parent.parent
