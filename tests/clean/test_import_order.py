"""The modules of the stage import in one direction."""

import ast

from nanotarget import clean


def test_imports_run_forward_only(project):
    folder = project / "workflow" / "nanotarget" / "clean"
    modules = {path.stem: path for path in folder.glob("*.py") if path.stem != "__init__"}
    assert set(modules) == set(clean.FLOW)
    place = {name: i for i, name in enumerate(clean.FLOW)}
    for name, path in modules.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith("nanotarget.clean"):
                continue
            *_, module = node.module.split(".")
            imported = [alias.name for alias in node.names] if module == "clean" else [module]
            assert all(place[i] < place[name] for i in imported), f"{name} imports {imported}"
