"""The scenario of the original system, and its log and report word for word.

101 files become 100: 3 changed, 1 deleted, 97 unchanged.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bitstation import DeltaUpdater, UpdateStats
from bitstation.testing.memory_source import MemorySource
from bitstation.testing.releases import UNSIGNED, make_release
from bitstation.worker.narrate import Narrator

TOOL_ID = "z-image-turbo"
CHANGED = ("app/part-000.py", "app/part-001.py", "models/adapter.safetensors")
FIRST_FILES = {
    **{f"app/part-{number:03}.py": b"number = %d\n" % number for number in range(99)},
    "models/adapter.safetensors": b"old weights",
    "models/base.gguf": b"GGUF" + bytes(300_000),
}
NEXT_FILES = {
    **{path: data for path, data in FIRST_FILES.items() if path != "app/part-098.py"},
    "app/part-000.py": b"number = 1000\n",
    "app/part-001.py": b"number = 1001\n",
    "models/adapter.safetensors": bytes(5_230_000 - 28),
}
FIRST = make_release(FIRST_FILES, "2.4.0", tool_id=TOOL_ID)
NEXT = make_release(NEXT_FILES, "2.4.1", tool_id=TOOL_ID)

LOG_ES = f"""\
[updater] Iniciando actualización diferencial
[updater] Tool: z-image-turbo
[updater] Versión objetivo: 2.4.1
[updater] Versión actual: v2.4.0
[updater] Release sin firma: permitido
[updater] Calculando diferencias...
[updater]   Archivos a descargar: 3
[updater]   Archivos sin cambios: 97
[updater]   Archivos a eliminar: 1

[updater] FASE 1: Descarga
[updater]   ✓ 3 archivos descargados
[updater] FASE 2: Reutilización de archivos sin cambios
[updater]   ✓ 97 archivos tomados de la versión actual
[updater] FASE 3: Verificación de integridad
[updater]   ✓ 100 archivos verificados correctamente
[updater] FASE 4: Activación atómica
[updater]   ✓ Release activado: v2.4.1
[updater] FASE 5: Limpieza de archivos obsoletos
[updater]   ✓ Release anterior conservado para rollback: v2.4.0

[updater] ✓ Actualización completada exitosamente
[updater] ✓ manifest_hash verificado: {NEXT.manifest.manifest_hash[:8]}..."""

REPORT_ES = """\
═══════════════════════════════════════════════════════
  REPORTE DE ACTUALIZACIÓN DIFERENCIAL
═══════════════════════════════════════════════════════
  📥 Archivos descargados:  3
  ✓  Archivos verificados:  100
  🗑  Archivos eliminados:   1
  ⏭  Archivos sin cambios:  97
  📊 Datos descargados:     5.23 MB
"""

REPORT_EN = """\
═══════════════════════════════════════════════════════
  DIFFERENTIAL UPDATE REPORT
═══════════════════════════════════════════════════════
  📥 Files downloaded:  3
  ✓  Files verified:    100
  🗑  Files deleted:     1
  ⏭  Files unchanged:   97
  📊 Data downloaded:   5.23 MB
"""


def updated(tools_root: Path, lang: str) -> tuple[UpdateStats, str]:
    """Numbers and log of the second update."""
    DeltaUpdater(tools_root / TOOL_ID, options=UNSIGNED).update(MemorySource(FIRST))
    lines: list[str] = []
    updater = DeltaUpdater(
        tools_root / TOOL_ID, listeners=(Narrator(lines.append, lang),), options=UNSIGNED
    )
    return updater.update(MemorySource(NEXT)), "\n".join(lines)


def test_the_scenario_counts_as_the_original_did(tmp_path: Path) -> None:
    assert (len(FIRST_FILES), len(NEXT_FILES)) == (101, 100)

    stats, _log = updated(tmp_path, "en")

    assert stats.files_downloaded == 3
    assert stats.files_unchanged == stats.files_skipped == 97
    assert stats.files_deleted == 1
    assert stats.files_verified == 100
    assert stats.bytes_downloaded == sum(len(NEXT_FILES[path]) for path in CHANGED) == 5_230_000
    assert stats.sources == {"memory": 5_230_000}
    folder = tmp_path / TOOL_ID / "releases" / "v2.4.1"
    assert {path: (folder / path).read_bytes() for path in NEXT_FILES} == NEXT_FILES
    assert not (folder / "app/part-098.py").exists()


def test_the_log_in_spanish_is_word_for_word_that_of_the_contract(tmp_path: Path) -> None:
    assert updated(tmp_path, "es")[1] == LOG_ES


def test_the_log_in_english_has_the_same_shape(tmp_path: Path) -> None:
    log = updated(tmp_path, "en")[1]

    assert _shape(log) == _shape(LOG_ES)


@pytest.mark.parametrize(("lang", "expected"), [("es", REPORT_ES), ("en", REPORT_EN)])
def test_the_report_is_the_one_of_the_contract(tmp_path: Path, lang: str, expected: str) -> None:
    report = updated(tmp_path, lang)[0].report(lang)

    assert report.startswith(expected)
    assert report.endswith("═" * 55)


def _shape(text: str) -> list[str]:
    """Lines without their words: indents, signs, numbers and punctuation stay."""
    return [re.sub(r"[^\W\d_]+( [^\W\d_]+)*", "w", line) for line in text.splitlines()]
