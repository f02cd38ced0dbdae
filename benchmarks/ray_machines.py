"""A Ray cluster of several machines on one: each in namespaces of its own, or plain processes where those are refused.

A machine has its own network, host name, mounts and process ids (Linux namespaces, which take root), and is joined to
the others by a virtual switch inside the first. Killing it kills everything on it, as losing a machine does. Without
root the nodes are processes of this machine: enough for several raylets, not for machines that see different files.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType

_OBJECT_STORE = 200_000_000  # bytes of shared memory of each node
_NAMESPACES = ("--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_PORT = 6379
_FOLDER = tempfile.gettempdir()  # commands run here: Ray's workers import from the folder that the driver runs in


def namespaces_allowed() -> bool:
    """Whether this process may make machines with namespaces of their own."""
    if os.name != "posix" or os.geteuid() or not all(map(shutil.which, ("unshare", "nsenter", "ip"))):
        return False
    return subprocess.run(["unshare", *_NAMESPACES, "true"], capture_output=True).returncode == 0


class Machine:
    """One machine: runs commands, holds a Ray node.

    Attributes:
        name: host name, where it has one of its own.
        address: its IP address.
    """

    def __init__(self, name: str, address: str, environment: Mapping[str, str], isolated: bool) -> None:
        self.name, self.address, self._isolated = name, address, isolated
        self._environment = {**os.environ, **environment}
        self._holder: subprocess.Popen[bytes] | None = None
        if isolated:
            script = f"hostname {name}; ip link set lo up; echo; exec cat"  # ends when this process does, however
            command = ["unshare", *_NAMESPACES, "sh", "-c", script]
            self._holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert self._holder.stdout is not None
            self._holder.stdout.readline()  # it is up

    @property
    def process(self) -> int:
        """The first process of its namespaces."""
        assert self._holder is not None
        children = Path(f"/proc/{self._holder.pid}/task/{self._holder.pid}/children").read_text()
        return int(children.split()[0])

    def command(self, *words: str) -> list[str]:
        """The command line that runs a command on it."""
        return ["nsenter", "-t", str(self.process), "-a", f"--wd={_FOLDER}", *words] if self._isolated else [*words]

    def start(self, *words: str, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command on it; its two outputs come as one."""
        return subprocess.Popen(
            self.command(*words),
            env={**self._environment, **(environment or {})},
            cwd=_FOLDER,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, environment: Mapping[str, str] | None = None) -> str:
        """What a command prints. Raises `RuntimeError` if it fails."""
        with self.start(*words, environment=environment) as running:
            output, _ = running.communicate()
        if running.returncode:
            raise RuntimeError(f"{' '.join(words)} on {self.name}: exit code {running.returncode}\n{output}")
        return output

    def processes(self, text: str) -> list[int]:
        """Process ids, as this process sees them, of what runs on it and has a text in its command line."""
        found = []
        mine = os.readlink(f"/proc/{self.process}/ns/pid") if self._isolated else os.readlink("/proc/self/ns/pid")
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not entry.name.isdecimal() or os.readlink(entry / "ns/pid") != mine:
                    continue
                if text in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                    found.append(int(entry.name))
        return found

    def signal(self, number: signal.Signals, text: str) -> int:
        """Send a signal to the processes that have a text in their command line; how many there were."""
        processes = self.processes(text)
        for process in processes:
            os.kill(process, number)
        return len(processes)

    def lose(self) -> None:
        """End it with everything that runs on it, at once; safe to call twice."""
        if self._holder is not None:
            with contextlib.suppress(OSError, IndexError):
                os.kill(self.process, signal.SIGKILL)
            self._holder.kill()
            self._holder.wait()


class RayMachines:
    """A cluster of some machines; a context manager that ends it.

    Args:
        cpus: cores that each machine offers, in order; the first is the head.
        environment: variables of everything that runs on them.

    Attributes:
        machines: in order; those that have not joined yet too.
        address: of the cluster.
        isolated: whether they have namespaces of their own.
    """

    def __init__(self, cpus: Sequence[int], environment: Mapping[str, str] | None = None) -> None:
        self.isolated = namespaces_allowed()
        self._cpus = cpus
        self._place = Path(tempfile.mkdtemp(prefix="ray"))  # short: sockets are in it, whose paths must be
        shared = {
            "RAY_AUTH_TOKEN": secrets.token_hex(32),  # a cluster that others can reach needs one
            "RAY_AUTH_MODE": "token",
            "RAY_USAGE_STATS_ENABLED": "0",
            **(environment or {}),
        }
        addresses = [f"10.77.0.{number + 1}" if self.isolated else "127.0.0.1" for number in range(len(cpus))]
        self.machines: list[Machine] = []
        try:
            for number, address in enumerate(addresses):
                self.machines.append(Machine(f"machine{number}", address, shared, self.isolated))
            if self.isolated:
                self._connect()
        except BaseException:
            self.close()
            raise
        self.address = f"{addresses[0]}:{_PORT}"

    def _connect(self) -> None:
        """A switch in the first machine, and a cable from it to each."""
        first = self.machines[0]
        first.run("ip", "link", "add", "switch", "type", "bridge")
        first.run("ip", "addr", "add", f"{first.address}/24", "dev", "switch")
        first.run("ip", "link", "set", "switch", "up")
        for number, machine in enumerate(self.machines[1:]):
            port = f"port{number}"
            peer = ("type", "veth", "peer", "name", "eth0", "netns", str(machine.process))
            subprocess.run(
                ["ip", "link", "add", port, "netns", str(first.process), *peer], check=True, capture_output=True
            )
            first.run("ip", "link", "set", port, "master", "switch", "up")
            machine.run("ip", "addr", "add", f"{machine.address}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")

    def join(self, number: int, environment: Mapping[str, str] | None = None) -> None:
        """Start the Ray node of a machine; of the first, the cluster. Its workers find its name in `MACHINE`."""
        machine = self.machines[number]
        where = ["--address", self.address]
        if number == 0:
            where = ["--head", "--port", str(_PORT), "--include-dashboard=false", "--temp-dir", str(self._place)]
        options = ("--node-ip-address", machine.address, "--num-cpus", str(self._cpus[number]))
        store = ("--object-store-memory", str(_OBJECT_STORE))
        ray = (sys.executable, "-m", "ray.scripts.scripts", "start")
        machine.run(*ray, *where, *options, *store, environment={"MACHINE": machine.name, **(environment or {})})

    def close(self) -> None:
        """End all machines; safe to call twice."""
        for machine in self.machines:
            if not self.isolated:
                machine.signal(signal.SIGKILL, str(self._place))
            machine.lose()
        shutil.rmtree(self._place, ignore_errors=True)

    def __enter__(self) -> RayMachines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def joined(cpus: Sequence[int], environment: Mapping[str, str] | None = None) -> Iterator[RayMachines]:
    """A cluster that all its machines have joined."""
    with RayMachines(cpus, environment) as cluster:
        for number in range(len(cpus)):
            cluster.join(number)
        yield cluster
