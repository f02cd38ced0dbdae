"""A PostgreSQL server for one test run: Debian's programs, its own system user, data and socket in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from annotation.helpers import free_port


def programs() -> Path | None:
    """The folder of initdb and pg_ctl, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) if Path("/usr/lib/postgresql").is_dir() else []
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres_server() -> Iterator[str]:
    """The URL of an empty database; the server is stopped and its files are removed afterwards."""
    folder = programs()
    assert folder is not None
    root = Path(tempfile.mkdtemp(prefix="soco-pg-"))
    user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name  # it refuses to run as root
    if os.geteuid() == 0:
        root.chmod(0o755)
        data = root / "data"
        data.mkdir()
        shutil.chown(data, user)
        shutil.chown(root, user)
    port = free_port()

    def run(*command: str) -> None:
        as_user = {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TMPDIR": str(root)}
        subprocess.run(
            command, check=True, cwd=root, env=environment, stdout=subprocess.DEVNULL, timeout=120, **as_user
        )  # type: ignore[call-overload]

    data, log = str(root / "data"), str(root / "log")
    options = f"-p {port} -k {root} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(str(folder / "initdb"), "-D", data, "-U", "soco", "--auth=trust", "-E", "UTF8")
        run(str(folder / "pg_ctl"), "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql://soco@127.0.0.1:{port}/postgres"
        finally:
            run(str(folder / "pg_ctl"), "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(root, ignore_errors=True)
