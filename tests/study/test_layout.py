"""The library reads in the order of its data flow, and nothing in it evaluates text."""

import ast
import re
import sys
import tomllib

import nanotarget
from nanotarget.report.deposit.package import not_ignored

FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def modules(project):
    folder = project / "workflow" / "nanotarget"
    return {
        path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.py"))
    }


def top(name):
    return name.split("/", 1)[0]


def test_every_module_has_its_place_in_the_flow(project):
    assert {top(name) for name in modules(project)} - {"__init__"} == set(nanotarget.FLOW)


def test_imports_run_forward_only(project):
    place = {name: i for i, name in enumerate(nanotarget.FLOW)}
    wrong = []
    for name, path in modules(project).items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("nanotarget"):
                continue
            if node.module == "nanotarget":
                imported = [alias.name for alias in node.names]
            else:
                imported = [node.module.split(".")[1]]
            wrong += [f"{name} imports {i}" for i in imported if place[i] > place[top(name)]]
    assert not wrong


def test_nothing_is_evaluated_and_no_pickle_is_read(project):
    found = []
    for path in [*(project / "workflow").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
                attribute = isinstance(node.func, ast.Attribute)
                if (name in FORBIDDEN_CALLS and not attribute) or name in {"from_formula", "read_pickle"}:
                    found.append(f"{path.name}:{node.lineno} {name}")
            if isinstance(node, ast.Import) and any(alias.name == "pickle" for alias in node.names):
                found.append(f"{path.name}:{node.lineno} pickle")
    assert not found


def test_statistics_packages_are_imported_by_the_jobs_that_use_them(project):
    """Each costs every other job half a second or more."""
    import subprocess

    names = ["nanotarget." + name.replace("/", ".").removesuffix(".__init__") for name in modules(project)]
    names = [name for name in names if not name.endswith("__init__")]
    code = f"import sys, {', '.join(names)}; print(*{{m.split('.')[0] for m in sys.modules}})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"statsmodels", "sklearn", "stochtree", "lightgbm"} & set(ran.stdout.split())


def test_no_module_is_called_by_what_it_does_not_know(project):
    assert not {top(name) for name in modules(project)} & {"utils", "helpers", "common", "misc"}


def test_no_absolute_path_or_registry_in_what_is_committed(project):
    pattern = re.compile(r"(?<![\w.~}])/(?:home|root|work|Users)/\w|pythonhosted|pypi\.org|registry\.npmjs")
    found = []
    for path in not_ignored(project):
        binary = path.suffix in {".png", ".pdf", ".parquet", ".gz"}
        if binary or path == project / "tests/study/test_layout.py":
            continue
        if pattern.search(path.read_text(encoding="utf-8", errors="replace")):
            found.append(path)
    assert not found


def test_conda_installs_the_versions_of_the_lock(project):
    lock = dict(
        re.findall(r"^([\w.-]+)==([^ \\]+)", (project / "requirements.lock").read_text(), re.MULTILINE)
    )
    conda = dict(
        re.findall(r"^ +- ([\w.-]+)==?([\d.]+)$", (project / "environment.yml").read_text(), re.MULTILINE)
    )
    declared = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    direct = {re.split(r"[><=]", name)[0] for name in declared}
    assert direct <= set(conda)
    assert conda == {name: lock[name] for name in conda}
