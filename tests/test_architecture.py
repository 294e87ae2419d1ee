"""The dependency rule: which folder may import which, and where torch and widget libraries may be loaded."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import microsam_nb

PACKAGE = "microsam_nb"
ROOT = Path(microsam_nb.__file__).parent
TORCH = ("torch", "torchvision", "segment_anything", "safetensors.torch")
WIDGETS = ("ipywidgets", "ipycanvas", "bqplot", "anywidget", "IPython", "traitlets")

#: folder: (folders it may import, libraries it must not import)
RULES = {
    "core": (set(), TORCH + WIDGETS),
    "files": ({"core"}, TORCH + WIDGETS),
    "engine": ({"core"}, WIDGETS),
    "session": ({"core"}, TORCH + WIDGETS),
    "view": ({"core", "session"}, TORCH + WIDGETS),
    "widgets": ({"core", "session", "view"}, TORCH),
    # Runs in the Jupyter server, not in a kernel.
    "server": (set(), TORCH + WIDGETS),
}
FREE = {"annotators", "commands", "__main__", "__init__"}
#: The only name of the top level that is no door to a folder.
HARMLESS = {"__version__"}


class _Imports(ast.NodeVisitor):
    """Collects the full dotted name of everything a module imports when any part of it runs."""

    def __init__(self, package: list[str]) -> None:
        self.package = package
        self.found: list[tuple[int, str]] = []

    def visit_If(self, node: ast.If) -> None:
        test = node.test
        name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
        if name != "TYPE_CHECKING":
            self.generic_visit(node)
            return
        for one in node.orelse:  # only the else branch runs
            self.visit(one)

    def visit_Import(self, node: ast.Import) -> None:
        self.found += [(node.lineno, one.name) for one in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.package[: len(self.package) + 1 - node.level] if node.level else []
        parts = [*base, *(node.module.split(".") if node.module else [])]
        self.found += [(node.lineno, ".".join([*parts, one.name])) for one in node.names]

    def visit_Call(self, node: ast.Call) -> None:
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        if name in ("import_module", "__import__") and node.args and isinstance(node.args[0], ast.Constant):
            dotted = str(node.args[0].value)
            level = len(dotted) - len(dotted.lstrip("."))
            base = self.package[: len(self.package) + 1 - level] if level else []
            self.found.append((node.lineno, ".".join([*base, dotted.lstrip(".")])))
        self.generic_visit(node)


def imports(path: Path, root: Path) -> list[tuple[int, str]]:
    """Return (line, dotted name) of every import of a module below the package folder ``root``."""
    relative = path.relative_to(root)
    visitor = _Imports([PACKAGE, *relative.parent.parts])
    visitor.visit(ast.parse(path.read_text(encoding="utf-8")))
    return visitor.found


def violations(root: Path) -> list[str]:
    """Return one sentence per import that breaks the rule, in the package folder ``root``."""
    out = []
    for path in sorted(root.rglob("*.py")):
        folder = path.relative_to(root).parts[0].removesuffix(".py")
        if folder in FREE:
            continue
        if folder not in RULES:
            out.append(f"{path.relative_to(root)}: the folder {folder} has no rule")
            continue
        allowed, forbidden = RULES[folder]
        for line, name in imports(path, root):
            where = f"{path.relative_to(root)}:{line} imports {name}"
            first, _, rest = name.partition(".")
            if first == PACKAGE:
                own = rest.split(".")[0]
                if own not in {folder, *allowed, *HARMLESS}:
                    out.append(where)
            elif any(name == one or name.startswith(one + ".") for one in forbidden):
                out.append(where)
    return out


def test_every_folder_imports_only_what_it_may():
    assert violations(ROOT) == []


def mutual(folder: Path, root: Path) -> list[tuple[str, str]]:
    """Return the modules of a folder, two by two, of which each imports the other, also inside functions."""
    of = {}
    for path in folder.glob("*.py"):
        dotted = ".".join([PACKAGE, *path.relative_to(root).with_suffix("").parts])
        # A module, or a name in it.
        of[dotted] = {one for _, name in imports(path, root) for one in (name, name.rpartition(".")[0])}
    return [(a, b) for a in of for b in of if a < b and b in of[a] and a in of[b]]


def test_no_two_annotators_import_each_other():
    assert mutual(ROOT / "annotators", ROOT) == []


def test_two_modules_that_import_each_other_are_found(tmp_path):
    folder = tmp_path / "annotators"
    folder.mkdir()
    (folder / "a.py").write_text("from .b import thing\n")
    (folder / "b.py").write_text("def late():\n    from . import a\n")
    assert mutual(folder, tmp_path) == [("microsam_nb.annotators.a", "microsam_nb.annotators.b")]


def test_the_check_sees_the_real_package():
    names = {name for path in ROOT.rglob("*.py") for _, name in imports(path, ROOT)}
    assert "microsam_nb.core.Mask" in names
    assert "torch" in names
    assert "microsam_nb.session.state.Notice" in names


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("core/box.py", "import torch"),
        ("core/box.py", "from torch.nn import functional"),
        ("core/box.py", "def late():\n    import torch"),
        ("core/box.py", "from ..engine import predict"),
        ("core/box.py", "import microsam_nb.engine.load"),
        ("session/actions/base.py", "from ...engine.load import load_model"),
        ("session/actions/base.py", "from ... import engine"),
        ("session/runner.py", "from .. import load_model"),
        ("session/runner.py", "import microsam_nb"),
        ("session/runner.py", "import importlib\nimportlib.import_module('torch')"),
        ("session/runner.py", "import importlib\nimportlib.import_module('..engine', __package__)"),
        ("session/runner.py", "class A:\n    def f(self):\n        from microsam_nb.widgets import canvas"),
        ("session/runner.py", "if TYPE_CHECKING:\n    pass\nelse:\n    import ipywidgets"),
        ("engine/load.py", "try:\n    from IPython.display import display\nexcept ImportError:\n    pass"),
        ("engine/load.py", "from ..session import Session"),
        ("engine/training/loop.py", "from ...files.images import read_image"),
        ("view/paint.py", "import ipycanvas"),
        ("view/paint.py", "from ..widgets.canvas import Canvas"),
        ("widgets/canvas.py", "import torch"),
        ("widgets/canvas.py", "from ..engine import predict"),
        ("files/images.py", "from ..session import Session"),
        ("cellar/wine.py", "import os"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, source):
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source + "\n")
    found = violations(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(file)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("core/box.py", "from .errors import MicrosamError\nimport numpy as np"),
        ("core/box.py", "if TYPE_CHECKING:\n    import torch"),
        ("core/box.py", "import torches"),
        ("engine/load.py", "import torch\nfrom ..core import Image\nfrom .training import train"),
        ("session/project.py", "from .. import __version__\nfrom ..core import Image"),
        ("widgets/canvas.py", "import ipywidgets\nfrom ..view.paint import paint"),
        ("annotators/service.py", "import torch\nfrom ..engine import predict\nfrom ..session import Runner"),
        ("__main__.py", "from .engine import predict"),
    ],
)
def test_what_is_allowed_is_not_reported(tmp_path, file, source):
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source + "\n")
    assert violations(tmp_path) == []


def _fresh(source: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source)],
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_engine_needs_no_widget_library():
    out = _fresh(f"""
        import sys

        class Blocked:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {WIDGETS[:-1]}:
                    raise ImportError(f"{{name}} is blocked")

        sys.meta_path.insert(0, Blocked())
        try:
            import ipywidgets
        except ImportError:
            print("blocked")
        import microsam_nb.engine
        import microsam_nb.engine.evaluation
        import microsam_nb.engine.training.embedded
        print(microsam_nb.engine.load_model.__name__)
        """)
    assert out.split() == ["blocked", "load_model"]


def test_importing_the_package_loads_nothing_heavy():
    out = _fresh("""
        import sys
        import microsam_nb
        assert microsam_nb.__version__
        assert "annotate_2d" in dir(microsam_nb) and "load_model" in dir(microsam_nb)
        print(*(name for name in ("torch", "ipywidgets", "ipycanvas", "numpy") if name in sys.modules))
        """)
    assert out.split() == []


def test_core_files_and_session_load_neither_torch_nor_widgets():
    out = _fresh("""
        import sys
        import microsam_nb.core
        import microsam_nb.files.images, microsam_nb.files.labels, microsam_nb.files.pack
        import microsam_nb.files.prompts, microsam_nb.files.samples
        import microsam_nb.session
        print(*(name for name in ("torch", "ipywidgets", "ipycanvas", "IPython") if name in sys.modules))
        """)
    assert out.split() == []


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="annotate_5d"):
        _ = microsam_nb.annotate_5d
