"""What the shells complete, exercised the way users do: bash by its variables, zsh at a
terminal."""

import os
import pty
import re
import select
import shlex
import shutil
import subprocess

import pytest
import rig
from conftest import BUILD, run_cli

BASH = "bash"
ZSH = "zsh"


def commands():
    return re.findall(r"^  (\S+)", run_cli({}, "--help").stdout.split("commands:")[1], re.M)


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """{shell: path of what `completion` prints}."""
    folder = tmp_path_factory.mktemp("completion")
    found = {}
    for shell, name in ((BASH, "ocpp-persister"), (ZSH, "_ocpp-persister")):
        found[shell] = folder / name
        found[shell].write_text(run_cli({}, "completion", shell).stdout)
    return found


@pytest.fixture(scope="module")
def offered(scripts):
    """A function: what bash offers after these words, the last one being at the cursor."""
    def ask(*words, folder=None):
        split = [part for word in words for part in re.split(r"(=)", word) if part or not word]
        script = (f"source {shlex.quote(str(scripts[BASH]))}; "
                  f"COMP_WORDS=(ocpp-persister {shlex.join(split)}); "
                  "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _ocpp_persister; "
                  'for word in "${COMPREPLY[@]}"; do echo "$word"; done')
        done = subprocess.run(["bash", "--norc", "-c", script], text=True, capture_output=True,
                              cwd=folder)
        assert done.returncode == 0 and done.stderr == "", done.stderr
        return done.stdout.split()

    return ask


def test_every_command_is_offered(offered):
    assert offered("") == commands()
    assert offered("mig") == ["migrate"] and offered("--mqtt.url=x", "mig") == ["migrate"]


def test_every_option_of_a_command_is_offered(offered):
    for command in commands():
        usage = run_cli({}, command, "--help").stdout.split("\n")[0]
        wanted = set(re.findall(r"--[a-z-]+", usage))
        assert set(offered(command, "-")) == wanted | {"--config", "--help"}, usage
        for option in wanted:
            assert option in offered(command, option[:4])


@pytest.mark.parametrize("words, wanted", [
    (["migrate", ""], "maeve up down goto force version status roles create"),
    (["migrate", "maeve", ""], "maeve up down goto force version status roles create"),
    (["migrate", "--path", "x", "d"], "down"),
    (["config", ""], "check print reference sample"),
    (["config", "check", "--c"], "--connect --config"),
    (["dead-letters", ""], "list show requeue discard"),
    (["dead-letters", "--reason", ""], ""),
    (["partitions", ""], "list ensure drop archive"),
    (["partitions", "drop", "--dr"], "--dry-run"),
    (["replay", "--speed", ""], "max"),
    (["sessions", "--by", ""], "month token station"),
    (["spool", ""], "ls verify cat export new-identity"),
    (["spool", "export", ""], "json maeve msgpack"),
    (["spool", "--from", "x", "export", "m"], "maeve msgpack"),
    (["store", "to"], "token"),
    (["store", "token", ""], "set get list delete"),
    (["store", "token", "list", "--li"], "--limit"),
    (["completion", ""], "bash zsh"),
    (["manual", ""], "1 5"),
    (["run", "--mqtt.qo"], "--mqtt.qos="),
    (["run", "--"], "--migrate --drain --config --help"),
    (["nothing", ""], ""),
    (["version", ""], ""),
])
def test_words_are_offered_where_they_may_stand(offered, words, wanted):
    assert offered(*words) == wanted.split()


@pytest.mark.parametrize("words, wanted", [
    (["decode", ""], "a.log folder"),
    (["replay", "a.log", ""], "a.log folder"),
    (["--config", "a"], "a.log"),
    (["--config=a"], "a.log"),
    (["migrate", "--path", ""], "folder"),
    (["partitions", "archive", "--to", ""], "folder"),
])
def test_files_are_offered_where_they_may_stand(offered, tmp_path, words, wanted):
    (tmp_path / "a.log").write_text("")
    (tmp_path / "folder").mkdir()
    assert sorted(offered(*words, folder=tmp_path)) == wanted.split()


def test_wrong_shell_is_a_usage_error():
    done = run_cli({}, "completion", "fish")
    assert done.returncode == 2 and done.stderr.startswith("error: say bash or zsh\n")


class Terminal:
    """zsh at a terminal, with our completion and nothing else."""

    def __init__(self, folder, script):
        shutil.copy(script, folder / "_ocpp-persister")
        environment = {"HOME": str(folder), "PATH": f"{BUILD}:{os.environ['PATH']}",
                       "TERM": "dumb", "ZDOTDIR": str(folder)}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe("zsh", ["zsh", "-f", "-i"], environment)
        self.text = ""
        self.type(f"fpath=({shlex.quote(str(folder))} $fpath); autoload -Uz compinit; "
                  "compinit -D -u; PS1=; unsetopt zle_bracketed_paste; echo rea''dy\n", "ready")

    def type(self, keys, until):
        """Types, and waits for a text that matches."""
        start = len(self.text)
        os.write(self.fd, keys.encode())

        def shown():
            while select.select([self.fd], [], [], 0.05)[0]:
                self.text += os.read(self.fd, 4096).decode(errors="replace")
            return re.search(until, self.text[start:])

        rig.wait_until(shown, what=lambda: self.text[start:])
        return self.text[start:]

    def close(self):
        os.write(self.fd, b"\x03exit\n")
        os.close(self.fd)
        os.waitpid(self.pid, 0)


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_completes_commands_words_options_and_settings(tmp_path, scripts):
    terminal = Terminal(tmp_path, scripts[ZSH])
    (tmp_path / "capture.log").write_text("")
    try:
        for typed, made in (("vers", "version"), ("migrate st", "migrate status"),
                            ("spool export ms", "spool export msgpack"),
                            ("store tok\tli", "store token list"),
                            ("replay --dr", "replay --dry-run"),
                            ("replay --speed m", "replay --speed max"),
                            ("run --mqtt.keep", r"run --mqtt\.keep_alive="),
                            ("decode cap", r"decode capture\.log"),
                            ("--config=cap", r"--config=capture\.log")):
            # ^A and the words before it make an echo of the line; ^U clears what is left.
            terminal.type(f"ocpp-persister {typed}\t\x01print -r -- +\x05+\n",
                          rf"\n\+ocpp-persister {made} ?\+")
        terminal.type("ocpp-persister \t", "does the database hold what was received")
    finally:
        terminal.close()
