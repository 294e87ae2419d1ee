import json

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from microsam_nb.core import (
    BoxPrompt,
    Ellipse,
    FileError,
    Mask,
    MaskPrompt,
    Point,
    Polygon,
    PromptError,
    Scribble,
    Stop,
    prompt_from_json,
    prompt_to_json,
)
from microsam_nb.files.prompts import read_prompts, write_prompts


@pytest.fixture
def table(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "prompts.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_points_by_object(table):
    found = read_prompts(table("object,y,x,positive\n1,2,3,1\n2,4.5,6,\n1,7,8,0\n"))
    assert found == {1: [Point(0, 2, 3), Point(0, 7, 8, positive=False)], 2: [Point(0, 4.5, 6)]}


def test_columns_in_any_order_with_planes_and_spaces(table):
    found = read_prompts(table("x, y, plane, object\n3, 2, 4, 1\n"))
    assert found == {1: [Point(4, 2, 3)]}


@pytest.mark.parametrize(("word", "positive"), [("1", True), ("0", False), ("true", True), ("False", False)])
def test_ways_to_say_positive(table, word, positive):
    assert read_prompts(table(f"object,y,x,positive\n1,2,3,{word}\n")) == {1: [Point(0, 2, 3, positive)]}


def test_boxes(table):
    assert read_prompts(table("object,y0,x0,y1,x1\n3,1,2,30,40\n")) == {3: [BoxPrompt(0, 1, 2, 30, 40)]}


def test_points_and_boxes_in_one_table(table):
    found = read_prompts(table("object,y,x,positive,y0,x0,y1,x1\n1,,,,1,2,30,40\n1,5,6,0,,,,\n"))
    assert found == {1: [BoxPrompt(0, 1, 2, 30, 40), Point(0, 5, 6, positive=False)]}


@pytest.mark.parametrize(("encoding", "end"), [("utf-8-sig", "\r\n"), ("utf-8", "\r\n"), ("utf-8", "\n")])
def test_tables_as_a_spreadsheet_writes_them(table, encoding, end):
    assert read_prompts(table(f"object,y,x{end}1,2,3{end}", encoding)) == {1: [Point(0, 2, 3)]}


@pytest.mark.parametrize(
    "line",
    ["1,2", "1,two,3,1", ",2,3,1", "0,2,3,1", "-4,2,3,1", "1.5,2,3,1", "1,2,3,maybe", "one,2,3,1", "1,,,1"],
)
def test_a_wrong_line_is_named(table, line):
    with pytest.raises(FileError) as error:
        read_prompts(table(f"object,y,x,positive\n1,2,3,1\n{line}\n1,5,6,1\n"))
    assert "line 3" in error.value.what
    assert "object,y,x or object,y0,x0,y1,x1" in error.value.remedy


@pytest.mark.parametrize("line", ["1,1,2,3,", "1,1,2,3,x", "1,1,2,,4"])
def test_a_wrong_box_is_named(table, line):
    with pytest.raises(FileError) as error:
        read_prompts(table(f"object,y0,x0,y1,x1\n{line}\n"))
    assert "line 2" in error.value.what


def test_a_table_without_header_is_refused(table):
    with pytest.raises(FileError) as error:
        read_prompts(table("1,2,3\n2,4,5\n"))
    assert "Begin the file with the line" in error.value.remedy


@pytest.mark.parametrize("text", ["object,y,x\n", "object,y0,x0,y1,x1\n"])
def test_an_empty_table(table, text):
    with pytest.raises(FileError) as error:
        read_prompts(table(text))
    assert "one prompt per line" in error.value.remedy


def test_no_text_at_all(table):
    path = table("")
    path.write_bytes(b"\xff\xfe\x80\x81 object,y,x\n")
    with pytest.raises(FileError) as error:
        read_prompts(path)
    assert "comma-separated" in error.value.remedy


def test_a_missing_table(tmp_path):
    with pytest.raises(FileError) as error:
        read_prompts(tmp_path / "none.csv")
    assert "name and the folder" in error.value.remedy


# Other kinds


@pytest.fixture
def mask_file(tmp_path):
    labels = np.zeros((3, 10, 12), np.uint16)
    labels[1, 2:5, 3:7] = 4
    labels[1, 6:8, 3:7] = 9
    tifffile.imwrite(tmp_path / "labels.tif", labels, photometric="minisblack")
    tifffile.imwrite(tmp_path / "flat.tif", labels[1])
    return labels


def test_every_kind_in_one_table(table, mask_file):
    found = read_prompts(
        table(
            "object,kind,plane,y0,x0,y1,x1,points,width,positive,file,label,y,x\n"
            "1,ellipse,2,1,2,30,40,,,,,,,\n"
            '1,polygon,,,,,,"1 2; 3 4.5;5 1;",,,,,,\n'
            "2,Scribble,1,,,,,1 2;3 4,2.5,0,,,,\n"
            "2,scribble,,,,,,1 2,,,,,,\n"
            "3,mask,1,,,,,,,,labels.tif,9,,\n"
            "3,mask,5,,,,,,,,flat.tif,,,\n"
            "4,stop,7,,,,,,,,,,,\n"
            "4,point,7,,,,,,,0,,,8,9\n"
            "5,box,,1,2,30,40,,,,,,,\n"
        )
    )
    assert found == {
        1: [Ellipse(2, 1, 2, 30, 40), Polygon(0, ((1, 2), (3, 4.5), (5, 1)))],
        2: [Scribble(1, ((1, 2), (3, 4)), 2.5, positive=False), Scribble(0, ((1, 2),))],
        3: [MaskPrompt(Mask.crop(mask_file == 9)), MaskPrompt(Mask.crop(mask_file[1] > 0, (5, 0, 0)))],
        4: [Stop(7), Point(7, 8, 9, positive=False)],
        5: [BoxPrompt(0, 1, 2, 30, 40)],
    }


EVERY = [
    Point(1, 2.5, 3, positive=False),
    BoxPrompt(0, 1, 2, 3.5, 4),
    Ellipse(1, 1, 2, 3.5, 4),
    Polygon(0, ((1, 2), (3, 4.5), (5, 1))),
    Scribble(1, ((1, 2), (3, 4.5)), 2.5, positive=False),
    MaskPrompt(Mask((1, 2, 3), np.ones((1, 2, 2), bool))),
    Stop(1),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.integers(1, 2**32 - 1), st.lists(st.sampled_from(EVERY), min_size=1), min_size=1, max_size=5))
