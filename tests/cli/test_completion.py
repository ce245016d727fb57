"""Completion as shells do it: the printed script, and the command that it calls."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

SHOAL = Path(sys.executable).with_name("shoal")


def run(*command: str | Path, **environment: str) -> str:
    path = f"{SHOAL.parent}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    return ran.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("clu", {"cluster"}),
        ("cluster sh", {"show"}),
        ("server start --otlp", {"--otlp-endpoint"}),
        ("completion z", {"zsh"}),
    ],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_asks_is_answered(shell: str, line: str, offered: set[str]) -> None:
    """Each shell's script calls the command like this (click.shell_completion)."""
    words = ["shoal", *line.split()]
    asked = {"_SHOAL_COMPLETE": f"{shell}_complete", "COMP_WORDS": " ".join(words)}
    asked["COMP_CWORD"] = words[-1] if shell == "fish" else str(len(words) - 1)
    told = run(SHOAL, **asked).splitlines()
    match shell:
        case "bash" | "fish":
            found = {it.partition(",")[2].partition("\t")[0] for it in told}
        case _:
            found = set(told[1::3])  # type, value and help, a line each
    assert found == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_the_shell_reads(shell: str, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = tmp_path / "script"
    script.write_text(run(SHOAL, "completion", shell))
    run(shell, "-n" if shell != "fish" else "--no-execute", script)


def test_in_bash_tab_completes_for_real(tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash here")
    script = tmp_path / "script"
    script.write_text(run(SHOAL, "completion", "bash"))
    typed = f"""
        source {script}
        COMP_WORDS=(shoal server st); COMP_CWORD=2
        _shoal_completion shoal
        echo "${{COMPREPLY[@]}}"
    """
    assert run("bash", "-c", typed).split() == ["start", "status", "stop"]
