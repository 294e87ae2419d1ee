"""What a training learns from, collected from whatever holds images with objects."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tifffile
import zarr
from drawing import disk

from microsam_nb.annotators.gathering.known import known_around
from microsam_nb.annotators.gathering.planes import image_name
from microsam_nb.annotators.training_data import collect, summary
from microsam_nb.core import FileError, Image, ImageError, LabelError, LabelledImage, MicrosamError, SettingsError
from microsam_nb.engine.training.data import TrainingData
from microsam_nb.files.catalogue import Catalogue
from microsam_nb.session import LoadLabels, Project, Session
from microsam_nb.session.records import Record, Status, write_record

SPOTS = ((14, 14, 6), (14, 48, 7), (46, 16, 8), (47, 46, 6))


def draw(seed=0, spots=SPOTS, size=64):
    """A noisy image with bright discs, uint8 (y, x), and their labels."""
    labels = np.zeros((size, size), np.uint16)
    for number, (y, x, radius) in enumerate(spots, start=1):
        labels[disk((size, size), y, x, radius)] = number
    noise = np.random.default_rng(seed).normal(0, 8, labels.shape)
    return np.clip(40 + 150 * (labels > 0) + noise, 0, 255).astype(np.uint8), labels


@pytest.fixture
def files(tmp_path):
    """Five images in one folder, and labels of the first four in another."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for number in range(5):
        pixels, labels = draw(number)
        tifffile.imwrite(tmp_path / "images" / f"cell{number}.tif", pixels)
        if number < 4:
            tifffile.imwrite(tmp_path / "labels" / f"cell{number}_masks.tif", labels)
    return tmp_path / "images", tmp_path / "labels"


def make_project(folder, path, labels, **more):
    """Annotate an image of a file with labels that are loaded; return its project folder."""
    image = Image(tifffile.imread(path), name=path.stem, source=path, **more)
    session = Session(image.shape, Project.open(folder, image, "nano"), movie=image.axes[0] == "t")
    session.handle(LoadLabels.of(labels))
    session.close()
    return folder


def names(part):
    return [one.name for one in part]


def said(data, words):
    return [note for note in data.notes if words in note]