def test_what_was_written_is_read_again(tmp_path, objects):
    write_prompts(tmp_path / "prompts.json", objects)
    assert read_prompts(tmp_path / "prompts.json") == objects
    assert [p.name for p in tmp_path.iterdir()] == ["prompts.json"]


def test_masks_in_json_may_be_files(tmp_path, mask_file):
    path = tmp_path / "a.JSON"
    path.write_text(json.dumps([{"object": 2, "kind": "mask", "plane": 1, "file": "labels.tif", "label": 4}]))
    assert read_prompts(path) == {2: [MaskPrompt(Mask.crop(mask_file == 4))]}


def test_prompts_are_written_as_json_only(tmp_path):
    with pytest.raises(FileError) as error:
        write_prompts(tmp_path / "a.csv", {1: EVERY})
    assert ".json" in error.value.remedy
    with pytest.raises(FileError) as error:
        write_prompts(tmp_path / "none" / "a.json", {1: EVERY})
    assert "folder that exists" in error.value.remedy
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        ("1,star,,,,", "kind is 'star', not one of point, box", "--help"),
        ("1,polygon,,,,", "points is missing", "--help"),
        ("1,polygon,,1 2;3 4,,", "at least 3 corners", "Draw further"),
        ("1,polygon,,1 2;3;4 5,,", "not pairs", "[[y, x], [y, x], ...]"),
        ("1,polygon,,1 2;3 b;4 5,,", "'b'", "--help"),
        ("1,polygon,,1 2;3 nan;4 5,,", "no finite", "in pixels"),
        ("1,scribble,-3,1 2;3 4,,", "-3.0 pixels wide", "from 0 pixels"),
        ("1,mask,,,,", "file is missing", "--help"),
        ("1,mask,,,none.tif,", "none.tif", "Check the name and the folder"),
        ("1,mask,,,labels.tif,", "The mask is empty", "at least one pixel"),
        ("1,mask,,,flat.tif,5", "The mask is empty", "at least one pixel"),
        ("1,mask,,,flat.tif,x", "'x'", "--help"),
        ("1,point,,,,", "y, x is missing", "--help"),
        ("1,polygon,,1 2,3 4,5 1,7", "more cells", "--help"),
    ],
)
def test_a_wrong_line_of_any_kind_is_named(table, mask_file, line, what, remedy):
    with pytest.raises(FileError) as error:
        read_prompts(table(f"object,kind,width,points,file,label\n1,stop,,,,\n{line}\n"))
    assert "prompts.csv, line 3" in error.value.what
    assert what in error.value.what
    assert remedy in error.value.remedy


