"""`cluster.yaml` carried out by Ray's launcher over SSH: up, a run, down; then nothing of Ray is left.

The machine is this one, behind an sshd of its own on loopback: its own keys, home and process ids, for `ray stop` ends
every Ray that it sees.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
OWN_IDS = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def lacking() -> str:
    """What this machine has not."""
    for name, found in (("sshd", SSHD), *((tool, shutil.which(tool)) for tool in ("ssh", "rsync", "unshare"))):
        if not found:
            return f"there is no {name} here (apt-get install openssh-server rsync)"
    if os.geteuid() or subprocess.run([*OWN_IDS, "true"], capture_output=True).returncode:
        return "processes with ids of their own need root here: `ray stop` would end every Ray of this machine"
    return ""


LACKING = lacking()
pytestmark = [pytest.mark.cluster, pytest.mark.skipif(bool(LACKING), reason=LACKING)]


class Machine:
    """A machine that can be reached by SSH, as far as Ray's launcher can tell, and the office that calls it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.office = folder, folder / "home", folder / "office"
        for place in (self.home, self.office, folder / "bin"):
            place.mkdir()
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            self.ssh_port, self.ray_port = one.getsockname()[1], other.getsockname()[1]
        (self.home / ".bashrc").touch()
        self._key("host")
        self._key("user")
        self._environment()
        # Whoever logs in is at home there, not in the home of the tests' user.
        shell = folder / "bin" / "login"
        own = {"HOME": self.home, "RAY_TMPDIR": folder, "LAYERLIFT_CACHE": os.environ["LAYERLIFT_CACHE"]}
        quiet = {"PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        if int(version("setuptools").split(".")[0]) >= 77:
            quiet |= {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_INDEX": "1"}
        words = " ".join(f"{name}={shlex.quote(str(value))}" for name, value in (own | quiet).items())
        self._script(shell, f'cd {self.home}; exec env {words} bash -c "$SSH_ORIGINAL_COMMAND"')
        self._script(folder / "bin" / "ssh", f'exec {shutil.which("ssh")} -F none -p {self.ssh_port} "$@"')
        self._sshd = self._serve(shell)

    def _script(self, path: Path, line: str) -> None:
        path.write_text(f"#!/bin/bash\n{line}\n")
        path.chmod(0o755)

    def _key(self, name: str) -> None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)]
        subprocess.run(command, check=True)

    def _environment(self) -> None:
        """Its environment, with what this one has: only Layerlift is still to be installed."""
        venv.create(self.home / "layerlift-env", with_pip=False)
        packages = next((self.home / "layerlift-env" / "lib").glob("python*/site-packages"))
        here = [path for path in sys.path if path.endswith("-packages")]
        (packages / "here.pth").write_text("\n".join(here))
        tools = self.home / "layerlift-env" / "bin"
        self._script(tools / "pip", f'exec {tools}/python -m pip "$@"')
        self._script(tools / "ray", f'exec {tools}/python -m ray.scripts.scripts "$@"')

    def _serve(self, shell: Path) -> subprocess.Popen[bytes]:
        Path("/run/sshd").mkdir(exist_ok=True)
        (self.folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.ssh_port}\nHostKey {self.folder}/host\n"
            f"AuthorizedKeysFile {self.folder}/user.pub\nPidFile none\nStrictModes no\nUsePAM no\n"
            f"PermitRootLogin prohibit-password\nPasswordAuthentication no\nForceCommand {shell}\n"
        )
        made = subprocess.Popen([*OWN_IDS, str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")])
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.ssh_port)) == 0:
                    return made
            time.sleep(0.1)
        raise AssertionError("sshd does not listen")

    def close(self) -> None:
        """Nothing that was started there outlives it."""
        self._sshd.kill()
        self._sshd.wait()

    def ray(self, *words: str) -> str:
        """What a command of Ray's launcher says, called from the office."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "PYTHON"))}
        env |= {"HOME": str(self.office), "PATH": f"{self.folder}/bin:{env['PATH']}", "RAY_TMPDIR": str(self.folder)}
        env["RAY_USAGE_STATS_ENABLED"] = "0"
        command = [sys.executable, "-m", "ray.scripts.scripts", *words]
        done = subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def of_ray(self) -> set[str]:
        """The processes of Ray that are alive there, by name."""
        inside = os.readlink(f"/proc/{self._sshd.pid}/ns/pid_for_children")
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may have ended meanwhile
                if os.readlink(process / "ns" / "pid") == inside:
                    found.add((process / "comm").read_text().strip())
        return found & {"gcs_server", "raylet"}


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory(prefix="ll") as folder:  # Ray's sockets want a short path
        made = Machine(Path(folder))
        try:
            yield made
        finally:
            made.close()


def configured(machine: Machine) -> dict[str, object]:
    """`cluster.yaml` as somebody fills it in."""
    text = (ROOT / "cluster.yaml").read_text(encoding="utf-8").replace("6379", str(machine.ray_port))
    config = yaml.safe_load(text)
    config["provider"] = {"type": "local", "head_ip": "127.0.0.1", "worker_ips": []}
    config["auth"] = {"ssh_user": "root", "ssh_private_key": str(machine.folder / "user")}
    config["file_mounts"]["~/layerlift"] = str(ROOT)
    return config


def test_up_a_run_and_down(machine: Machine) -> None:
    (machine.folder / "cluster.yaml").write_text(yaml.safe_dump(configured(machine)))
    machine.ray("get-auth-token", "--generate")
    machine.ray("up", "cluster.yaml", "--yes", "--no-config-cache")
    assert machine.of_ray() == {"gcs_server", "raylet"}
    line = "layerlift run quickstart --address auto --actors 2 --execution none --out ~/made"
    said = machine.ray("exec", "cluster.yaml", line)
    assert "Ran on Ray actors, 2 actors" in said
    assert (machine.home / "made" / "run.json").is_file()
    machine.ray("down", "cluster.yaml", "--yes")
    assert machine.of_ray() == set()
