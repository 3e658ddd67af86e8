"""One run of the load generator against one endpoint, and what it cost the endpoint."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time

import machine
import programs
from machine import BenchError

MAX_WAIT_S = 0.5  # of the oldest unanswered query when a run ends
MAX_UPSTREAM_US = 1.0  # CPU of PostgreSQL per query above which a "hit" was none


class Load:
    """The load generator, held at its gate until go(). Use it in a with statement."""

    def __init__(self, program, endpoint, arguments, limit=30):
        self.endpoint = endpoint
        command = [program, "-g", "-h", endpoint.host, "-p", endpoint.port, *arguments]
        self.process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        # A target that stops answering must not stop the benchmark.
        self.watchdog = threading.Timer(limit, self.process.kill)
        self.watchdog.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
        self.process.communicate()  # closes its input, which it waits for
        self.watchdog.cancel()

    def line(self):
        text = self.process.stdout.readline()
        if text:
            return text
        status = self.endpoint.process.poll()
        if status is not None:
            raise BenchError(f"the process has ended with status {status}")
        raise BenchError(self.process.stderr.read().strip() or "no answer in time")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.line())


def check(result, scenario, load):
    if result["errors"]:
        raise BenchError(f"{result['errors']} errors: {load.process.stderr.readline().strip()}")
    if not result["queries"]:
        raise BenchError("no query was answered")
    under_way = scenario.clients * scenario.per_sync * scenario.rows
    if abs(result["rows"] - result["queries"] * scenario.rows) > under_way:
        raise BenchError(f"{result['rows']} rows for {result['queries']} queries")


def units(result, scenario):
    return result["bytes"] / 1e6 if scenario.unit == "MB" else result["queries"]


def pgbench_run(endpoint, scenario, seconds):
    """Rate and CPU with PostgreSQL's own client, which takes its share of the cores, too."""
    program = shutil.which("pgbench") or programs.find_postgres() / "pgbench"
    command = [program, "-n", "-C", "-f", "-", "-c", scenario.clients, "-j", 2, "-T",
               max(1, round(seconds)), "-h", endpoint.host, "-p", endpoint.port, "-U", "bench",
               "bench"]
    before = machine.cpu_ns(endpoint.pid)
    try:
        run = subprocess.run(list(map(str, command)), input=scenario.sql + ";\n", text=True,
                             capture_output=True, check=False, timeout=seconds + 30, cwd="/",
                             env={**os.environ, "PGPASSWORD": programs.PASSWORD})
    except subprocess.TimeoutExpired:
        raise BenchError("pgbench does not end") from None
    spent = machine.cpu_ns(endpoint.pid) - before
    done = re.search(r"^number of transactions actually processed: (\d+)", run.stdout, re.M)
    rate = re.search(r"^tps = ([\d.]+)", run.stdout, re.M)
    if run.returncode or not done or not rate or not int(done[1]):
        raise BenchError(f"pgbench: {run.stderr.strip()[-300:]}")
    return {"rate": float(rate[1]), "cpu": spent / 1e3 / int(done[1])}


def one_run(program, endpoint, scenario, seconds):
    """Rate, latency and CPU of one run; the CPU is read while the load stands still."""
    if scenario.generator == "pgbench":
        return pgbench_run(endpoint, scenario, seconds)
    watched = [endpoint] + ([endpoint.upstream] if endpoint.upstream else [])
    arguments = scenario.load_arguments() + ["-t", seconds]
    with Load(program, endpoint, arguments, seconds + 20) as load:
        load.line()
        before = [machine.cpu_ns(e.pid) for e in watched]
        load.go()
        result = load.result()
        spent = [machine.cpu_ns(e.pid) - b for e, b in zip(watched, before)]
        check(result, scenario, load)
    if result["waiting_us"] > MAX_WAIT_S * 1e6:
        raise BenchError(f"a query has had no answer for {result['waiting_us'] / 1e6:.1f} s")
    n = units(result, scenario)
    result["cpu"] = spent[0] / 1e3 / n
    result["rate"] = n / result["seconds"]
    result["p50"], result["p99"] = result["p50_us"], result["p99_us"]
    if len(spent) > 1:
        result["upstream_cpu"] = spent[1] / 1e3 / n
        result["missed"] = scenario.hits and result["upstream_cpu"] > MAX_UPSTREAM_US
    return result


