"""Tables: medians with their range, ratios of the rounds, marks reached or not."""
import statistics

LABELS = {"rate": "{unit}/s", "cpu": "CPU us/{unit}", "p50": "p50 us", "p99": "p99 us",
          "upstream_cpu": "server CPU us", "syscalls": "syscalls/{unit}",
          "instructions": "instr:u/{unit}"}

WORDS = ("target", "ratio to", "mark", "scenario", "wanted", "")  # columns that are not figures


def short(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.2f}"


def spread(values, form=short):
    if not values:
        return "-"
    middle = form(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({form(min(values))}..{form(max(values))})"


def series(runs, key):
    return [run[key] for run in runs if run and run.get(key) is not None]


def ratios(runs, base, key):
    return [a[key] / b[key] for a, b in zip(runs, base)
            if a and b and a.get(key) is not None and b.get(key)]


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [c.ljust(w) if rows[0][i] in WORDS else c.rjust(w)
                 for i, (c, w) in enumerate(zip(row, widths))]
        print("  " + "  ".join(cells).rstrip())


def judge(mark, scenario, runs, extra):
    """(mark, figures as text, verdict) for one mark of a scenario."""
    subject = scenario.subject
    if mark.base:
        values = ratios(runs.get(subject, []), runs.get(mark.base, []), mark.figure)
    elif mark.figure in extra.get(subject, {}):
        values = [extra[subject][mark.figure]]
    else:
        values = series(runs.get(subject, []), mark.figure)
    if not values:
        return mark, "-", "not measured"
    verdict = "ok" if mark.reached(statistics.median(values)) else "short"
    if any(run and run.get("missed") for run in runs.get(subject, [])):
        verdict = "short: asked the server"
    return mark, spread(values, lambda v: f"{v:,.0f}" if v >= 1000 else f"{v:.2f}"), verdict


def load_table(scenario, runs, extra):
    keys = ["rate", "cpu", "p50", "p99", "upstream_cpu", "syscalls", "instructions"]
    rows = [["target"] + [LABELS[k].format(unit=scenario.unit) for k in keys]]
    for target, list_of_runs in runs.items():
        row = [target]
        for key in keys:
            values = series(list_of_runs, key)
            if key in extra.get(target, {}):
                values = [extra[target][key]]
            if key in ("p50", "p99", "upstream_cpu") and values:
                row.append(short(statistics.median(values)))
            else:
                row.append(spread(values))
        rows.append(row)
    print_table(rows)
    mine = runs[scenario.subject]
    rows = [["ratio to", "CPU", "rate", "p99"]]
    for target, base in runs.items():
        if target != scenario.subject and ratios(mine, base, "cpu"):
            rows.append([target] + [spread(ratios(mine, base, k), "{:.2f}".format)
                                    for k in ("cpu", "rate", "p99")])
    if len(rows) > 1:
        print()
        print_table(rows)


def memory_table(extra):
    keys = list(dict.fromkeys(k for figures in extra.values() for k in figures))
    if keys:
        print_table([["target"] + keys] +
                    [[t] + [f"{f[k]:.2f}" if k in f else "-" for k in keys]
                     for t, f in extra.items()])


def scenario_report(scenario, runs, extra, problems, subject_name):
    print(f"\n== {scenario.name}: {scenario.title}"
          f" ({scenario.clients} clients; candidate is {subject_name})"
          if scenario.kind == "load" else f"\n== {scenario.name}: {scenario.title}")
    if scenario.kind == "load":
        load_table(scenario, runs, extra)
    else:
        memory_table(extra)
    verdicts = [judge(m, scenario, runs, extra) for m in scenario.marks]
    if verdicts:
        print()
        print_table([["mark", "wanted", "measured", ""]] +
                    [[m.name, m.words(), text, verdict] for m, text, verdict in verdicts])
    for problem in problems:
        print(f"  ! {problem}")
    print(end="", flush=True)
    return [{"mark": m.name, "wanted": m.words(), "measured": text, "verdict": verdict}
            for m, text, verdict in verdicts]


def summary(results):
    rows = [["mark", "scenario", "wanted", "measured", ""]]
    for result in results:
        for v in result["marks"]:
            rows.append([v["mark"], result["scenario"], v["wanted"], v["measured"], v["verdict"]])
    print("\n== marks")
    print_table(rows)
    reached = sum(row[-1] == "ok" for row in rows[1:])
    print(f"  {reached} of {len(rows) - 1} reached")
    return reached == len(rows) - 1
