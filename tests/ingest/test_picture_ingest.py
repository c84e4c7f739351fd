import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from dpmed.core.errors import ConfigError
from dpmed.ingest.pictures import read_picture, scan_picture
from dpmed.ingest.reasons import Reason, Refused


def png_chunks(content):
    place, names = 8, []
    while place < len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        names.append(content[place + 4 : place + 8])
        place += length + 12
    return set(names)


def test_pictures_become_labelled_cases(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    assert (got.result.cases, got.result.patients, got.result.task) == (6, 3, "covid-ct")
    case = got.manifest.cases[0]
    assert (case.intensity, case.geometry.shape) == ("display", (9, 7))
    originals = {read_picture(path).tobytes() for path in (tmp_path / "in" / "images").iterdir()}
    assert {read_picture(tmp_path / "out" / case.images["ct"]).tobytes() for case in got.manifest.cases} == originals


def test_nothing_but_pixels_survives(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images", count=2)
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", "Ottoline Quillfeather")
    grey = Image.fromarray(np.zeros((4, 4), np.uint8))
    grey.save(tmp_path / "in" / "images" / "shot0.png", pnginfo=told, dpi=(72, 72))
    exif = Image.Exif()
    exif[0x9286] = "Larkspur Infirmary"
    grey.save(tmp_path / "in" / "images" / "shot1.png", exif=exif)
    got = make.run(tmp_path / "in", tmp_path / "out", labels=csv)
    for case in got.manifest.cases:
        assert png_chunks((tmp_path / "out" / case.images["ct"]).read_bytes()) == {b"IHDR", b"IDAT", b"IEND"}
    assert got.result.identifiers_removed["free text"] == 1
    assert got.result.identifiers_removed["embedded data"] >= 1


def test_colour_becomes_grey_and_jpeg_and_tiff_are_read(tmp_path):
    Image.new("RGB", (5, 3), (200, 200, 200)).save(tmp_path / "a.jpg")
    Image.new("RGBA", (5, 3), (9, 9, 9, 128)).save(tmp_path / "a.png")
    Image.new("L", (5, 3), 77).save(tmp_path / "a.tif")
    values = [read_picture(tmp_path / name) for name in ("a.jpg", "a.png", "a.tif")]
    assert [(int(grey[0, 0]), grey.shape, grey.dtype) for grey in values] == [
        (200, (3, 5), np.uint8),
        (9, (3, 5), np.uint8),
        (77, (3, 5), np.uint8),
    ]


def test_sixteen_bits_are_kept(make, tmp_path):
    (tmp_path / "in").mkdir()
    Image.fromarray(np.array([[0, 40000]], np.uint16)).save(tmp_path / "in" / "deep.png")
    (tmp_path / "l.csv").write_text("image,patient,label\ndeep.png,A,1\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=tmp_path / "l.csv")
    (case,) = got.manifest.cases
    assert case.intensity == "arbitrary"
    assert np.asarray(Image.open(tmp_path / "out" / case.images["ct"])).tolist() == [[0, 40000]]


@pytest.mark.parametrize("pixels", [np.array([[0.5, 2.0]], np.float32), np.array([[-1, 70000]], np.int32)])
def test_pixels_without_a_grey_scale_are_refused(tmp_path, pixels):
    Image.fromarray(pixels).save(tmp_path / "x.tif")
    with pytest.raises(Refused) as refusal:
        read_picture(tmp_path / "x.tif")
    assert refusal.value.reason is Reason.DEPTH


def test_a_file_of_several_pages_is_refused(tmp_path):
    page = Image.new("L", (3, 3))
    page.save(tmp_path / "x.tif", save_all=True, append_images=[page])
    with pytest.raises(Refused) as refusal:
        read_picture(tmp_path / "x.tif")
    assert refusal.value.reason is Reason.MULTI_FRAME


@pytest.mark.parametrize("name", ["turned.jpg", "turned.png", "turned.tif"])
def test_exif_orientation_is_applied_before_it_is_dropped(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned a quarter: the first row is the last column
    Image.fromarray(np.array([[0, 0, 0], [200, 200, 200]], np.uint8)).save(tmp_path / name, exif=exif, quality=100)
    assert read_picture(tmp_path / name).tolist() == [[200, 0]] * 3


@pytest.mark.parametrize("name", ["turned.png", "turned.tif"])
def test_sixteen_bits_are_turned_as_well(tmp_path, name):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.array([[1, 2, 3], [400, 500, 600]], np.uint16)).save(tmp_path / name, exif=exif)
    assert read_picture(tmp_path / name).tolist() == [[400, 1], [500, 2], [600, 3]]


def test_a_tiff_that_counts_downwards_is_turned_round(tmp_path):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0  # WhiteIsZero: Pillow writes the values of 16 bits as they are
    Image.fromarray(np.array([[0, 65535, 1000]], np.uint16)).save(tmp_path / "deep.tif", tiffinfo=tags)
    assert read_picture(tmp_path / "deep.tif").tolist() == [[65535, 0, 64535]]


def test_the_first_of_the_pictures_in_a_jpeg_is_taken(tmp_path):
    preview = Image.new("L", (2, 2), 9)
    Image.new("L", (5, 3), 200).save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[preview])
    assert read_picture(tmp_path / "x.jpg").tolist() == [[200] * 5] * 3


def planted_png(path, told):
    exif, text = Image.Exif(), PngImagePlugin.PngInfo()
    exif[0x010E] = told["description"]
    exif.get_ifd(0x8769)[0x9286] = told["comment"]
    exif.get_ifd(0x8825)[29] = told["place"]
    text.add_text("Author", told["author"])
    text.add_itxt("XML:com.adobe.xmp", told["xmp"])
    text.add_text("Packed", told["packed"], zip=True)
    picture = Image.fromarray(np.zeros((4, 4), np.uint8))
    picture.save(path, exif=exif, pnginfo=text, icc_profile=told["profile"].encode())
    path.write_bytes(path.read_bytes() + told["trailing"].encode())


def planted_jpeg(path, told):
    exif = Image.Exif()
    exif[0x010E] = told["description"]
    exif.get_ifd(0x8769)[0x9286] = told["comment"]
    exif.get_ifd(0x8825)[29] = told["place"]
    exif[0x013B] = told["author"]
    picture = Image.fromarray(np.zeros((4, 4), np.uint8))
    picture.save(path, exif=exif, comment=told["packed"].encode(), icc_profile=told["profile"].encode())
    path.write_bytes(path.read_bytes() + told["trailing"].encode())


def planted_tiff(path, told):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270], tags[315], tags[65000], tags[700] = (
        told["description"],
        told["author"],
        told["packed"],
        told["xmp"].encode(),
    )
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(path, tiffinfo=tags, icc_profile=told["profile"].encode())
    path.write_bytes(path.read_bytes() + told["trailing"].encode())


@pytest.mark.parametrize(("name", "plant"), [("x.png", planted_png), ("x.jpg", planted_jpeg), ("x.tif", planted_tiff)])
def test_every_passenger_of_a_picture_stays_behind(make, tmp_path, name, plant):
    words = ("description", "comment", "place", "author", "xmp", "packed", "profile", "trailing")
    told = {word: f"Quillfeather {word}" for word in words}
    (tmp_path / "in").mkdir()
    plant(tmp_path / "in" / name, told)
    (tmp_path / "l.csv").write_text(f"image,patient,label\n{name},A,1\n")
    got = make.run(tmp_path / "in", tmp_path / "out", labels=tmp_path / "l.csv")
    (image,) = make.snapshot(tmp_path / "out" / "images").values()
    assert png_chunks(image) == {b"IHDR", b"IDAT", b"IEND"}
    assert b"Quillfeather" not in b"".join(make.snapshot(tmp_path / "out").values())
    counted = got.result.identifiers_removed
    assert counted.get("embedded data", 0) + counted.get("free text", 0) >= 4


def test_what_a_picture_says_is_harvested_at_every_level(tmp_path):
    told = {word: f"Quillfeather {word}" for word in ("description", "comment", "place", "author", "packed", "profile",
                                                      "trailing")}  # fmt: skip
    planted_jpeg(tmp_path / "x.jpg", told)
    tokens = scan_picture(tmp_path / "x.jpg", harvest=True).tokens
    assert {told[word].encode() for word in ("description", "comment", "place", "author", "packed")} <= tokens


def test_a_damaged_picture_is_held_back(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    path = tmp_path / "in" / "images" / "shot0.png"
    path.write_bytes(path.read_bytes()[:60])
    result = make.run(tmp_path / "in", tmp_path / "out", labels=csv).result
    assert (result.cases, result.quarantined_by_reason) == (5, {"damaged or malformed": 1})


def test_a_picture_without_a_row_is_held_back(make, tmp_path):
    csv = make.pictures(tmp_path / "in" / "images")
    Image.new("L", (3, 3)).save(tmp_path / "in" / "images" / "stray.png")
    result = make.run(tmp_path / "in", tmp_path / "out", labels=csv).result
    assert result.quarantined_by_reason == {"no patient is known for it": 1}


def test_one_row_for_two_pictures_is_refused(make, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        Image.new("L", (3, 3)).save(tmp_path / "in" / folder / "x.png")
    (tmp_path / "l.csv").write_text("image,patient,label\nx.png,A,1\n")
    with pytest.raises(ConfigError, match="fit several pictures"):
        make.run(tmp_path / "in", tmp_path / "out", labels=tmp_path / "l.csv")


def test_pictures_without_a_label_file_are_refused(make, tmp_path):
    make.pictures(tmp_path / "in" / "images")
    with pytest.raises(ConfigError, match="need"):
        make.run(tmp_path / "in" / "images", tmp_path / "out")
