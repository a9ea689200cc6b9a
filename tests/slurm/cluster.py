"""A Slurm of two small nodes on this machine, from Debian's packages: for tests of what a cluster does.

Both nodes are daemons of their own that share the machine's folders, as nodes of a cluster share a file
system. Everything listens on loopback and needs no accounting; a job that takes more memory than it asked for
is killed. The daemons are stopped by the process ids that were started.

`python tests/slurm/cluster.py FOLDER` keeps one up until it is interrupted.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client")
INSTALL = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *PACKAGES]
CONFIG = Path("/etc/slurm/slurm.conf")  # jobs look there: no variable of the environment reaches them
NAME = "nanotarget_test"
NODES = ("node1", "node2")
PORT = 17810  # of the controller; the nodes have those that follow
PATIENCE = 30  # seconds
SIZE = "CPUs=2 RealMemory=6000"  # of a node, in megabytes; the nodes share what this machine has

# Without munge, so that nothing else need run; only processes of this machine reach the ports.
SETTINGS = {
    "ClusterName": NAME,
    "SlurmctldHost": "{host}(127.0.0.1)",
    "SlurmctldPort": str(PORT),
    "CommunicationParameters": "NoInAddrAny,NoCtldInAddrAny",
    "AuthType": "auth/none",
    "CredType": "cred/none",
    "SlurmUser": "root",
    "SlurmdUser": "root",
    "StateSaveLocation": "{folder}/state",
    "SlurmdSpoolDir": "{folder}/spool-%n",
    "SlurmctldPidFile": "{folder}/controller.pid",
    "SlurmdPidFile": "{folder}/%n.pid",
    "SlurmdParameters": "config_overrides",  # of what the machine has
    "ProctrackType": "proctrack/linuxproc",
    "TaskPlugin": "task/none",
    "SwitchType": "switch/none",
    "MpiDefault": "none",
    "AccountingStorageType": "accounting_storage/none",
    "JobAcctGatherType": "jobacct_gather/linux",
    "JobAcctGatherFrequency": "task=1",
    "JobAcctGatherParams": "UsePss,OverMemoryKill",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_CPU_Memory",
    "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,bf_interval=1",
    "ReturnToService": "2",
    "SlurmdTimeout": "10",
    "KillWait": "2",
    "MinJobAge": "600",  # squeue tells of ended jobs for so long: there is no data base that would
}


class Unavailable(Exception):
    """Slurm cannot be started here; the message says what to do."""


def installed() -> None:
    """Install Debian's packages if they are missing and this is root.

    Raises:
        Unavailable: if they cannot be installed here.
    """
    if all(shutil.which(name) for name in ("slurmctld", "slurmd", "sbatch")):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Unavailable(f"Slurm is not installed. As root: apt-get install {' '.join(PACKAGES)}")
    subprocess.run(["apt-get", "update", "-qq"], check=True, stdout=subprocess.DEVNULL)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(INSTALL, check=True, env=quiet, stdout=subprocess.DEVNULL)


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Run the cluster; yields its daemons by name.

    Args:
        folder: where the daemons keep their state and their logs.

    Raises:
        Unavailable: if Slurm cannot be installed or started here, or if another is configured.
    """
    installed()
    if os.geteuid() != 0:
        raise Unavailable("Only root may start Slurm's daemons")
    if CONFIG.exists() and f"ClusterName={NAME}" not in CONFIG.read_text(encoding="utf-8"):
        raise Unavailable(f"{CONFIG} is there and is not of this test: it is left alone")
    for name in ("state", *(f"spool-{node}" for node in NODES)):
        (folder / name).mkdir(parents=True, exist_ok=True)
    CONFIG.parent.mkdir(parents=True, exist_ok=True)
    CONFIG.write_text(described(folder), encoding="utf-8")
    daemons = {"controller": started(["slurmctld", "-D", "-c"], folder / "controller.log")}
    try:
        for node in NODES:
            daemons[node] = started(["slurmd", "-D", "-N", node], folder / f"{node}.log")
        await_nodes(folder)
        yield daemons
    finally:
        for daemon in reversed(daemons.values()):
            stop(daemon)
        CONFIG.unlink()


def described(folder: Path) -> str:
    """Return the text of Slurm's configuration."""
    host = platform.node().split(".")[0]
    lines = [f"{key}={value.format(host=host, folder=folder)}" for key, value in SETTINGS.items()]
    lines += [
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + i} {SIZE}"
        for i, node in enumerate(NODES, start=1)
    ]
    lines.append(f"PartitionName=test Nodes={','.join(NODES)} Default=YES MaxTime=120 State=UP")
    return "\n".join(lines) + "\n"


def started(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as file:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """End a daemon, by force if it does not go."""
    daemon.terminate()
    try:
        daemon.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def await_nodes(folder: Path) -> None:
    """Wait until both nodes take jobs.

    Raises:
        Unavailable: if they do not within the time.
    """
    limit = time.monotonic() + PATIENCE
    while time.monotonic() < limit:
        asked = subprocess.run(["sinfo", "-h", "-N", "-o", "%T"], capture_output=True, text=True)
        if asked.stdout.split() == ["idle"] * len(NODES):
            return
        time.sleep(0.2)
    raise Unavailable(f"Slurm did not start; its logs are in {folder}")


def main() -> int:
    """Keep a cluster up until an interrupt."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with cluster(Path(sys.argv[1]).absolute()):
            sys.stdout.write("Slurm is up; interrupt to stop it\n")
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except Unavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
