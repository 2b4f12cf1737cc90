"""A container engine in small: builds the Dockerfile and runs what it built, in namespaces.

The machine's own file system, with this Python in it, stands in for the base image; every
layer on top is memory. An overlay takes what RUN and COPY write, so nothing of it reaches the
machine. Needs root, or sudo without a password.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, Self

from tests.deploy.dockerfile import REPOSITORY, Instruction, Stage

_PATIENCE: Final = 600
"""Seconds that one instruction may take: pip downloads."""

_PASSED_ON: Final = ("PIP_INDEX_URL", "PIP_CERT", "SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy")
"""How this machine reaches its package index, as a build argument of an engine would say."""

_BARE: Final = (
    "setpriv", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--clear-groups",
)  # fmt: skip
"""What ``cap_drop: ALL`` and ``no-new-privileges`` of an engine mean."""


@dataclass(frozen=True)
class Image:
    """What the last stage of a Dockerfile became; ``root`` is its file system, read-only."""

    root: str
    stage: Stage
    variables: Mapping[str, str]


class Engine:
    """Owns a mount namespace, which ends with the process that opened it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        script = 'mount -t tmpfs -o size=2g,mode=755 tmpfs "$1" && echo $$ && exec cat'
        self._holder = subprocess.Popen(
            [*self._sudo, "unshare", "--mount", "sh", "-c", script, "sh", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._pid = int(self._lines(self._holder.stdout).readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._holder.communicate(timeout=60)

    def build(self, stages: Sequence[Stage]) -> Image:
        """Build the stages in their order; CalledProcessError where a step fails."""
        roots: dict[str, str] = {}
        for number, stage in enumerate(stages):
            root = self._begin(str(number))
            roots[stage.name] = root
            variables = self._base_variables()
            workdir = "/"
            for each in stage.instructions:
                if each.keyword == "WORKDIR":
                    workdir = each.text
                    self._inside("mkdir", "-p", root + workdir)
                elif each.keyword == "ENV":
                    variables = Stage("", "", [each]).variables(variables)
                elif each.keyword == "COPY":
                    self._copy(each, roots, root + workdir, root)
                elif each.keyword == "RUN":
                    self._run(each, root, workdir, variables)
        return Image(root, stages[-1], variables)

    def add_file(self, image: Image, path: str, content: str, mode: str) -> None:
        """Mount a secret: a file of root's that the image's group may read."""
        target = image.root + path
        script = 'mkdir -p "${1%/*}" && cat >"$1" && chmod "$2" "$1" && chgrp 10001 "$1"'
        self._inside("sh", "-c", script, "sh", target, mode, input=content)

    def seal(self, image: Image) -> None:
        """Make the root file system read-only, for whoever uses it from now on."""
        script = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"'
        self._inside("sh", "-c", script, "sh", image.root)

    def command(
        self, image: Image, arguments: Sequence[str], variables: Mapping[str, str]
    ) -> list[str]:
        """Return the command of a container: process 1, as USER, without any capability."""
        uid, gid = image.stage.last("USER").text.split(":")
        environment = {**image.variables, **variables}
        return [
            *self._enter(), *_new_process_1(image.root), "--wd", image.stage.last("WORKDIR").text,
            *_BARE, "--reuid", uid, "--regid", gid,
            "env", "-i", *(f"{name}={value}" for name, value in environment.items()),
            *arguments,
        ]  # fmt: skip

    @contextmanager
    def running(
        self, image: Image, arguments: Sequence[str], variables: Mapping[str, str], log: Path
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a container by its ENTRYPOINT until the block ends."""
        entrypoint = image.stage.last("ENTRYPOINT").words
        command = self.command(image, [*entrypoint, *arguments], variables)
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait(60)

    def _begin(self, name: str) -> str:
        """Make the base image of a stage: this machine, its Python for all, no compiler."""
        layer = f"{self._folder}/{name}"
        root = f"{layer}/root"
        python = _base_python()
        reached = " ".join(shlex.quote(f"{root}{each}") for each in python.parents[:-1])
        self._inside(
            "sh", "-ec",
            f"mkdir -p {layer}/upper {layer}/work {root};"
            f"mount -t overlay overlay -o lowerdir=/,upperdir={layer}/upper,workdir={layer}/work"
            f" {root};"
            f"chmod o+x {reached};"
            f"test -e {root}{python.parent}/python || ln -s {python} {root}{python.parent}/python;"
            f"for name in cc gcc make; do rm -f {root}$(command -v $name); done;"
            f"mount --rbind /dev {root}/dev; mount -t proc proc {root}/proc",
        )  # fmt: skip
        return root

    def _base_variables(self) -> dict[str, str]:
        path = f"{_base_python().parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        return {"PATH": path, "HOME": "/root"}

    def _run(
        self, step: Instruction, root: str, workdir: str, variables: Mapping[str, str]
    ) -> None:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        words = [f"{name}={value}" for name, value in {**variables, **passed_on}.items()]
        shell = ["env", "-i", *words, "/bin/sh", "-c", step.text]
        self._inside(*_new_process_1(root), "--wd", workdir, *shell)

    def _copy(self, step: Instruction, roots: Mapping[str, str], workdir: str, root: str) -> None:
        *sources, target = [word for word in step.words if not word.startswith("--")]
        stage = [word.partition("=")[2] for word in step.words if word.startswith("--from=")]
        source_root = roots[stage[0]] if stage else f"{REPOSITORY}/"
        target = root + target if target.startswith("/") else f"{workdir}/{target}"
        for source in sources:
            # Of a folder the content is copied, a file goes into a folder or becomes the target.
            script = (
                'case $2 in */) mkdir -p "$2";; esac; '
                'if test -d "$1"; then mkdir -p "$2" && cp -a "$1/." "$2"; else cp -a "$1" "$2"; fi'
            )
            self._inside("sh", "-ec", script, "sh", source_root + source, target)

    def _enter(self) -> list[str]:
        return [*self._sudo, "nsenter", f"--mount=/proc/{self._pid}/ns/mnt"]

    def _inside(self, *command: str, input: str = "") -> None:  # noqa: A002  # subprocess' name
        finished = subprocess.run(
            [*self._enter(), *command],
            input=input,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if finished.returncode != 0:
            raise RuntimeError(f"{command}:\n{finished.stdout}{finished.stderr}")

    @staticmethod
    def _lines(stream: IO[str] | None) -> IO[Any]:
        if stream is None:
            raise RuntimeError("the namespace has no output")
        return stream


def _new_process_1(root: str) -> list[str]:
    return [
        "unshare", "--pid", "--fork", "--kill-child", "--mount", "--root", root,
        "--mount-proc=/proc",
    ]  # fmt: skip


def _base_python() -> Path:
    """Return the Python that virtual environments are made of, ours included."""
    return Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}").resolve()
