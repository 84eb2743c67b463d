"""What ./demo does on machines that lack something, and on one that is set up already."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = ("sh", "dirname", "cat", "grep", "rm", "mv", "tar")
NEEDS_SOMETHING = 78

# A Python as bare Debian has it: no ensurepip until somebody installs it, and no network here.
BARE_PYTHON = """#!/bin/sh
case "$*" in
    *ensurepip*) test -e "{home}/has-venv" ;;
    "-m venv"*) echo "no venv in tests" >&2; exit 9 ;;
    *) exec "{python}" "$@" ;;
esac
"""


@pytest.fixture
def machine(tmp_path):
    """A folder with the project's entry points, and a bin/ that holds all there is."""
    project = tmp_path / "a project"
    (project / "tools").mkdir(parents=True)
    for name in ("demo", "tools/setup.sh", "pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, project / name)
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    return tmp_path


def provide(machine, name, script):
    path = machine / "bin" / name
    path.write_text(script)
    path.chmod(0o755)


def provide_python(machine):
    provide(machine, "python3", BARE_PYTHON.format(home=machine, python=sys.executable))


def demo(machine, *arguments):
    return subprocess.run(
        [machine / "a project" / "demo", *arguments],
        env={"PATH": str(machine / "bin")},
        cwd=machine,
        capture_output=True,
        text=True,
    )


def test_without_python_it_says_what_to_install(machine):
    outcome = demo(machine)
    assert outcome.returncode == NEEDS_SOMETHING
    assert "sudo apt-get install -y python3 python3-venv" in outcome.stderr


def test_without_venv_a_user_is_told_the_one_command(machine):
    provide_python(machine)
    provide(machine, "id", "#!/bin/sh\necho 1000\n")
    provide(machine, "apt-get", "#!/bin/sh\necho called >&2\nexit 1\n")
    outcome = demo(machine)
    assert outcome.returncode == NEEDS_SOMETHING
    assert "    sudo apt-get install -y python3-venv\n" in outcome.stderr
    assert "called" not in outcome.stderr
    assert not (machine / "a project" / ".venv").exists()


def test_without_venv_root_gets_it_installed_with_a_word(machine):
    provide_python(machine)
    provide(machine, "id", "#!/bin/sh\necho 0\n")
    calls = f'echo "$@" >> "{machine}/calls"\n: > "{machine}/has-venv"\n'
    provide(machine, "apt-get", f"#!/bin/sh\n{calls}")
    outcome = demo(machine)
    assert "installing Debian's package python3-venv" in outcome.stderr
    assert (machine / "calls").read_text().splitlines() == [
        "-q update",
        "-q install -y --no-install-recommends python3-venv",
    ]
    assert outcome.returncode == 9  # it went on to make the environment


def test_a_failing_apt_shows_what_it_said(machine):
    provide_python(machine)
    provide(machine, "id", "#!/bin/sh\necho 0\n")
    provide(machine, "apt-get", "#!/bin/sh\necho the mirror is away\nexit 100\n")
    outcome = demo(machine)
    assert "the mirror is away" in outcome.stderr
    assert outcome.returncode == NEEDS_SOMETHING


def set_up_already(machine):
    """An environment that is wholly installed, with a leadledger that repeats its arguments."""
    project = machine / "a project"
    venv_bin = project / ".venv" / "bin"
    venv_bin.mkdir(parents=True)
    provide(machine, "../a project/.venv/bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    provide(machine, "../a project/.venv/bin/leadledger", '#!/bin/sh\necho "$@"\nexit 5\n')
    script = '. "$root/tools/setup.sh"; fingerprint requirements.txt >"$done_list"'
    subprocess.run(["sh", "-ec", script], env=os.environ | {"root": str(project)}, check=True)


def test_what_is_set_up_is_not_set_up_again(machine):
    set_up_already(machine)
    outcome = demo(machine, "--leads", "9 9")
    assert (outcome.stdout, outcome.stderr) == ("demo --leads 9 9\n", "")
    assert outcome.returncode == 5


@pytest.mark.parametrize("changed", ["requirements.txt", "pyproject.toml"])
def test_a_changed_lock_is_set_up_again(machine, changed):
    set_up_already(machine)
    with (machine / "a project" / changed).open("a") as file:
        file.write("# changed\n")
    outcome = demo(machine)
    assert outcome.returncode == NEEDS_SOMETHING  # this machine has no Python to do it with
    assert outcome.stdout == ""


def test_a_half_made_environment_is_made_anew(machine):
    provide_python(machine)
    (machine / "has-venv").touch()
    half_made = machine / "a project" / ".venv" / "lib"
    half_made.mkdir(parents=True)
    outcome = demo(machine)
    assert "Making .venv anew" in outcome.stderr
    assert not half_made.exists()
    assert outcome.returncode == 9
