"""Snakemake and the scripts of its jobs as forks of one process that has imported what they need.

Most of what a job on a small study takes is imports. Rules, scripts and what they compute are the same. That
jobs give these bytes in processes of their own, too, is what `test_runs.py` shows of a run that was killed.
"""

from __future__ import annotations

import json
import os
import pkgutil
import runpy
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from snakemake.benchmark import benchmarked
from snakemake.script import PythonScript

import nanotarget

ADDRESS = "NANOTARGET_FORKS"  # the variable that says where the process listens
# What the Snakefile sets for its jobs holds from the start.
JOBS = {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1", "MPLBACKEND": "Agg", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
JOBS |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
IMPORTED = ("matplotlib.pyplot", "pyarrow.parquet", "scipy.stats", "statsmodels.api", "snakemake.cli")


def snakemake_forked(project: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a project's Snakefile in a folder; what Snakemake and its jobs say is all in `stdout`."""
    program = [str(folder), "snakemake", "--snakefile", str(project / "Snakefile"), *arguments]
    with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
        _, address = started(project)
        code = ask(address, program, [said.fileno()] * 2)
        said.seek(0)
        return subprocess.CompletedProcess(program, code, said.read(), "")


@cache
def started(project: Path) -> tuple[subprocess.Popen[str], str]:
    """Start the process that is forked for a project; it ends with these tests. Return it and its address."""
    address = str(Path(tempfile.mkdtemp(), "forks"))
    server = subprocess.Popen(
        [sys.executable, __file__],
        env=os.environ | JOBS | {"PYTHONPATH": str(project / "workflow"), ADDRESS: address},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout and server.stdout.readline() == "ready\n"
    return server, address


def ask(address: str, program: list[str], outputs: list[int]) -> int:
    """Have a program run (folder, name, arguments) that writes to these two files; return its exit code."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(program).encode()], outputs)
        return int(connection.recv(16) or -signal.SIGKILL)  # nothing: it was killed with who waited for it


def serve(address: str) -> None:
    """Fork for each program that is asked for, until the tests that started this have ended."""
    PythonScript.execute_script = execute_script
    modules = pkgutil.walk_packages(nanotarget.__path__, "nanotarget.")
    for name in [*IMPORTED, *(module.name for module in modules)]:
        import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if not os.fork():
                os._exit(answer(connection))
            connection.close()
    shutil.rmtree(Path(address).parent)


def execute_script(script: Any, fname: str, edit: bool = False) -> None:
    """Run the script of a job, in the place of Snakemake's own way to do it."""
    with benchmarked(benchmark_record=script.bench_record):  # of Snakemake itself: nobody looks at it
        code = ask(os.environ[ADDRESS], [str(Path.cwd()), fname], [1, 2])
    if code:
        raise subprocess.CalledProcessError(code, f"python {fname}")


def answer(connection: socket.socket) -> int:
    """Run the program that is asked for in a fork, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    program, outputs, _, _ = socket.recv_fds(connection, 1 << 16, 2)
    child = os.fork()
    if not child:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, output in enumerate(outputs, start=1):
            os.dup2(output, number)
        return run(*json.loads(program))
    connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    return 0


def run(folder: str, *program: str) -> int:
    """Run a module or a script as the interpreter would; return the exit code."""
    os.chdir(folder)
    sys.argv = list(program)
    code: object = 0
    try:
        if Path(program[0]).suffix:
            runpy.run_path(program[0], run_name="__main__")
        else:
            runpy.run_module(program[0], run_name="__main__")
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    serve(os.environ[ADDRESS])
