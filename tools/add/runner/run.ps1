# Runner protocol v1: run.ps1 -InPath in.json -OutPath out.json; exit 0 means out.json is valid.
# Aliases as other tools know them: -input and -output. -Persistent: one job a line on stdin.
param(
    [Alias("input")][string]$InPath,
    [Alias("output")][string]$OutPath,
    [switch]$Persistent
)
$ErrorActionPreference = "Stop"
$tool = Split-Path -Parent $PSScriptRoot

# The tool's own environment, if it has one: beside the release folders, or in a publisher's folder.
$python = $null
foreach ($folder in @("$tool\..\..\venv", "$tool\venv")) {
    if (Test-Path "$folder\Scripts\python.exe") { $python = "$folder\Scripts\python.exe"; break }
}
if (-not $python) {
    # The launcher first: without a Python, Windows keeps python.exe as a door to its shop.
    foreach ($name in @("py", "python3", "python")) {
        if (Get-Command $name -ErrorAction SilentlyContinue) { $python = $name; break }
    }
}
if (-not $python) {
    [Console]::Error.WriteLine("run.ps1: no Python found")
    exit 3
}

if ($Persistent) {
    & $python "$tool\main.py" --persistent
} elseif ($InPath -and $OutPath) {
    & $python "$tool\main.py" --input $InPath --output $OutPath
} else {
    [Console]::Error.WriteLine("run.ps1: -InPath and -OutPath are needed, or -Persistent")
    exit 2
}
exit $LASTEXITCODE
