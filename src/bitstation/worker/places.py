"""Where other programs of this user keep models, as each of them says in its documents."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def known_places(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Folders of the Hugging Face cache, Ollama and LM Studio, whether or not they are there.

    The same on all systems but for the service that Ollama installs on Linux. ComfyUI has no place
    of its own: its folder is named by who knows it.
    """
    places = [_hugging_face(environ, home)]
    if chosen := environ.get("OLLAMA_MODELS"):
        places.append(_expanded(chosen, home))
    places += [home / ".ollama/models", Path("/usr/share/ollama/.ollama/models")]
    places += [home / ".lmstudio/models", home / ".cache/lm-studio/models"]
    return [place for place in dict.fromkeys(places) if place.is_absolute()]


def _hugging_face(environ: Mapping[str, str], home: Path) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if chosen := environ.get(name):
            return _expanded(chosen, home)
    if chosen := environ.get("HF_HOME"):
        return _expanded(chosen, home) / "hub"
    if chosen := environ.get("XDG_CACHE_HOME"):
        return _expanded(chosen, home) / "huggingface/hub"
    return home / ".cache/huggingface/hub"


def _expanded(text: str, home: Path) -> Path:
    """A setting as its program reads it: ``~`` is the user's folder."""
    return home / text[2:] if text.startswith(("~/", "~\\")) else Path(text)