class TestSources:
    def test_files_are_paired_by_name_and_the_others_told(self, files):
        heard = []
        data = collect(*files, told=heard.append)
        assert heard == [f"cell{i}.tif" for i in range(4)]
        assert sorted(names(data.training + data.validation)) == heard
        assert said(data, "no labels of them: cell4.tif")
        one = (data.training + data.validation)[0]
        pixels, labels = draw(int(one.name[4]))
        assert np.array_equal(one.pixels, pixels)
        assert np.array_equal(one.labels, labels)
        assert one.labels.dtype == np.int32
        assert (one.group, one.known) == ("images", None)

    def test_arrays_pairs_and_labelled_images_give_the_same(self):
        both = [draw(i) for i in range(3)]
        lists = collect([a for a, _ in both], [b for _, b in both])
        assert names(collect(both).training) == names(lists.training)
        ready = collect([LabelledImage(a, b.astype(np.int32)) for a, b in both])
        assert names(ready.validation) == names(lists.validation)
        assert np.array_equal(ready.validation[0].pixels, lists.validation[0].pixels)

    def test_colours_and_channels(self):
        pixels, labels = draw()
        rgb = np.stack([pixels] * 3, -1)
        four = np.dstack([rgb, np.full_like(pixels, 255)])
        two = np.stack([pixels, pixels // 2], -1)
        data = collect([(rgb, labels), (four[::-1], labels[::-1]), (two, labels), (pixels[..., None], labels)])
        shapes = {one.name: one.pixels.shape for one in data.training + data.validation}
        assert [shapes[f"image {i}"] for i in (1, 2, 3, 4)] == [(64, 64, 3)] * 3 + [(64, 64)]

    def test_single_files_and_several_sources_at_once(self, files):
        images, labels = files
        pair = (images / "cell0.tif", labels / "cell0_masks.tif")
        data = collect([pair, draw(7), LabelledImage(draw(8)[0], draw(8)[1].astype(np.int32), name="mine")])
        assert sorted(names(data.training + data.validation)) == ["cell0.tif", "image 2", "mine"]
        assert names(collect([pair[0]], pair[1]).training) == names(collect(*pair).training)
        with pytest.raises(ImageError, match="Give a list of labels, one per image"):
            collect([pair[0], draw()[0]], draw()[1])
        alone = collect(*pair)
        assert {image_name(name) for name in names(alone.training + alone.validation)} == {"cell0.tif"}

    def test_a_pair_of_zarr_folders_is_no_pair_of_projects(self, tmp_path):
        for name, array in zip(("image.zarr", "labels.zarr"), draw(), strict=True):
            zarr.save_array(tmp_path / name, array)
        data = collect((str(tmp_path / "image.zarr"), str(tmp_path / "labels.zarr")))
        assert data.training[0].labels.any()

    def test_one_name_in_two_folders(self, files):
        images, labels = files
        data = collect([(images / "cell0.tif", labels / "cell0_masks.tif"), (images / "cell1.tif", draw(1)[1])])
        again = [(images / "cell0.tif", labels / "cell0_masks.tif")]
        (images / "day2").mkdir()
        tifffile.imwrite(images / "day2" / "cell0.tif", draw(9)[0])
        again.append((images / "day2" / "cell0.tif", draw(9)[1]))
        both = collect(again)
        assert sorted(names(both.training + both.validation)) == ["cell0.tif", "cell0.tif (2)"]
        assert len(data.training) == len(data.validation) == 1

    def test_what_has_no_labels_is_refused_with_the_ways_to_give_them(self, files):
        for given in (files[0], files[0] / "cell0.tif", draw()[0], [draw()[0]], [], str(files[0] / "*.msam")):
            with pytest.raises((FileError, ImageError), match="Give labels="):
                collect(given)
        with pytest.raises(ImageError, match="one label array or file per image"):
            collect([draw()[0]], [draw()[1]] * 2)
        with pytest.raises(FileError, match="has the name of an image"):
            collect(files[0] / "cell4.tif", str(files[1] / "*0_masks.tif"))

    @pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1}, {"planes": 0}, {"validation_labels": "x"}])
    def test_settings_that_make_no_sense(self, files, wrong):
        with pytest.raises(SettingsError, match=r"Choose|Give validation="):
            collect(*files, **wrong)


