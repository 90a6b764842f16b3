"""Which file may import what: dependencies point one way."""

import ast
from pathlib import Path

import pytest

import vlae_codec

PACKAGE = Path(vlae_codec.__file__).parent
PILLOW = ("alpha", "colour", "guard", "metadata", "reading", "samples", "writing")
ONLY_IMPORTER = {
    "PIL": {*(f"images/{name}.py" for name in PILLOW), "compare/pillow.py"},
    "constriction": {"entropy.py"},
    "imagecodecs": {"compare/libraries.py"},
    "imageio_ffmpeg": {"compare/libraries.py"},
    "pillow_heif": {"compare/libraries.py", "images/foreign.py"},
    "safetensors": {"models/__init__.py"},
    "fsspec": {"urls.py"},
    "ray": {"batch/cluster.py"},
}
ALLOWED = {
    "errors.py": set(),
    "limits.py": {"errors"},
    "bitstream.py": {"errors", "limits"},
    "entropy.py": {"errors"},
    "bitsback.py": {"entropy"},
    "tiles.py": {"bitstream", "errors"},
    "transforms.py": {"bitstream", "entropy", "errors", "models", "tiles"},
    "segments.py": {"bitsback", "bitstream", "entropy", "errors", "models", "tiles", "timing"},
    "models/blocks.py": set(),
    "models/vlae.py": {"models"},
    "models/exact.py": {"entropy", "models"},
    "models/__init__.py": {"errors", "models"},
    **{f"images/{name}.py": {"images", "bitstream", "errors", "limits"} for name in (*PILLOW, "foreign", "picture")},
    "images/reading.py": {"images", "bitstream", "errors", "limits", "orientation"},
    "images/picture.py": set(),
    "images/__init__.py": {"images"},
    "urls.py": {"errors"},
    "temporary.py": set(),
    "collisions.py": {"errors", "temporary", "urls"},
    "files.py": {"collisions", "errors", "temporary", "urls"},
    "batch/order.py": {"errors", "files", "jobs", "program", "report"},
    "batch/plan.py": {"batch", "collisions", "errors", "files", "urls"},
    "batch/local.py": {"batch", "errors", "files"},
    "batch/cluster.py": {"batch", "errors", "files"},
    "batch/__init__.py": {"batch", "errors", "files"},
    "console.py": {"batch", "errors", "files", "jobs", "program"},
    "metrics.py": {"errors"},
    "distortion.py": {"bitstream", "metrics", "tiles"},
    "problem.py": {"distortion", "models", "tiles"},
    "relaxation.py": {"models"},
    "search.py": {"limits", "models", "problem", "relaxation", "tiles"},
    "flips.py": {"models", "problem", "relaxation", "search", "tiles"},
    "refine.py": {"flips", "problem", "search", "tiles"},
    "efforts.py": {"models", "problem", "refine", "tiles", "timing", "transforms"},
    "codec.py": {
        *("bitsback", "bitstream", "distortion", "efforts", "entropy", "errors", "images", "ledger", "limits"),
        *("models", "refine", "segments", "tiles", "timing", "transforms"),
    },
    "compare/result.py": set(),
    "compare/page/__init__.py": {"compare", "files", "images"},
    "ssimulacra2.py": set(),
    "compare/pillow.py": set(),
    "compare/libraries.py": {"compare", "errors"},
    "compare/codecs.py": {"compare", "errors"},
}
SOURCES = sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))


def imports(source: str) -> set[str]:
    """Full names of all that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / source).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{source}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def parts(source: str) -> set[str]:
    """The parts of this package that a file imports."""
    return {name.split(".")[1] for name in imports(source) if name.startswith("vlae_codec.")}


@pytest.mark.parametrize("source", sorted(ALLOWED))
def test_a_file_imports_only_what_lies_below_it(source: str) -> None:
    assert parts(source) <= ALLOWED[source]


@pytest.mark.parametrize("library", sorted(ONLY_IMPORTER))
def test_a_library_has_one_home(library: str) -> None:
    users = {source for source in SOURCES if any(name.split(".")[0] == library for name in imports(source))}
    assert users and users <= ONLY_IMPORTER[library]


def test_nothing_but_the_command_line_imports_training() -> None:
    outside = [
        source for source in SOURCES if not source.startswith("training/") and source not in ("cli.py", "program.py")
    ]
    assert [source for source in outside if "training" in parts(source)] == []


def test_no_file_is_longer_than_300_lines() -> None:
    lengths = {source: (PACKAGE / source).read_text(encoding="utf-8").count("\n") for source in SOURCES}
    assert {source: n for source, n in lengths.items() if n > 300} == {}
