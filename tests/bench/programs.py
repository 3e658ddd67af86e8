"""What is measured: builds the bench's own programs, writes configurations, starts and stops."""
import base64
import dataclasses
import hashlib
import hmac
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import machine
from machine import BenchError

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PASSWORD = "a-password-of-the-bench"
POOL_SIZE = 16
# Upstreams of proxies: the answering program's arguments for each kind of result.
ANSWERS = {"answer": [], "answer-4K": ["-s", "4096"], "answer-1M": ["-s", str(1 << 20)],
           "answer-100M": ["-s", str(1 << 20), "-r", "100"]}


# The slow log's options, whether there are statistics per query, and a cache where there can be.
USUAL = ("threshold: 60s", "true", "true")
VARIANTS = {"off": ("threshold: off", "false", "true"),
            "dba": ("threshold: 0, sample: 0.01, parameters: true, explain: true, errors: true, "
                    "wait_threshold: 10s, idle_in_transaction: 10s", "true", "true"),
            "uncached": ("threshold: 60s", "true", "false")}


@dataclasses.dataclass
class Endpoint:
    name: str
    host: str
    port: int
    process: subprocess.Popen
    upstream: "Endpoint | None" = None
    single: bool = True  # one process: its system calls can be counted
    user: dict = dataclasses.field(default_factory=dict)  # Popen arguments it was started with

    @property
    def pid(self):
        return self.process.pid


def build(directory):
    """Compiles what is older than its source; returns the directory."""
    directory.mkdir(exist_ok=True)
    headers = max(h.stat().st_mtime for h in HERE.glob("*.hpp"))
    for name in ("load", "answer", "relay"):
        source, program = HERE / f"{name}.cpp", directory / name
        if program.exists() and program.stat().st_mtime > max(headers, source.stat().st_mtime):
            continue
        print(f"building {name} ...", flush=True)
        libraries = ["-lcrypto"] if name == "load" else []
        command = [os.environ.get("CXX", "g++"), "-std=c++20", "-O2", "-Wall", "-Wextra",
                   "-Wno-missing-field-initializers", "-o", str(program), str(source), *libraries]
        if subprocess.run(command, check=False).returncode:
            raise BenchError(f"cannot build {name}")
    return directory


def find_postgres():
    for directory in [os.environ.get("PG_BINDIR", "")] + sorted(
            map(str, pathlib.Path("/usr/lib/postgresql").glob("*/bin")), reverse=True):
        if directory and os.access(os.path.join(directory, "postgres"), os.X_OK):
            return pathlib.Path(directory)
    raise BenchError("no PostgreSQL server in /usr/lib/postgresql/*/bin or $PG_BINDIR")


def scram_secret(password):
    """The form pg_authid stores (RFC 5803)."""
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(x).decode() for x in (salt, stored, server)]
    return f"SCRAM-SHA-256$4096:{text[0]}${text[1]}:{text[2]}"