class TestWork:
    def test_of_a_project_only_objects_and_their_rims_are_known(self, files, tmp_path):
        images, _ = files
        folders = [make_project(tmp_path / f"{i}.msam", images / f"cell{i}.tif", draw(i)[1]) for i in range(2)]
        data = collect(folders)
        for one in data.training + data.validation:
            assert one.known is not None
            assert one.known[one.labels > 0].all()
            assert not one.known.all()
        assert said(data, "complete=True where all objects are labelled")
        whole = collect(str(tmp_path / "*.msam"), complete=True)
        assert all(one.known is None for one in whole.training + whole.validation)
        assert not whole.notes or not said(whole, "labelled in part")
        assert names(collect(tmp_path).training) == names(whole.training)

    def test_an_open_project_and_one_whose_image_is_gone(self, files, tmp_path):
        images, _ = files
        path = images / "cell0.tif"
        image = Image(tifffile.imread(path), name="cell0", source=path)
        session = Session(image.shape, Project.open(tmp_path / "open.msam", image, "nano"))
        session.handle(LoadLabels.of(draw(0)[1]))
        data = collect(tmp_path / "open.msam")
        assert sum(len(np.unique(one.labels)) - 1 for one in data.training + data.validation) == 4
        session.close()
        kept = path.rename(tmp_path / "elsewhere.tif")
        with pytest.raises(FileError, match=r"give both: \(image, project folder\)"):
            collect(tmp_path / "open.msam")
        again = collect([(kept, tmp_path / "open.msam")])
        assert np.array_equal(again.training[0].labels, data.training[0].labels)
        with pytest.raises(MicrosamError, match="Give the one it was made of"):
            collect([(images / "cell1.tif", tmp_path / "open.msam")])

    def test_a_series_gives_what_is_done_or_begun(self, files, tmp_path):
        images, _ = files
        output = tmp_path / "out"
        output.mkdir()
        kept = (Status.DONE, Status.STARTED, Status.SKIPPED, Status.DONE, Status.UNTOUCHED)
        Catalogue(str(images), {f"cell{i}.tif": f"cell{i}" for i in range(5)}).write(output / "series.json")
        for i, status in enumerate(kept):
            labels = draw(i)[1] if i < 3 else np.zeros((64, 64), np.uint16)
            write_record(make_project(output / f"cell{i}.msam", images / f"cell{i}.tif", labels), Record(status))
        data = collect(output)
        known = {one.name: one.known is None for one in data.training + data.validation}
        assert known == {"cell0.tif": True, "cell1.tif": False, "cell3.tif": True}
        assert said(data, "skipped in the series: cell2.tif")
        assert said(data, "1 image of the series is untouched")
        assert said(data, "1 image is taken to hold no object")
        assert "cell3.tif" in names(data.training)
        moved = tmp_path / "moved"
        moved.mkdir()
        for one in (images, output):
            one.rename(moved / one.name)
        output = moved / "out"
        assert names(collect(output).training) == names(data.training)
        for i in range(5):
            write_record(output / f"cell{i}.msam", Record())
        with pytest.raises(FileError, match="Annotate two images of the series"):
            collect(output)

    def test_an_open_annotator(self, files, tmp_path):
        class Annotator:
            image = Image(draw(3)[0], name="shown")
            session = Session(image.shape)

        Annotator.session.handle(LoadLabels.of(draw(3)[1]))
        data = collect(Annotator())
        assert image_name(data.training[0].name) == "shown"
        assert data.training[0].known is not None


class TestVolumes:
    @pytest.fixture
    def volume(self):
        """Twelve planes, the first two without objects, plane 7 with most of them."""
        many = [draw(i, SPOTS if i == 7 else SPOTS[: 0 if i < 2 else 2]) for i in range(12)]
        return np.stack([a for a, _ in many]), np.stack([b for _, b in many])

    def test_some_planes_are_taken_evenly_and_parted(self, volume):
        data = collect(*volume, planes=4)
        assert names(data.training) == ["image 1: plane 2", "image 1: plane 7", "image 1: plane 8"]
        assert names(data.validation) == ["image 1: plane 10"]
        assert said(data, "4 planes of its 10 planes with objects")
        assert said(data, "the last of its planes is measured with")
        assert np.array_equal(data.training[1].pixels, volume[0][7])

    def test_planes_of_one_volume_stay_together(self, volume):
        data = collect([volume, draw()])
        assert {len({image_name(n) for n in names(part)}) for part in (data.training, data.validation)} == {1}

    def test_movies_have_frames(self, volume):
        assert names(collect(*volume, axes="tyx", planes=2).training) == ["image 1: frame 2"]

    def test_a_partly_annotated_volume_says_nothing_of_other_planes(self, volume, tmp_path):
        path = tmp_path / "stack.tif"
        tifffile.imwrite(path, volume[0])
        labels = volume[1] * (np.arange(12) == 7)[:, None, None]
        project = make_project(tmp_path / "stack.msam", path, labels, axes="zyx")
        data = collect(project)
        assert all(one.startswith("stack: plane 7,") for one in names(data.training + data.validation))
        assert all(one.known is not None for one in data.training + data.validation)

    def test_wide_planes_are_cut_into_pieces_with_objects(self):
        labels = np.zeros((40, 5000), np.uint16)
        labels[10:20, 100:110], labels[10:20, 4000:4010] = 1, 2
        pixels = np.random.default_rng(0).integers(0, 99, labels.shape, np.uint8) + labels.astype(np.uint8) * 50
        data = collect(pixels, labels)
        assert names(data.training) == ["image 1: y 0 to 40, x 0 to 1250"]
        assert names(data.validation) == ["image 1: y 0 to 40, x 3750 to 5000"]
        assert data.validation[0].labels.max() == 1


