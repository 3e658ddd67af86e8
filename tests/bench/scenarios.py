"""The table of scenarios and the marks each has to reach.

A mark compares a measured figure of the candidate with a limit: as a ratio to another target of
the same rounds, or by itself where no base is given. T1 to T24 are the marks' fixed names.
"""
import dataclasses

POINT = "SELECT abalance FROM pgbench_accounts WHERE aid = {}"
FIXED = "SELECT abalance FROM pgbench_accounts WHERE aid = 42"
WIDE = "SELECT rpad(aid::text, 4096, 'x') FROM pgbench_accounts WHERE aid = {}"
UNLIKE = "SELECT abalance + {} FROM pgbench_accounts WHERE aid = 42"
NEVER_AGAIN = ("-x", "-r", "1:1000000000")


@dataclasses.dataclass(frozen=True)
class Mark:
    name: str
    figure: str  # a key of the run: cpu, rate, p99, syscalls, instructions, or of a special run
    limit: float
    base: str = ""  # the target a ratio is taken to
    at_least: bool = False

    def reached(self, value):
        return value >= self.limit if self.at_least else value <= self.limit

    def words(self):
        return (f"{self.figure} {'>=' if self.at_least else '<='} {self.limit:g}"
                + (f" x {self.base}" if self.base else ""))


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    marks: tuple = ()
    mode: str = "simple"
    sql: str = POINT
    clients: int = 16
    per_sync: int = 1
    arguments: tuple = ()  # more for the load generator
    upstream: str = "answer"
    others: tuple = ("relay", "pgbouncer")
    subject: str = "candidate"
    unit: str = "query"
    rows: int = 1
    keys: int = 0  # so many different numbers instead of a million
    hits: bool = False  # served without the upstream, or the figure means nothing
    login: str = "trust"
    kind: str = "load"  # load | idle | stream
    generator: str = "load"  # load | pgbench, which makes a connection for each transaction
    instructions: bool = False

    def load_arguments(self):
        out = ["-m", self.mode, "-c", self.clients, "-P", self.per_sync, "-q", self.sql]
        if self.keys:
            out += ["-r", f"1:{self.keys}"]
        if self.login != "trust":
            out += ["-W", "a-password-of-the-bench"]
        return [*out, *self.arguments]


def relay_marks(name, limit=1.08):
    return (Mark(name, "cpu", limit, "relay"), Mark("T3", "syscalls", 4.4))


def hit(name, title, marks, **more):
    settings = {"upstream": "direct", "others": ("answer", "direct"), "hits": True, "keys": 100}
    return Scenario(name, title, marks, **{**settings, **more})


