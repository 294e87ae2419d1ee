"""The project folder: whose it is, who may write it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from microsam_nb.core import Image, ProjectError
from microsam_nb.session import AddPoint, Project, Session
from microsam_nb.session import project as project_module


@pytest.fixture
def image():
    return Image(np.arange(900, dtype=np.uint16).reshape(30, 30), name="cells")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "deep" / "cells.msam"


@pytest.fixture
def open_project(folder, image):
    projects = []

    def open_one(folder=folder, image=image, model="nano"):
        projects.append(Project.open(folder, image, model))
        return projects[-1]

    yield open_one
    for one in projects:
        one.close()


def test_a_new_project_says_what_it_belongs_to(open_project, folder, image):
    open_project()
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["image"] == image.fingerprint()
    assert (meta["format"], meta["name"], meta["axes"], meta["shape"]) == (2, "cells", "yx", [30, 30])
    assert (meta["dtype"], meta["model"]) == ("<u2", "nano")
    assert {p.name for p in folder.iterdir()} == {"meta.json", "lock", "owner.json"}


def test_closing_releases_the_lock(open_project, folder):
    project = open_project()
    project.close()
    project.close()
    assert not (folder / "owner.json").exists()
    open_project().check()


def test_opening_again_continues(open_project):
    session = Session((1, 30, 30), open_project())
    session.handle(AddPoint(5, 5))
    session.close()
    assert Session((1, 30, 30), open_project()).state.prompts == session.state.prompts


def test_another_image_is_refused(open_project, folder, image):
    open_project().close()
    for other in (Image(image.pixels + 1), Image(image.pixels.reshape(20, 45)), Image(image.pixels.astype("f4"))):
        with pytest.raises(ProjectError) as error:
            open_project(image=other)
        assert "Open it with that image, or choose another project folder." in error.value.remedy
        assert "cells" in error.value.what
    assert not (folder / "owner.json").exists()


def test_another_image_does_not_close_the_open_project(open_project, image):
    project = open_project()
    with pytest.raises(ProjectError):
        open_project(image=Image(image.pixels + 1))
    project.check()


def test_a_folder_with_other_files_is_refused_and_left_alone(open_project, folder):
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(ProjectError) as error:
        open_project()
    assert "empty or new folder" in error.value.remedy
    assert [p.name for p in folder.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_becomes_a_project(open_project, folder):
    folder.mkdir(parents=True)
    (folder / "meta.json.17.part").write_text("{")  # from a kernel killed at the first moment
    open_project()
    assert (folder / "meta.json").exists()


def test_nothing_is_written_before_the_folder_is_locked(open_project, folder, monkeypatch):
    def taken(_):
        assert not (folder / "meta.json").exists()
        raise ProjectError("It is open in another kernel.", "Shut that kernel down.")

    monkeypatch.setattr(project_module, "_take_lock", taken)
    with pytest.raises(ProjectError, match="Shut that kernel down"):
        open_project()
    assert not (folder / "meta.json").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"format": "new", "image": "x"}'])
def test_damaged_meta_data_is_refused(open_project, folder, text):
    open_project().close()
    (folder / "meta.json").write_text(text)
    with pytest.raises(ProjectError) as error:
        open_project()
    assert "Restore the file" in error.value.remedy
    assert (folder / "meta.json").read_text() == text


def test_a_newer_format_asks_for_an_update(open_project, folder):
    open_project().close()
    meta = json.loads((folder / "meta.json").read_text()) | {"format": 3, "version": "9.9"}
    (folder / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(ProjectError) as error:
        open_project()
    assert "Update microsam_nb" in error.value.remedy
    assert "9.9" in error.value.what


def test_an_older_format_is_opened_and_older_versions_are_kept_out(open_project, folder):
    open_project().close()
    meta = json.loads((folder / "meta.json").read_text())
    (folder / "meta.json").write_text(json.dumps({**meta, "format": 1, "version": "0.1", "model": "vit_b"}))
    open_project().close()
    after = json.loads((folder / "meta.json").read_text())
    assert after == {**meta, "model": "vit_b"}
    assert after["format"] == 2


@pytest.fixture
def unprivileged():
    """Root may write everywhere: do without it."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def readable(folder, mode):
    """Let everybody see a folder, with ``mode`` for what is in it."""
    for one in (folder, *folder.rglob("*")):
        one.chmod(mode | 0o111 if one.is_dir() else mode)
    for one in folder.parents:
        if one.owner() == folder.owner() and one != Path("/"):
            one.chmod(one.stat().st_mode | 0o055)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_read_only_folder_names_the_way_out(folder, image, is_new, request):
    if is_new:
        folder.mkdir(parents=True)
    else:
        Project.open(folder, image, "nano").close()
    before = {path: path.read_bytes() for path in folder.iterdir()}
    readable(folder, 0o444)
    request.getfixturevalue("unprivileged")
    with pytest.raises(ProjectError) as error:
        Project.open(folder, image, "nano")
    assert "Choose another place with project='...'" in error.value.remedy
    assert "Permission denied" in error.value.what
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_place_that_cannot_be_written(open_project, tmp_path, where):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ProjectError) as error:
        open_project(folder=tmp_path / where)
    assert "project=False" in error.value.remedy


def test_the_same_process_takes_over_and_the_old_session_stops(open_project):
    old = Session((1, 30, 30), open_project())
    old.handle(AddPoint(5, 5))
    new = Session((1, 30, 30), open_project())
    with pytest.raises(ProjectError) as error:
        old.handle(AddPoint(6, 6))
    assert error.value.remedy == "Continue in the newer one."
    assert len(old.state.prompts) == 1
    old.close()
    new.handle(AddPoint(7, 7))
    assert len(Session((1, 30, 30), open_project()).state.prompts) == 2


HOLDER = """
import sys
from pathlib import Path
import numpy as np
from microsam_nb.core import Image
from microsam_nb.session import Project
image = Image(np.arange(900, dtype=np.uint16).reshape(30, 30), name="cells")
Project.open(Path(sys.argv[1]), image, "nano")
print("open", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_respected_while_its_process_lives(open_project, folder, pytestconfig):
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=pytestconfig.rootpath,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == "open\n"
        with pytest.raises(ProjectError) as error:
            open_project()
        assert "Shut that kernel down" in error.value.remedy
        assert str(child.pid) in error.value.what
        (folder / "owner.json").write_text("{")
        with pytest.raises(ProjectError, match="Shut that kernel down"):
            open_project()
    finally:
        child.kill()
        child.communicate(timeout=60)
    assert (folder / "lock").exists()
    open_project().check()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 5}', '{"host": "HOST", "pid": "x"}', "\x00\x00"])
def test_what_a_dead_kernel_left_behind_does_not_matter(open_project, folder, text):
    open_project().close()
    for name in ("lock", "owner.json"):
        (folder / name).write_text(text)
    open_project().check()
