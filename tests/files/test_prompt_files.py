import pytest

from microsam_nb.core import BoxPrompt, FileError, Point
from microsam_nb.files.prompts import read_prompts


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