class TestSplit:
    @pytest.mark.parametrize("count", [2, 3, 5, 12])
    @pytest.mark.parametrize("share", [0.01, 0.2, 0.99])
    def test_neither_part_is_without_objects(self, count, share):
        data = collect([draw(i) for i in range(count)], share=share)
        assert len(data.validation) >= 1
        assert len(data.training) >= 1
        assert len(data.validation) <= max(1, math.ceil(share * count))
        assert len(data.training) + len(data.validation) == count

    def test_it_depends_on_names_and_seed_alone(self):
        images = [draw(i) for i in range(12)]
        one, again = collect(images), collect(images)
        assert names(one.validation) == names(again.validation)
        assert len({tuple(names(collect(images, seed=seed).validation)) for seed in range(6)}) > 1
        shuffled = collect([LabelledImage(a, b.astype(np.int32), name=f"image {i}")
                            for i, (a, b) in reversed(list(enumerate(images, 1)))])  # fmt: skip
        assert set(names(shuffled.validation)) == set(names(one.validation))

    def test_what_is_learned_from_stays_so_when_images_are_added(self):
        images = [draw(i) for i in range(20)]
        before = collect(images[:19])
        after = collect(images)
        moved = set(names(before.training)) & set(names(after.validation))
        assert not moved

    def test_one_image_is_cut_in_two_with_objects_in_both(self):
        pixels, labels = draw()
        data = collect(pixels, labels, share=0.5)
        sides = [data.training[0], data.validation[0]]
        assert sum(one.labels.size for one in sides) == labels.size
        assert sorted(len(np.unique(one.labels)) - 1 for one in sides) == [2, 2]
        assert said(data, "label a second one")
        for one in sides:
            assert np.array_equal(one.labels > 0, one.pixels > 110)

    def test_one_image_that_cannot_be_cut(self):
        with pytest.raises(LabelError, match="Label a second image"):
            collect(*draw(spots=SPOTS[:1]))
        ring = np.zeros((64, 64), np.uint16)
        ring[8:56, 8:56], ring[12:52, 12:52], ring[28:36, 28:36] = 1, 0, 2
        with pytest.raises(LabelError, match="objects that lie apart"):
            collect(draw()[0], ring)

    def test_an_empty_image_is_no_validation(self):
        pixels, labels = draw()
        data = collect([(pixels, labels), (pixels[::-1], labels * 0)])
        assert {image_name(n) for n in names(data.validation)} == {"image 1"}
        assert "image 2" in names(data.training)

    def test_validation_of_ones_own_is_never_learned_from(self, files):
        images, labels = files
        data = collect(images, labels, validation=images / "cell1.tif", validation_labels=labels / "cell1_masks.tif")
        assert names(data.validation) == ["cell1.tif"]
        assert names(data.training) == ["cell0.tif", "cell2.tif", "cell3.tif"]
        assert said(data, "among the validation images too: cell1.tif")
        with pytest.raises(MicrosamError, match="leave validation= out"):
            collect(images, labels, validation=images, validation_labels=labels)

    def test_the_same_pixels_twice_are_taken_once(self):
        data = collect([draw(0), draw(1), draw(0)])
        assert len(data.training) == len(data.validation) == 1
        assert said(data, "others have the same pixels: image 3")