class Environment:
    """Everything running. Endpoints are started when first asked for and kept."""

    def __init__(self, binaries, pgweir, candidate):
        self.binaries, self.pgweir, self.candidate = binaries, pgweir, candidate
        self.unprivileged = machine.unprivileged()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pgweir-bench."))
        self.dir.chmod(0o755)
        self.endpoints, self.processes, self.counter = {}, [], 0
        self.variant = USUAL
        self.users = self.dir / "users.txt"
        self.users.write_text(f'"bench" "{scram_secret(PASSWORD)}"\n', encoding="ascii")

    def close(self):
        for process in reversed(self.processes):
            machine.stop(process, signal.SIGINT if process.args[0].endswith("postgres")
                         else signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)

    # Endpoints by role: direct, answer*, and proxies "candidate", "pgbouncer", "relay", with
    # "@unix" behind the name when the upstream is reached through a Unix socket, "@local" when the
    # clients come through one, "@dba" with all that is for DBAs (one statement in a hundred
    # logged), "@off" with nothing of it, and "@uncached" with the cache switched off.

    def endpoint(self, role, upstream, login="trust"):
        if role in ANSWERS or role == "direct":
            return self.server(upstream if role == "answer" and upstream in ANSWERS else role)
        key = (role, upstream, login)
        known = self.endpoints.get(key)
        if not known or known.process.poll() is not None:
            self.endpoints[key] = self.start_proxy(role, upstream, login)
        return self.endpoints[key]

    def server(self, kind):
        if kind not in self.endpoints:
            self.endpoints[kind] = (self.start_postgres() if kind == "direct"
                                    else self.start_answer(kind))
        return self.endpoints[kind]

    def start_proxy(self, role, upstream, login="trust", prefix=()):
        """A new process; `prefix` is a command to run it under."""
        name, _, way = role.partition("@")
        kind = self.candidate if name == "candidate" else name
        server = self.server(upstream)
        host = str(self.dir) if way == "unix" else server.host
        port = machine.free_port()
        self.variant = VARIANTS.get(way, USUAL)
        starter = getattr(self, f"command_{kind}")
        command, user = starter(port, host, server, login)
        endpoint = self.spawn(role, [*prefix, *command], port, user, 60 if prefix else 15)
        endpoint.upstream = server
        if way == "local":
            endpoint.host = str(self.dir)
        return endpoint

    def spawn(self, name, command, port, user, seconds=15):
        log = self.path("log")
        with open(log, "wb") as out:
            process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                                       stdout=out, stderr=subprocess.STDOUT, cwd=self.dir, **user)
        self.processes.append(process)
        try:
            machine.wait_for_port(port, process, log, seconds)
        except BenchError as error:
            machine.stop(process)
            raise BenchError(f"{name}: {error}") from None
        return Endpoint(name, "127.0.0.1", port, process, user=user)

    def path(self, suffix):
        self.counter += 1
        return self.dir / f"{self.counter}.{suffix}"

    def write(self, suffix, text):
        path = self.path(suffix)
        path.write_text(text, encoding="utf-8")
        return path

    def stop(self, endpoint):
        machine.stop(endpoint.process)
        self.processes.remove(endpoint.process)

    # Commands of the proxies: (command, Popen arguments).

    def command_relay(self, port, host, server, _login):
        return [self.binaries / "relay", port, host, server.port], {}

    def command_pgbouncer(self, port, host, server, login):
        program = shutil.which("pgbouncer", path=os.environ["PATH"] + ":/usr/sbin")
        if not program:
            raise BenchError("pgbouncer is not installed")
        log = self.path("pgbouncer-log")
        log.touch()
        if self.unprivileged:
            os.chown(log, self.unprivileged["user"], -1)
        text = f"""[databases]
bench = host={host} port={server.port} dbname=bench user=bench
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = {login}
auth_file = {self.users}
pool_mode = transaction
default_pool_size = {POOL_SIZE}
max_client_conn = 15000
log_connections = 0
log_disconnections = 0
logfile = {log}
"""
        return [program, "-q", self.write("ini", text)], self.unprivileged

    def command_pgweir(self, port, host, server, login):
        if not os.access(self.pgweir, os.X_OK):
            raise BenchError(f"{self.pgweir} is not built")
        slow, queries, cache = self.variant
        cached = cache if server.name == "direct" else "false"
        text = f"""listen: {{host: 127.0.0.1, port: {port}, unix_socket_dir: {self.dir}}}
workers: 1
databases:
  bench: {{host: {host}, port: {server.port}, dbname: bench, user: bench}}
control: {{user: bench}}
auth: {{method: {login}, users_file: {self.users}}}
pool: {{mode: transaction, min_size: 0, max_size: {POOL_SIZE}, wait_timeout: 60s}}
limits: {{max_clients: 15000, max_server_connections: 64}}
cache: {{enabled: {cached}, exclusive_writer: {cached}}}
slow_log: {{{slow}, file: {self.path("slow")}}}
queries: {{enabled: {queries}}}
log: {{level: warning}}
http: {{listen: ""}}
"""
        return [self.pgweir, "--config", self.write("yaml", text)], {}

    # Servers.

    def start_answer(self, kind):
        port = machine.free_port()
        command = [self.binaries / "answer", "-p", port, "-u", self.dir, *ANSWERS[kind]]
        return self.spawn(kind, command, port, {})

    def start_postgres(self):
        """PostgreSQL with pgbench's tables, trust, and nothing that runs by itself."""
        binaries, port, data = find_postgres(), machine.free_port(), self.dir / "data"
        data.mkdir()
        if self.unprivileged:
            os.chown(data, self.unprivileged["user"], self.unprivileged["group"])
            data.chmod(0o700)
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}

        def run(*command, user=None):
            result = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                    cwd="/", env=environment, check=False,
                                    **(self.unprivileged if user else {}))
            if result.returncode:
                raise BenchError(f"{command[0]}: {result.stderr[-800:]}")

        run(binaries / "initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync", user=True)
        with open(data / "postgresql.auto.conf", "a", encoding="ascii") as f:
            f.write("autovacuum = off\nfsync = off\nmax_connections = 300\n"
                    "wal_level = logical\nunix_socket_directories = ''\n"
                    f"listen_addresses = '127.0.0.1'\nport = {port}\n")
        endpoint = self.spawn("direct", [binaries / "postgres", "-D", data], port,
                              self.unprivileged)
        endpoint.single = False
        place = ["-h", "127.0.0.1", "-p", port, "-U", "bench"]
        for _ in range(50):
            if not subprocess.run([str(binaries / "pg_isready"), *map(str, place)], check=False,
                                  stdout=subprocess.DEVNULL).returncode:
                break
        run(binaries / "createdb", *place, "bench")
        run(shutil.which("pgbench") or binaries / "pgbench", *place, "-i", "-q", "bench")
        run(binaries / "psql", *place, "-c", "VACUUM ANALYZE", "bench")
        return endpoint
