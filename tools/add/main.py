"""Adds numbers, as runner protocol v1 asks.

python main.py --input in.json --output out.json   one job; exit 0: out.json holds its result
python main.py --persistent                        one job a line on stdin, one result a line

A job is {"numbers": [1, 2.5]}, its result {"ok": true, "sum": 3.5}. A job that cannot be done
gives {"ok": false, "error": ...}; with --input the exit code is then 2.
"""

import argparse
import json
import math
import sys

VERSION = "1.0.0"


def add(job):
    """Result of one job."""
    numbers = job.get("numbers") if isinstance(job, dict) else None
    if not isinstance(numbers, list) or not all(is_number(number) for number in numbers):
        return {"ok": False, "error": "numbers is not a list of numbers"}
    try:
        # Integers are added exactly; fsum loses nothing in long lists of others.
        total = sum(numbers) if all(isinstance(n, int) for n in numbers) else math.fsum(numbers)
    except OverflowError:
        return {"ok": False, "error": "the sum is too large"}
    return {"ok": True, "sum": total}


def is_number(value):
    """True for finite numbers; JSON's true and false are none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or math.isfinite(value)


def run_text(text):
    """Result of a job given as JSON."""
    try:
        return add(json.loads(text))
    except ValueError as error:
        return {"ok": False, "error": "not JSON: %s" % error}


def run_file(input_path, output_path):
    """Do the job of a file; gives the exit code."""
    try:
        # PowerShell 5 writes a byte order mark.
        with open(input_path, encoding="utf-8-sig") as file:
            result = run_text(file.read())
    except (OSError, UnicodeDecodeError) as error:
        result = {"ok": False, "error": "cannot read the job: %s" % error}
    with open(output_path, "w", encoding="utf-8", newline="\n") as file:
        json.dump(result, file)
        file.write("\n")
    return 0 if result["ok"] else 2


def run_persistent(lines, out):
    """Do jobs, one a line, until there are no more."""
    tell(out, {"status": "ready"})
    for line in lines:
        if line.strip():
            tell(out, run_text(line))


def tell(out, message):
    """Write one line and do not keep it back."""
    out.write(json.dumps(message) + "\n")
    out.flush()


def main():
    """Run as the command line says; gives the exit code."""
    parser = argparse.ArgumentParser(description="Add numbers.")
    parser.add_argument("--input", metavar="FILE")
    parser.add_argument("--output", metavar="FILE")
    parser.add_argument("--persistent", action="store_true")
    parser.add_argument("--version", action="version", version=VERSION)
    args = parser.parse_args()
    if args.persistent:
        run_persistent(sys.stdin, sys.stdout)
        return 0
    if not args.input or not args.output:
        parser.error("--input and --output are needed, or --persistent")
    return run_file(args.input, args.output)


if __name__ == "__main__":
    sys.exit(main())