def counted_run(program, endpoint, scenario, queries, warm_up=0, limit=30):
    """So many queries behind so many seconds of others, without figures."""
    arguments = [*scenario.load_arguments(), "-w", warm_up, "-n", queries]
    with Load(program, endpoint, arguments, limit) as load:
        load.line()
        load.go()
        check(load.result(), scenario, load)


# System calls: perf's tracepoint costs little; strace is the fallback, and slows what it counts.

def perf_works():
    if not shutil.which("perf"):
        return False
    run = subprocess.run(["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "true"],
                         capture_output=True, text=True, check=False)
    return run.returncode == 0 and re.search(r"^\d+,", run.stderr, re.M) is not None


class Counter:
    """Counts system calls (and user instructions where the machine can) of a process."""

    def __init__(self):
        self.tool = "perf" if perf_works() else "strace" if shutil.which("strace") else None

    def command(self, pid):
        if self.tool == "perf":
            return ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter", "-e", "instructions:u",
                    "-p", str(pid)]
        return ["strace", "-c", "-f", "-p", str(pid)]

    def parse(self, text):
        if self.tool == "strace":
            found = re.search(r"^100\.00 +[\d.]+ +\d+ +(\d+)", text, re.M)
            return {"syscalls": int(found[1])} if found else {}
        counts = {}
        for key, event in (("syscalls", "raw_syscalls:sys_enter"),
                           ("instructions", "instructions:u")):
            found = re.search(rf"^(\d+),[^,]*,{event}", text, re.M)
            if found:
                counts[key] = int(found[1])
        return counts

    def run(self, program, endpoint, scenario, seconds=0.5):
        """Counts per unit of an extra short run; empty when they cannot be had."""
        if not self.tool or not endpoint.single or scenario.generator != "load":
            return {}
        with Load(program, endpoint, scenario.load_arguments() + ["-t", seconds]) as load:
            load.line()
            tool = subprocess.Popen(self.command(endpoint.pid), stderr=subprocess.PIPE,
                                    stdout=subprocess.DEVNULL, text=True)
            time.sleep(0.2)  # it attaches
            try:
                load.go()
                result = load.result()
            finally:
                tool.send_signal(signal.SIGINT)
                _, text = tool.communicate()
        n = units(result, scenario)
        return {key: count / n for key, count in self.parse(text).items()} if n else {}


def instructions(environment, program, role, scenario):
    """User instructions per query, by callgrind: exact, and the same on every machine. A hit is so
    cheap that only a long run hides what a run costs once (its clients' statements, timers)."""
    queries = 100000 if scenario.hits else 20000
    if not shutil.which("valgrind") or not shutil.which("callgrind_control"):
        raise BenchError("valgrind is not installed")
    directory = environment.path("callgrind")
    directory.mkdir()
    directory.chmod(0o777)
    out = directory / "out"
    prefix = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}"]
    endpoint = environment.start_proxy(role, scenario.upstream, scenario.login, prefix)

    def control(flag):
        subprocess.run(["callgrind_control", flag, str(endpoint.pid)], check=True, timeout=60,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **endpoint.user)

    # Under callgrind everything takes long, the first reading of the catalog too.
    warm_up, limit = 8, 180
    try:
        if scenario.hits:  # each is stored when it is asked for the second time
            counted_run(program, endpoint, scenario, scenario.keys * 3, warm_up, limit)
            warm_up = 0
        arguments = [*scenario.load_arguments(), "-w", warm_up, "-n", queries]
        with Load(program, endpoint, arguments, limit) as load:
            load.line()
            control("-z")
            load.go()
            result = load.result()
            control("-d")
            check(result, scenario, load)
    except (subprocess.SubprocessError, OSError) as error:
        raise BenchError(f"callgrind_control: {error}") from None
    finally:
        environment.stop(endpoint)
    total = 0
    for name in os.listdir(directory):
        if re.fullmatch(r"out\.1(-\d+)?", name):
            found = re.search(r"^totals: (\d+)", machine.read(directory / name), re.M)
            total += int(found[1]) if found else 0
    if not total:
        raise BenchError("callgrind wrote no totals")
    return total / result["queries"]
