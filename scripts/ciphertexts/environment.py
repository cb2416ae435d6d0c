"""A Python environment with one library, made once in a folder of the project that git ignores. Standard library only."""

import fcntl
import glob
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# The libraries of scripts/setup, torch among them.
PROJECT_PACKAGES = ROOT / ".venv" / "site-packages"


class NoFit(Exception):
    """No environment can be made here; one line with what would fit. The exit code is 3."""


@dataclass
class Library:
    """A package of PyPI with its requirement for each version of Python that its wheels are for."""

    name: str
    module: str
    requirements: dict[str, list[str]]
    # What fits, for the line that says that nothing here does.
    fitting: str
    # Whether torch is needed: the project's is used where it is for the same Python.
    torch: bool = False

    @property
    def folder(self):
        return ROOT / f".venv-{self.name}"


def python(library):
    """The interpreter of the library's environment, which is made where it is missing."""
    ready = library.folder / "ready"
    program = library.folder / "bin" / "python"
    with open(ROOT / f".venv-{library.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists() or not program.exists():
            _make(library)
            ready.touch()
    return program


def interpreters(versions):
    """What there is of these versions: (version, program), from the PATH, the project, pyenv and uv."""
    found = []
    for version in versions:
        for program in _candidates(version):
            if _version(program) == version and (version, program) not in found:
                found.append((version, program))
    return found


def _candidates(version):
    yield sys.executable
    on_path = shutil.which(f"python{version}")
    if on_path:
        yield on_path
    pyenv = os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv"))
    yield from sorted(glob.glob(f"{pyenv}/versions/{version}.*/bin/python{version}"))
    if shutil.which("uv"):
        answer = subprocess.run(["uv", "python", "find", version], capture_output=True, text=True)
        if answer.returncode == 0:
            yield answer.stdout.strip()


def _version(program):
    """`3.11`; None of what does not start, as a link of pyenv to a version that is not chosen."""
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([program, "-c", question], capture_output=True, text=True)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _make(library):
    there = interpreters(library.requirements)
    if not there:
        raise NoFit(f"no Python here fits {library.name}: {library.fitting}")
    for version, program in there:
        problem = _try(library, version, program)
        if problem is None:
            return
        shutil.rmtree(library.folder, ignore_errors=True)
    raise NoFit(f"{library.name} cannot be used with Python {version} here ({problem}): {library.fitting}")


def _try(library, version, program):
    """Make the environment with this interpreter; what went wrong, in a few words."""
    requirements = library.requirements[version]
    print(f"installing {' '.join(requirements)} for Python {version} into {library.folder.name}", file=sys.stderr)
    shutil.rmtree(library.folder, ignore_errors=True)
    inside = str(library.folder / "bin" / "python")
    problem = _run([program, "-m", "venv", str(library.folder)])
    if problem is None and library.torch and _version(str(ROOT / ".venv" / "bin" / "python")) == version:
        _borrow_torch(library, version)
    problem = problem or _run([inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *requirements])
    return problem or _run([inside, "-c", f"import {library.module}"])


def _borrow_torch(library, version):
    """Let the environment see the project's packages behind its own."""
    if (PROJECT_PACKAGES / "torch").exists():
        line = f"{PROJECT_PACKAGES.resolve()}\n"
        (library.folder / "lib" / f"python{version}" / "site-packages" / "project.pth").write_text(line)


def _run(command):
    """None, or the last line of what a failing command said."""
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode == 0:
        return None
    said = [line.strip() for line in (answer.stderr + answer.stdout).splitlines() if line.strip()]
    return said[-1] if said else f"exit code {answer.returncode}"
