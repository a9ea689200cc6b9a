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
from contextlib import suppress
from pathlib import Path

PACKAGES = ("slurmctld", "slurmd", "slurm-client")
INSTALL = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *PACKAGES]
CONFIG = Path("/etc/slurm/slurm.conf")  # jobs look there: no variable of the environment reaches them
NAME = "nanotarget_test"
NODES = ("node1", "node2")
PORT = 17810  # of the controller; the nodes have those that follow
PATIENCE = 30  # seconds
SIZE = "CPUs=1 RealMemory=6000"  # of a node, in megabytes: a job at a time on each, as many as cores

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


class Cluster:
    """The cluster, and its daemons by name.

    Attributes:
        folder: where the daemons keep their state and their logs.
        daemons: that run, by `controller` and the names of the nodes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start controller and nodes, and wait until they take jobs.

        Raises:
            Unavailable: if Slurm cannot be installed or started here, or if another is configured.
        """
        installed()
        if os.geteuid() != 0:
            raise Unavailable("Only root may start Slurm's daemons")
        if CONFIG.exists() and f"ClusterName={NAME}" not in CONFIG.read_text(encoding="utf-8"):
            raise Unavailable(f"{CONFIG} is there and is not of this test: it is left alone")
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        CONFIG.parent.mkdir(parents=True, exist_ok=True)
        CONFIG.write_text(described(self.folder), encoding="utf-8")
        self._run("controller", ["slurmctld", "-D", "-c"])
        for node in NODES:
            self.bring_back(node)
        try:
            await_nodes(self.folder)
        except Unavailable:
            self.stop()
            raise

    def bring_back(self, node: str) -> None:
        """Start the daemon of a node."""
        self._run(node, ["slurmd", "-D", "-N", node])

    def lose(self, node: str) -> None:
        """Kill the daemon of a node and the jobs that it runs, as a power cut would; Slurm finds out."""
        asked = subprocess.run(["squeue", "-h", "-w", node, "-o", "%A"], capture_output=True, check=True)
        jobs = [f"slurmstepd: [{job}.".encode() for job in asked.stdout.decode().split()]
        daemon = self.daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for pid in below_steps(tuple(jobs)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """End the daemons, by force if they do not go."""
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
            try:
                daemon.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        CONFIG.unlink(missing_ok=True)

    def _run(self, name: str, command: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self.daemons[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def below_steps(names: tuple[bytes, ...]) -> list[int]:
    """Return the processes whose command begins with one of the names, and those that are below them."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            pid = int(folder.name)
            parents[pid] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            found += [pid] if (folder / "cmdline").read_bytes().startswith(names) else []
    for parent in found:
        found += [child for child, its in parents.items() if its == parent]
    return found


def described(folder: Path) -> str:
    """Return the text of Slurm's configuration."""
    host = platform.node().split(".")[0]
    lines = [f"{key}={value.format(host=host, folder=folder)}" for key, value in SETTINGS.items()]
    lines += [
        f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={PORT + i} {SIZE}"
        for i, node in enumerate(NODES, start=1)
    ]
    lines.append(f"PartitionName=test Nodes={','.join(NODES)} Default=YES MaxTime=600 State=UP")
    return "\n".join(lines) + "\n"


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
    slurm = Cluster(Path(sys.argv[1]).absolute())
    try:
        slurm.start()
    except Unavailable as reason:
        sys.stderr.write(f"{reason}\n")
        return 1
    try:
        sys.stdout.write("Slurm is up; interrupt to stop it\n")
        sys.stdout.flush()
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        slurm.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