SCENARIOS = (
    Scenario("simple", "simple protocol, one text",
             (*relay_marks("T1"), Mark("T2", "instructions", 1900)),
             sql=FIXED, others=("relay", "pgbouncer", "answer"), instructions=True),
    Scenario("simple-literals", "simple protocol, new literals in each text", relay_marks("T1"),
             others=("relay",)),
    Scenario("extended", "extended protocol, Parse to Sync for each query", relay_marks("T1"),
             mode="extended"),
    Scenario("extended-literals", "extended protocol, new literals in each Parse",
             relay_marks("T1"), mode="extended", arguments=("-l",), others=("relay",)),
    # PgBouncer before 1.21 has no prepared statements in transaction mode: no comparison.
    Scenario("prepared", "named prepared statements",
             (*relay_marks("T4", 1.10), Mark("T2", "instructions", 3000)),
             mode="prepared", others=("relay",), instructions=True),
    Scenario("prepared-10", "named prepared statements, ten before each Sync",
             (Mark("T5", "cpu", 1.6, "relay"),), mode="prepared", per_sync=10, others=("relay",)),
    Scenario("extended-10", "extended protocol, ten before each Sync",
             (Mark("T6", "cpu", 0.95, "pgbouncer"),), mode="extended", per_sync=10),
    Scenario("many-clients", "256 clients over 16 servers (the relay has 256)",
             (Mark("T7", "cpu", 1.15, "relay"), Mark("T7", "syscalls", 4.6),
              Mark("T7", "rate", 1.5, "pgbouncer", True), Mark("T7", "p99", 1.0, "pgbouncer")),
             clients=256),
    Scenario("large", "results of 1 MB",
             (Mark("T8", "cpu", 1.25, "relay"), Mark("T8", "cpu", 0.30, "pgbouncer")),
             sql=FIXED, clients=4, upstream="answer-1M", unit="MB"),
    Scenario("stream", "a result of 100 MB to a fast and to a slow client: memory",
             (Mark("T9", "fast_mib", 2), Mark("T9", "slow_mib", 2)),
             sql=FIXED, clients=1, upstream="answer-100M", rows=100, others=("pgbouncer",),
             kind="stream"),
    Scenario("connect", "connect, log in (trust), query, close",
             (Mark("T10", "cpu", 0.90, "pgbouncer"), Mark("T10", "syscalls", 15),
              Mark("T10", "rate", 15, "direct", True)),
             sql=FIXED, clients=8, arguments=("-C",), others=("pgbouncer", "answer", "direct")),
    Scenario("connect-scram", "connect, log in (SCRAM-SHA-256), query, close",
             (Mark("T11", "cpu", 0.95, "pgbouncer"),), sql=FIXED, clients=8, arguments=("-C",),
             others=("pgbouncer",), login="scram-sha-256"),
    Scenario("logins", "pgbench -C: connect, log in (trust), query, close",
             (Mark("T24", "rate", 2500, at_least=True),), sql=FIXED, clients=8, unit="login",
             others=("pgbouncer", "answer"), generator="pgbench"),
    Scenario("logins-scram", "pgbench -C: connect, log in (SCRAM-SHA-256), query, close",
             sql=FIXED, clients=8, unit="login", others=("pgbouncer",), login="scram-sha-256",
             generator="pgbench"),
    Scenario("idle", "memory of idle clients and of the empty process",
             (Mark("T12", "login_kib_8000", 1.2), Mark("T12", "used_kib_8000", 1.2),
              Mark("T13", "empty_mib", 6)),
             sql=FIXED, others=("pgbouncer",), kind="idle"),
    hit("hit-simple", "cached hit, simple protocol, 100 texts",
        (Mark("T14", "cpu", 1.20, "answer"), Mark("T17", "instructions", 1500),
         Mark("T18", "cpu", 0.18, "direct")), instructions=True),
    hit("hit-extended", "cached hit, extended protocol, 100 parameters",
        (Mark("T15", "cpu", 1.25, "answer"),), mode="extended", others=("answer",)),
    hit("hit-prepared", "cached hit, named prepared statement, 100 parameters",
        (Mark("T15", "cpu", 1.25, "answer"), Mark("T17", "instructions", 2000),
         Mark("T18", "cpu", 0.25, "direct")), mode="prepared", instructions=True),
    hit("hit-simple-literals", "cached hit, simple protocol, 20,000 texts in turn",
        (Mark("T14", "cpu", 1.20, "answer"), Mark("T17", "instructions", 1500)), keys=20000,
        arguments=("-s",), others=("answer",)),
    hit("hit-extended-literals", "cached hit, extended protocol, 20,000 texts in turn",
        (Mark("T15", "cpu", 1.25, "answer"),), mode="extended", keys=20000,
        arguments=("-l", "-s"), others=("answer",)),
    hit("hit-10", "cached hit, named prepared statement, ten before each Sync",
        (Mark("T16", "cpu", 1.8, "answer"),), mode="prepared", per_sync=10, others=("answer",)),
    hit("hit-4k", "cached hit of 4 KB, simple protocol, 100 texts",
        (Mark("T20", "cpu", 1.20, "answer-4K"),), sql=WIDE, others=("answer-4K",)),
    hit("hit-unix", "cached hit, clients on a Unix socket, against the same over TCP",
        (Mark("T19", "cpu", 0.60, "candidate"),), subject="candidate@local",
        others=("candidate",)),
    # Under --instructions each of the few queries is stored; in a long run caching them soon does
    # not pay, and they go past.
    Scenario("never-hit", "no query comes twice, against the same with the cache off",
             (Mark("T21", "cpu", 1.03, "candidate@uncached"),), sql=UNLIKE, upstream="direct",
             arguments=NEVER_AGAIN, others=("candidate@uncached",), instructions=True),
    Scenario("never-hit-prepared", "the same with named prepared statements",
             (Mark("T21", "cpu", 1.03, "candidate@uncached"),), mode="prepared",
             sql=UNLIKE, upstream="direct", arguments=NEVER_AGAIN,
             others=("candidate@uncached",), instructions=True),
    Scenario("never-hit-literals", "the same, extended protocol, new literals in each Parse",
             (Mark("T21", "cpu", 1.03, "candidate@uncached"),), mode="extended", sql=UNLIKE,
             upstream="direct", arguments=(*NEVER_AGAIN, "-l"),
             others=("candidate@uncached",), instructions=True),
    # The second time it is stored, for as long as that pays.
    Scenario("twice", "each query comes twice, against the same with the cache off",
             (Mark("T21", "cpu", 1.10, "candidate@uncached"),), sql=UNLIKE, upstream="direct",
             arguments=(*NEVER_AGAIN, "-2"), others=("candidate@uncached",)),
    Scenario("twice-literals", "the same, extended protocol, new literals in each Parse",
             (Mark("T21", "cpu", 1.10, "candidate@uncached"),), mode="extended", sql=UNLIKE,
             upstream="direct", arguments=(*NEVER_AGAIN, "-l", "-2"),
             others=("candidate@uncached",)),
    Scenario("dba-simple", "statistics, advice, plans and one in a hundred logged, against none",
             (Mark("T23", "cpu", 1.05, "candidate@off"),), subject="candidate@dba",
             others=("candidate@off",), instructions=True),
    Scenario("dba-prepared", "the same with named prepared statements",
             (Mark("T23", "cpu", 1.05, "candidate@off"),), mode="prepared",
             subject="candidate@dba", others=("candidate@off",), instructions=True),
    Scenario("unix", "upstream through a Unix socket, against the same over TCP",
             (Mark("T22", "cpu", 0.85, "candidate"),), sql=FIXED, subject="candidate@unix",
             others=("candidate", "relay@unix")),
)