class TestChecks:
    def test_no_objects(self):
        pixels, labels = draw()
        with pytest.raises(ImageError, match="Label a few objects"):
            collect([(pixels, labels * 0), (pixels[::-1], labels * 0)])
        specks = np.zeros_like(labels)
        specks[10:13, 10:13] = 1
        with pytest.raises(ImageError, match="of 10 pixels or more in 1 image"):
            collect(pixels, specks)
        with pytest.raises(MicrosamError, match="Label a few objects"):
            TrainingData((LabelledImage(pixels, labels.astype(np.int32)),), ())

    def test_labels_of_another_size(self, files):
        images, labels = files
        with pytest.raises(LabelError, match="Give labels made for this image"):
            collect([(draw()[0], draw()[1][:50])])
        tifffile.imwrite(labels / "cell1_masks.tif", draw()[1][:50])
        data = collect(images, labels)
        assert said(data, "cell1.tif is left out")
        assert len(data.training + data.validation) == 3

    def test_files_that_cannot_be_read(self, files):
        images, labels = files
        (images / "cell2.tif").write_bytes(b"no image")
        assert said(collect(images, labels), "cell2.tif is left out")
        for one in images.iterdir():
            one.write_bytes(b"no image")
        with pytest.raises(FileError, match="cannot be read"):
            collect(images, labels)

    def test_kinds_of_numbers(self):
        pixels, labels = draw()
        data = collect([(pixels, labels.astype(np.float32)), (pixels[::-1], labels[::-1].astype(np.uint64) * 10**9)])
        assert all(one.labels.max() == 4 for one in data.training + data.validation)
        with pytest.raises(LabelError, match="0 for background"):
            collect(pixels, labels * 0.37)
        with pytest.raises(LabelError, match="Use whole numbers from 0"):
            collect(pixels, labels.astype(int) - 1)

    @pytest.mark.parametrize("mask", [lambda n: n > 0, lambda n: (n > 0).astype(np.uint8) * 255])
    def test_a_mask_is_taken_apart(self, mask):
        pixels, labels = draw()
        data = collect([(pixels, mask(labels)), draw(1)])
        assert [len(np.unique(one.labels)) - 1 for one in data.training + data.validation] == [4, 4]
        assert said(data, "its 4 connected pieces are taken as objects")

    def test_images_and_labels_that_are_swapped(self):
        pixels, labels = draw()
        with pytest.raises(LabelError, match="give the images first, then the labels"):
            collect(labels, pixels)
        with pytest.raises(LabelError, match="looks like an image"):
            collect(pixels, pixels[::-1])

    def test_few_and_tiny_objects_are_told(self):
        labels = draw()[1]
        labels[60:62, 60:62] = 9
        data = collect([(draw()[0], labels), draw(1)])
        assert said(data, "only 4 objects to measure with") or said(data, "only 4 objects to learn from")
        assert said(data, "1 object of less than 10 pixels is not prompted")


def test_the_rim_is_about_as_large_as_the_object_and_never_unlabelled_ground():
    labels = np.zeros((200, 200), np.int32)
    labels[disk((200, 200), 60, 60, 20)], labels[disk((200, 200), 150, 150, 4)] = 3, 700
    whole = np.s_[0:200, 0:200]
    known = known_around(labels, whole)
    assert np.array_equal(known_around(labels, np.s_[70:130, 20:150]), known[70:130, 20:150])
    away = np.hypot(*(np.indices(labels.shape) + 0.5 - 60))
    assert known[away < 29].all()
    assert not known[(away > 31) & (away < 60)].any()
    near = np.hypot(*(np.indices(labels.shape) + 0.5 - 150))
    assert known[near < 5.5].all()
    assert not known[(near > 7) & (near < 40)].any()
    background = known & (labels == 0)
    assert 0.8 < background.sum() / (labels > 0).sum() < 1.6
    assert not known_around(labels * 0, whole).any()


def test_a_summary_counts_and_reads_as_a_table(files):
    data = collect(*files)
    found = summary(data)
    assert (found.training.images, found.training.objects) == (3, 12)
    assert found.validation.objects == 4
    assert found.training.diameter == pytest.approx(14, abs=2)
    assert found.training.groups == ("images",)
    text = str(found).splitlines()
    assert text[0].split() == ["images", "planes", "objects", "diameter", "from"]
    assert text[1].split() == ["training", "3", "3", "12", "13", "px", "images"]
    assert text[3:] == list(data.notes)
