"""The small files of the sample tool: code that runs, settings, pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product

MODEL_PATH = "models/all_minilm_l6-F16.gguf"
PACKAGE = "src/imagery"

_MAIN = '''"""Entry point: runner protocol v1 on files, or one job a line with --persistent."""

import argparse
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "src"))

from imagery import model, pipeline  # noqa: E402 - the path comes first

MODEL_CORRUPT = 66


def run_file(input_path, output_path):
    with open(input_path, encoding="utf-8-sig") as file:
        job = json.load(file)
    result = pipeline.run(job, model.open_model(HERE))
    with open(output_path, "w", encoding="utf-8", newline="\\n") as file:
        json.dump(result, file)
    return 0 if result["ok"] else 1


def run_persistent():
    loaded = model.open_model(HERE)
    print(json.dumps({"status": "ready"}), flush=True)
    for line in sys.stdin:
        if line.strip():
            print(json.dumps(pipeline.run(json.loads(line), loaded)), flush=True)
    return 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--input")
    parser.add_argument("--output")
    parser.add_argument("--persistent", action="store_true")
    args = parser.parse_args()
    try:
        return run_persistent() if args.persistent else run_file(args.input, args.output)
    except model.ModelCorrupt as error:
        print(error, file=sys.stderr)
        return MODEL_CORRUPT


if __name__ == "__main__":
    sys.exit(main())
'''

_MODEL = '''"""The model file: opened, looked at, read from."""

import os
import struct

PATH = "models/all_minilm_l6-F16.gguf"


class ModelCorrupt(Exception):
    """The file is not the model it should be; it must be fetched again."""


class Model:
    def __init__(self, path):
        self.path = path
        self.size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(24)
        if len(head) < 24 or head[:4] != b"GGUF":
            raise ModelCorrupt("no GGUF: %s" % path)
        self.version, self.tensors, self.fields = struct.unpack("<IQQ", head[4:])

    def weights(self, offset, count):
        """``count`` weights from somewhere in the file."""
        start = self.size // 2 // 32 * 32 + offset % (self.size // 4) // 2 * 2
        with open(self.path, "rb") as file:
            file.seek(start)
            return struct.unpack("<%de" % count, file.read(2 * count))


def open_model(folder):
    try:
        return Model(os.path.join(folder, *PATH.split("/")))
    except OSError as error:
        raise ModelCorrupt(str(error))
'''

_PIPELINE = '''"""A job becomes a small picture: noise, steered by weights that the prompt picks."""

import base64
import math

from imagery import palette, prompt, sampler, sizes


def run(job, model):
    if not isinstance(job, dict) or not isinstance(job.get("prompt"), str):
        return {"ok": False, "error": "prompt is not a text"}
    width, height = sizes.of(job.get("size", "tiny"))
    seed = prompt.seed_of(job["prompt"], job.get("seed", 0))
    weights = model.weights(seed, width * height)
    level = sampler.levels(weights, steps=int(job.get("steps", 8)))
    pixels = bytes(channel for value in level for channel in palette.colour(value))
    head = b"P6 %d %d 255\\n" % (width, height)
    return {
        "ok": True,
        "image_ppm": base64.b64encode(head + pixels).decode("ascii"),
        "mean": round(math.fsum(level) / len(level), 6),
        "tensors": model.tensors,
    }
'''

_SAMPLER = '''"""Noise is smoothed step by step."""

STRENGTH = {strength}


def levels(weights, steps):
    values = [0.5 + 0.5 * max(-1.0, min(1.0, weight * 4)) for weight in weights]
    for _ in range(max(0, min(steps, 64))):
        values = [
            STRENGTH * here + (1 - STRENGTH) * before
            for here, before in zip(values, values[-1:] + values[:-1])
        ]
    return values
'''

_SMALL_MODULES = {
    "__init__": '"""Pictures from words, small enough to read in an evening."""\n',
    "palette": '''"""From a level between 0 and 1 to a colour."""

STOPS = ((12, 7, 60), (90, 30, 120), (220, 90, 80), (250, 220, 140))


def colour(level):
    place = max(0.0, min(1.0, level)) * (len(STOPS) - 1)
    index = min(int(place), len(STOPS) - 2)
    share = place - index
    return tuple(round(a + (b - a) * share) for a, b in zip(STOPS[index], STOPS[index + 1]))
''',
    "prompt": '''"""What a prompt picks."""

import hashlib


def seed_of(text, extra):
    words = " ".join(text.lower().split())
    return int.from_bytes(hashlib.sha256(("%s/%s" % (words, extra)).encode()).digest()[:6], "big")
''',
    "sizes": '''"""Names of picture sizes."""

SIZES = {"tiny": (32, 32), "small": (64, 64), "wide": (96, 54)}


def of(name):
    return SIZES.get(name, SIZES["tiny"])
''',
    "enlarge": '''"""Pictures made larger, every pixel a square."""


def enlarge(pixels, width, factor):
    rows = [pixels[start : start + width] for start in range(0, len(pixels), width)]
    wide = [[pixel for pixel in row for _ in range(factor)] for row in rows]
    return [pixel for row in wide for _ in range(factor) for pixel in row]
''',
}

_RUN_SH = """#!/bin/sh
set -eu
tool=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
exec python3 "$tool/main.py" "$@"
"""

_RUN_PS1 = """param(
    [Alias("input")][string]$InPath,
    [Alias("output")][string]$OutPath,
    [switch]$Persistent
)
$tool = Split-Path -Parent $PSScriptRoot
if ($Persistent) { python "$tool\\main.py" --persistent }
else { python "$tool\\main.py" --input $InPath --output $OutPath }
exit $LASTEXITCODE
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Imagery</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<form id="job"><input name="prompt" autofocus><button>Make</button></form>
<canvas id="picture" width="64" height="64"></canvas>
<script src="app.js"></script>
</body>
</html>
"""

_APP = """"use strict";
document.getElementById("job").addEventListener("submit", (event) => {
  event.preventDefault();
  const prompt = new FormData(event.target).get("prompt");
  const job = { request_id: Date.now(), action: "submit_job", params: { prompt } };
  window.parent.postMessage(job, "*");
});
"""

_STYLE = """body { margin: 2rem; font-family: system-ui; background: #14101f; color: #eee; }
canvas { width: 512px; image-rendering: pixelated; border-radius: 8px; }
"""

_STYLES = {
    "dawn": "soft light, low sun, long shadows",
    "ink": "black ink on rough paper, few strokes",
    "night": "city at night, neon, wet streets",
    "paper": "layers of cut paper, flat colours",
    "clay": "figures of clay, studio light",
    "map": "old map, sepia, compass rose",
    "glass": "stained glass, thick outlines",
    "snow": "falling snow, grey sky, no wind",
    "reef": "coral reef, shafts of light",
    "steel": "brushed steel, macro, shallow focus",
    "wood": "woodcut, strong grain",
    "kite": "wide sky, one kite, tiny people",
}


def sample_files(
    tool_id: str, version: str, *, strength: float, tokens: Sequence[str]
) -> dict[str, str]:
    """Path and text of every file but the model; ``tokens`` begin the vocabulary."""
    files = {
        "tool.json": _json(_tool_document(tool_id, version)),
        "README.md": "# Imagery\n\nA sample tool: words in, a small picture out.\n",
        "main.py": _MAIN,
        "runner/run.sh": _RUN_SH,
        "runner/run.ps1": _RUN_PS1,
        "config/defaults.json": _json({"size": "tiny", "steps": 8, "seed": 0}),
        "config/limits.json": _json({"max_steps": 64, "max_prompt_chars": 2000}),
        "locale/en.json": _json({"make": "Make", "busy": "Working ...", "failed": "Failed"}),
        "locale/es.json": _json({"make": "Crear", "busy": "Trabajando ...", "failed": "Falló"}),
        "notes/first-steps.txt": "Type a few words and press the button.\n",
        "frontend/index.html": _PAGE,
        "frontend/app.js": _APP,
        "frontend/style.css": _STYLE,
        "tokenizer/vocabulary.txt": _vocabulary(tokens),
        f"{PACKAGE}/model.py": _MODEL,
        f"{PACKAGE}/pipeline.py": _PIPELINE,
        f"{PACKAGE}/sampler.py": _SAMPLER.format(strength=strength),
    }
    files |= {f"{PACKAGE}/{name}.py": text for name, text in _SMALL_MODULES.items()}
    files |= {f"styles/{name}.json": _json({"suffix": text}) for name, text in _STYLES.items()}
    return files


def _tool_document(tool_id: str, version: str) -> dict[str, object]:
    return {
        "tool_id": tool_id,
        "name": "Z Image Turbo (sample)",
        "version": version,
        "category": "image",
        "platforms": ["windows", "linux"],
        "entrypoint_windows": "runner/run.ps1",
        "entrypoint_posix": "runner/run.sh",
        "needs_models": True,
        "has_frontend": True,
        "api_contract": "toolbridge/1",
        "frontend": {"type": "web", "entry": "index.html"},
        "io_schema": {
            "input": {"type": "object", "required": ["prompt"]},
            "output": {"type": "object", "required": ["ok"]},
        },
        "dependencies": {"python_min": "3.8"},
    }


def _vocabulary(tokens: Sequence[str]) -> str:
    """A token a line, half a megabyte of them."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeio"]
    words = ("".join(parts) for parts in product(syllables, syllables, syllables[::2]))
    return "\n".join([*tokens, *words]) + "\n"


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
