"""Processes, ports, CPU time and memory, as the operating system tells them."""
import os
import pwd
import signal
import socket
import subprocess
import time

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """Something that makes a figure impossible; the message is for the reader of the table."""


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def unprivileged():
    """Popen arguments for programs that refuse to run as root (PostgreSQL, PgBouncer)."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    raise BenchError("running as root, and neither user postgres nor nobody exists")


def free_port(first=21000, last=31000):
    """A port below the range that outgoing connections take theirs from."""
    start = free_port.next if free_port.next else first + os.getpid() % 5000
    for port in list(range(start, last)) + list(range(first, start)):
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        free_port.next = port + 1
        return port
    raise BenchError("no free port")


free_port.next = 0


def wait_for_port(port, process, log, seconds=15):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError(f"ended at start with status {process.returncode}: {read(log)[-800:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"does not listen on port {port} after {seconds} s: {read(log)[-800:]}")


def stop(process, sig=signal.SIGTERM):
    """Ends a process that was started here."""
    if process.poll() is not None:
        return
    process.send_signal(sig)
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def children(pid):
    out = []
    for task in listdir(f"/proc/{pid}/task"):
        out += [int(c) for c in read(f"/proc/{pid}/task/{task}/children").split()]
    return out


def listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def cpu_ns(pid):
    """CPU time of all threads of a process, of its living children and of those it has reaped."""
    total = 0
    for one in [pid] + children(pid):
        for task in listdir(f"/proc/{one}/task"):
            fields = read(f"/proc/{one}/task/{task}/schedstat").split()
            total += int(fields[0]) if fields else 0
    stat = read(f"/proc/{pid}/stat").rsplit(")", 1)
    if len(stat) == 2:
        fields = stat[1].split()
        total += (int(fields[13]) + int(fields[14])) * TICK_NS
    return total


def memory(pid):
    """Resident and anonymous bytes of a process."""
    found = {}
    for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
        key, _, value = line.partition(":")
        if key in ("Rss", "Anonymous"):
            found[key] = int(value.split()[0]) * 1024
    if len(found) != 2:
        raise BenchError(f"cannot read the memory of process {pid}")
    return found["Rss"], found["Anonymous"]


def reset_peak(pid):
    try:
        with open(f"/proc/{pid}/clear_refs", "w", encoding="ascii") as f:
            f.write("5")
    except OSError:
        pass  # the peak since start is then what counts


def peak(pid):
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise BenchError(f"cannot read the peak memory of process {pid}")
