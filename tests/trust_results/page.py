"""The page as a function of the list and of the stored results: nothing else comes into it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.trust_results.listed import INVARIANTS, Listed

Result = Mapping[str, Any]
Stored = Mapping[str, Mapping[str, Any]]
NOT_RUN = "not run"
OUTCOMES = ("passed", "failed", "skipped", NOT_RUN)
NO_TEST = "no test yet"

HEAD = """\
# Trust results

What was run against BitStation to see whether it keeps its promises, and what came of it.
`python dev.py trust` runs the parts and makes this page of [their results](trust_results.json), of
which the newest of each are kept. [cases.toml](../tests/trust_results/cases.toml) lists the cases.
A part without a run says so.
"""

TITLES = {
    "cases": "Cases",
    "wine": "Cases under Wine",
    "crash": "Crash states",
    "fuzz": "Fuzzing",
    "mutate": "Mutants",
    "conformance": "tuf-conformance",
}


def render(listed: Listed, stored: Stored) -> str:
    """The page in Markdown."""
    rows = [_summary(part, listed, stored) for part in TITLES]
    columns = ["part", "result", "date", "took", "seed", "platform", "commit"]
    lines = [HEAD, *table(columns, rows)]
    for part, title in TITLES.items():
        lines += ["", f"## {title}", ""]
        if part not in stored:
            lines += [f"{NOT_RUN.capitalize()}."]
        elif "error" in stored[part]["result"]:
            lines += [f"Failed: {stored[part]['result']['error']}."]
        else:
            lines += _DETAILS[part](listed, stored)
    return "\n".join(lines).rstrip() + "\n"


def is_failed(part: str, result: Result) -> bool:
    """Say whether a result is one of failure."""
    if "error" in result:
        return True
    if part == "crash":
        return result["violation"] is not None or result["held"] < result["states"]
    if part == "fuzz":
        return any(row["findings"] for row in result["targets"])
    if part == "mutate":
        return any(row["survivors"] for row in result["modules"].values())
    return bool(result["failures"])


def standings(listed: Listed, result: Result) -> dict[str, str]:
    """How each case stands: one of OUTCOMES, or NO_TEST. One failed test fails its cases."""
    found = dict.fromkeys(listed.names, NOT_RUN)
    found |= dict.fromkeys(listed.without_test, NO_TEST)
    for outcome in ("skipped", "passed", "failed"):
        found |= dict.fromkeys(result[outcome], outcome)
    return found


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """A table of Markdown; numbers with commas."""

    def line(cells: Iterable[object]) -> str:
        texts = (f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells)
        return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"

    columns = list(columns)
    return [line(columns), "|" + "---|" * len(columns), *map(line, rows)]


# --- the first table ------------------------------------------------------------------------------


def _summary(part: str, listed: Listed, stored: Stored) -> list[object]:
    link = f"[{TITLES[part]}](#{TITLES[part].lower().replace(' ', '-')})"
    if part not in stored:
        return [link, NOT_RUN, *"-----"]
    ran, result = stored[part]["ran"], stored[part]["result"]
    words = result.get("error") or _in_short(part, listed, result)
    words = f"**failed:** {words}" if is_failed(part, result) else words
    facts = [ran["date"], _duration(ran["seconds"]), ran["seed"], ran["platform"], ran["commit"]]
    return [link, words, *map(str, facts)]


def _in_short(part: str, listed: Listed, result: Result) -> str:
    if part in ("cases", "wine"):
        found = standings(listed, result)
        counts = Counter(how for case, how in found.items() if case[0] != INVARIANTS)
        if part == "wine":
            return f"{counts['passed']} passed, {counts['failed']} failed"
        rest = ", ".join(f"{counts[how]} {how}" for how in (*OUTCOMES[1:], NO_TEST) if counts[how])
        return f"{counts['passed']} of {counts.total()} cases passed; {rest or 'no other'}"
    if part == "crash":
        violations = "no violation" if result["violation"] is None else "1 violation"
        return f"{result['held']:,} of {result['states']:,} states held, {violations}"
    if part == "fuzz":
        executions = sum(row["executions"] for row in result["targets"])
        findings = sum(len(row["findings"]) for row in result["targets"])
        return f"{executions:,} executions, {len(result['targets'])} targets, {findings} findings"
    if part == "mutate":
        each = map(_mutants, result["modules"].values())
        made, killed, explained, left = map(sum, zip(*each, strict=True))
        sample = "" if result["sample"] is None else " (a sample)"
        return f"{killed:,} of {made:,}{sample} killed, {explained} explained, {left} unexplained"
    counts = result["counts"]
    rest = ", ".join(f"{count} {how}" for how, count in counts.items() if how != "passed")
    return f"{counts.get('passed', 0)} of {sum(counts.values())} passed; {rest or 'no other'}"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


# --- details --------------------------------------------------------------------------------------


def _cases(listed: Listed, stored: Stored) -> list[str]:
    result = stored["cases"]["result"]
    found = standings(listed, result)
    rows: list[list[object]] = []
    for name, group in listed.groups.items():
        counts = Counter(found[case] for case in group.cases)
        each = [counts[how] for how in (*OUTCOMES, NO_TEST)]
        rows.append([f"{name} {group.title}", len(group.cases), *each])
    counts = Counter(how for case, how in found.items() if case[0] != INVARIANTS)
    each = [counts[how] for how in (*OUTCOMES, NO_TEST)]
    rows.append(["**all but the invariants**", counts.total(), *each])
    lines = table(["group", "cases", *OUTCOMES, NO_TEST], rows)
    lines += ["", _counted(result)]
    for test in result["failures"]:
        lines.append(f"- failed: `{test}`")
    lines += _titled("Skipped here", _skipped(found, result))
    lines += _titled("Not there yet", _absent(listed))
    lines += _titled("Shown by tests of another name", _elsewhere(listed))
    return lines + _titled("What stood in for the real thing", _stood_in(listed))


def _titled(title: str, lines: list[str]) -> list[str]:
    return ["", f"### {title}", "", *lines]


def _counted(result: Result) -> str:
    counts = result["tests"]
    told = ", ".join(f"{count:,} {how}" for how, count in counts.items())
    return (
        "A case has a test of its name or several: one that fails fails it; it is skipped where\n"
        f"all are. Of {sum(counts.values()):,} tests that ran, these and their neighbours: {told}."
    )


def _skipped(found: Mapping[str, str], result: Result) -> list[str]:
    if not result["reasons"]:
        return ["Nothing."]
    rows = []
    for why, cases in result["reasons"].items():
        whole = [case for case in cases if found[case] == "skipped"]
        in_part = [case for case in cases if found[case] != "skipped"]
        rows.append([why.removeprefix("Skipped: "), _names(whole), _names(in_part)])
    return table(["reason", "cases that nothing showed", "cases that other tests showed"], rows)


def _absent(listed: Listed) -> list[str]:
    words = {case: text for group in listed.groups.values() for case, text in group.cases.items()}
    rows = []
    for each in listed.absent:
        named: dict[str, str] = {}
        for case in each.cases:
            named.setdefault(case.rstrip("abcd"), words[case])
        told = "; ".join(f"{case} {text}" for case, text in named.items())
        rows.append([each.owner, len(each.cases), told, each.why])
    return table(["owner", "cases", "which", "why"], rows)


def _elsewhere(listed: Listed) -> list[str]:
    return table(
        ["cases", "test"],
        [[_names(cases), f"`{test}`"] for test, cases in listed.elsewhere.items()],
    )


def _stood_in(listed: Listed) -> list[str]:
    rows = [[each.what, _names(each.cases)] for each in listed.stand_ins]
    replay = "a recorded run, and what a disk may hold of it: laid down anew, no power was cut"
    replayed = [case for case in listed.groups["C"].cases if case[-1] != "a"]
    there = len(set(replayed) - listed.without_test)
    rows.append([replay, f"C by models b, c and d ({there} cases)"])
    return table(["what", "cases"], rows)


def _names(cases: Iterable[str]) -> str:
    return " ".join(cases) or "-"


def _wine(listed: Listed, stored: Stored) -> list[str]:
    under = standings(listed, stored["wine"]["result"])
    passed = [case for case, how in under.items() if how == "passed"]
    lines = [f"Passed in a Windows Python under Wine: {_names(passed)}."]
    for test in stored["wine"]["result"]["failures"]:
        lines.append(f"- failed: `{test}`")
    if "cases" in stored and "error" not in stored["cases"]["result"]:
        here = standings(listed, stored["cases"]["result"])
        only = [case for case in passed if here[case] != "passed"]
        lines.append(f"Passed in no other way than through Wine: {_names(only)}.")
    if any(each["ran"]["platform"].startswith("Windows") for each in stored.values()):
        return lines
    return [*lines, "**No run on this page was on a real Windows PC.**"]


def _crash(_listed: Listed, stored: Stored) -> list[str]:
    result = stored["crash"]["result"]
    last = result["first"] + result["states"] - 1
    lines = [
        f"States {result['first']:,} to {last:,} of seed {result['seed']}, each held to all",
        "invariants as it is, after the same command again, and after an update.",
        "",
        *table(["model", "states"], result["models"].items()),
        "",
        *table(["scene", "states"], result["scenes"].items()),
    ]
    if result["violation"] is not None:
        lines += ["", "The first violation:", "", "```", result["violation"], "```"]
    return lines


def _fuzz(_listed: Listed, stored: Stored) -> list[str]:
    rows = [
        [
            row["target"],
            row["executions"],
            f"{row['seconds']:.0f} s",
            len(row["findings"]),
            row["engine"],
            str(row["seed"]),
        ]
        for row in stored["fuzz"]["result"]["targets"]
    ]
    return table(["target", "executions", "time", "findings", "led by", "seed"], rows)


def _mutants(row: Mapping[str, Any]) -> tuple[int, int, int, int]:
    return row["mutants"], row["killed"], len(row["equivalent"]), len(row["survivors"])


def _mutate(_listed: Listed, stored: Stored) -> list[str]:
    result = stored["mutate"]["result"]
    modules = result["modules"]
    rows = [[f"`{module}`", *_mutants(row)] for module, row in sorted(modules.items())]
    lines = table(["module", "made", "killed", "explained", "unexplained"], rows)
    if result["sample"] is not None:
        lines += ["", "A sample, drawn by the seed of those that must be noticed."]
    for title, key in (("Explained", "equivalent"), ("Unexplained", "survivors")):
        found = [each for row in modules.values() for each in row[key]]
        told = [
            [f"`{e['place']}`", f"`{e['before']}` -> `{e['after']}`", e.get("reason", "-")]
            for e in found
        ]
        if told:
            lines += _titled(title, table(["place", "change", "why nobody could notice"], told))
    return lines


def _conformance(_listed: Listed, stored: Stored) -> list[str]:
    result = stored["conformance"]["result"]
    lines = [
        f"Of theupdateframework/tuf-conformance at {result['suite'] or 'no known commit'}.",
        "",
    ]
    lines += table(["outcome", "tests"], result["counts"].items())
    for title, key in (("Failed as expected", "expected failures"), ("Failed", "failures")):
        if result[key]:
            lines += _titled(title, [f"- `{test}`" for test in result[key]])
    return lines


_DETAILS: dict[str, Callable[[Listed, Stored], list[str]]] = {
    "cases": _cases,
    "wine": _wine,
    "crash": _crash,
    "fuzz": _fuzz,
    "mutate": _mutate,
    "conformance": _conformance,
}