@pytest.mark.parametrize(("name", "near"), [("postive", "positive"), ("objects", "object"), ("Points", "points")])
def test_a_misspelt_column_is_not_overlooked(table, name, near):
    with pytest.raises(FileError) as error:
        read_prompts(table(f"object,y,x,{name}\n1,2,3,0\n"))
    assert f"Call it {near!r}, or remove it." in error.value.remedy


def test_own_columns_are_left_alone(table):
    assert read_prompts(table("object,y,x,comment,score\n1,2,3,nice cell,0.5\n")) == {1: [Point(0, 2, 3)]}


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("[{]", "line 1 is not JSON", "commas and brackets"),
        ('[\n{"object": 1,\n}]', "line 3 is not JSON", "commas and brackets"),
        ("", "line 1 is not JSON", "commas and brackets"),
        ('{"object": 1}', "no list of prompts", "Begin the file with ["),
        ("[]", "holds no prompts", "one prompt per line"),
        ("[5]", "prompt 1 is no prompt (5 is no prompt)", '"kind": "point"'),
        ('[{"object": 1, "kind": "stop"}, {"kind": "stop"}]', "prompt 2 is no prompt (object is missing)", "--help"),
        ('[{"object": 1}]', "kind is missing", "--help"),
        ('[{"object": 0, "kind": "stop"}]', "ids go from 1", "--help"),
        ('[{"object": "1", "kind": "stop"}]', "ids go from 1", "--help"),
        ('[{"object": 1, "kind": "star"}]', "'star' is no kind of prompt", "--help"),
        ('[{"object": 1, "kind": ["point"]}]', "is no prompt", "--help"),
        ('[{"object": 1, "kind": "point", "y": 4}]', "x is missing", "--help"),
        ('[{"object": 1, "kind": "point", "y": 4, "x": 5, "z": 6}]', "a point has no 'z'", "--help"),
        ('[{"object": 1, "kind": "point", "y": null, "x": 5}]', "y is None", "--help"),
        ('[{"object": 1, "kind": "polygon", "points": [[1, 2], [3, 4]]}]', "at least 3 corners", "Draw further"),
        ('[{"object": 1, "kind": "mask"}]', "mask is missing", "--help"),
        ('[{"object": 1, "kind": "mask", "mask": {"start": [0, 0, 0]}}]', "shape is missing", "--help"),
        (
            '[{"object": 1, "kind": "mask", "mask": {"start": [0, 0, 0], "shape": [1, 2, 2], "bits": "eJw="}}]',
            "prompt 1 is no prompt",
            "--help",
        ),
    ],
)
def test_wrong_json_says_where_and_what_to_write(tmp_path, text, what, remedy):
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(FileError) as error:
        read_prompts(path)
    assert what in error.value.what
    assert remedy in error.value.remedy


def test_json_that_is_no_text(tmp_path):
    path = tmp_path / "prompts.json"
    path.write_bytes(b"\xff\xfe\x80\x81")
    with pytest.raises(FileError) as error:
        read_prompts(path)
    assert "as JSON text" in error.value.remedy
    path.write_text("[" * 200_000)
    with pytest.raises(FileError):
        read_prompts(path)


def test_a_json_of_one_kind_reads_like_its_table(table, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps([{"object": 3, **prompt_to_json(BoxPrompt(0, 1, 2, 30, 40))}]))
    assert read_prompts(tmp_path / "a.json") == read_prompts(table("object,y0,x0,y1,x1\n3,1,2,30,40\n"))


def test_a_table_of_a_spreadsheet_with_semicolons(tmp_path):
    (tmp_path / "p.csv").write_text("object;y;x;positive\n3;5.5;6;1\n3;9;9;0\n")
    assert read_prompts(tmp_path / "p.csv") == {3: [Point(0, 5.5, 6, True), Point(0, 9, 9, False)]}


def test_a_mask_file_belongs_to_images_of_its_size(table, mask_file):
    height, width = mask_file.shape[1:]
    prompt = read_prompts(table("object,kind,plane,file,label\n1,mask,1,labels.tif,4\n"))[1][0]
    prompt.check((2, height, width))
    with pytest.raises(PromptError) as error:
        prompt.check((2, height + 1, width))
    assert f"Give a mask of {height + 1} x {width} pixels" in error.value.remedy
    assert prompt_from_json(prompt_to_json(prompt)) == prompt
