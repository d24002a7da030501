import dataclasses
import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfvision.apps.stylizer.export import make_exportable
from tfvision.data.decoding import check_photo, decode_photo
from tfvision.errors import ExportError
from tfvision.export.export import HALF_TOLERANCE
from tfvision.export.saved_model import write_saved_model
from tfvision.export.session import LoadedModel
from tfvision.export.verification import verify_signatures
from tfvision.trained.stylizer_network import load_stylizer, paint
from tfvision.trained.stylizer_run import StylizerRun


@pytest.fixture(scope="module")
def loaded(stylizer_export):
    with LoadedModel(stylizer_export["path"]) as model:
        yield model


def _encoded(pixels, format, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def _pixels(seed, height, width):
    y, x = np.mgrid[:height, :width]
    colours = np.random.default_rng(seed).uniform(0, 2, 3)
    return (127 + 100 * np.sin(colours * (x + 2 * y)[..., None] / 9)).astype(np.uint8)


def _painted(run, pixels):
    return paint(load_stylizer(StylizerRun.open(run)), pixels[None])[0]


@pytest.mark.slow
def test_every_signature_answers_as_keras_does(stylizer_exportable, stylizer_export, loaded):
    assert stylizer_export["signatures"] == ["serving_default", "tensor"]
    differences = verify_signatures(loaded, stylizer_exportable)
    assert list(differences) == ["serving_default", "tensor"]
    assert stylizer_export["differences"]["tflite"] < 1e-4 and differences["tensor"] <= 1


@pytest.mark.slow
def test_photos_of_several_sizes_and_formats_in_one_batch(loaded, stylizer_run):
    photos = [_pixels(0, 30, 44), _pixels(1, 61, 35)]
    batch = np.array([_encoded(photos[0], "PNG"), _encoded(photos[1], "JPEG", quality=95)], object)
    png, jpeg = loaded.run("serving_default", {"image_bytes": batch})["image_bytes"]
    assert (png[:4], jpeg[:3]) == (b"\x89PNG", b"\xff\xd8\xff")
    np.testing.assert_allclose(decode_photo(check_photo(png)), _painted(stylizer_run, photos[0]).astype(int), atol=1)
    assert decode_photo(check_photo(jpeg)).shape == photos[1].shape


def test_a_photo_turned_by_exif_comes_back_upright(loaded):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = _encoded(_pixels(0, 30, 44), "JPEG", exif=exif)
    (picture,) = loaded.run("serving_default", {"image_bytes": np.array([turned], object)})["image_bytes"]
    assert decode_photo(check_photo(picture)).shape == (44, 30, 3)


@pytest.mark.slow
def test_the_tensor_signature_is_uint8_in_and_out(loaded, stylizer_run):
    photo = _pixels(2, 20, 20)
    painted = loaded.run("tensor", {"pixels": photo[None]})["pixels"]
    assert painted.dtype == np.uint8
    np.testing.assert_allclose(painted[0], _painted(stylizer_run, photo).astype(int), atol=1)


@pytest.mark.slow
def test_too_many_pixels_are_refused_before_decoding(loaded):
    # 5000 x 5000 pixels of one colour: a few kilobytes of PNG, 12 GB in the network.
    bomb = _encoded(np.zeros((5000, 5000, 3), np.uint8), "PNG")
    with pytest.raises(tf.errors.InvalidArgumentError, match="too many pixels"):
        loaded.run("serving_default", {"image_bytes": np.array([bomb], object)})


@pytest.mark.slow
def test_the_sample_response_is_a_picture_as_tensorflow_serving_writes_it(stylizer_export):
    import base64

    (prediction,) = json.loads(open(f"{stylizer_export['path']}/assets.extra/sample_response.json").read())["predictions"]
    assert decode_photo(check_photo(base64.b64decode(prediction["image_bytes"]["b64"]))).shape == (180, 240, 3)


@pytest.mark.slow
def test_the_card_names_painting_and_losses_and_no_path(stylizer_export):
    card = json.loads(open(f"{stylizer_export['path']}/assets.extra/model_card.json").read())
    assert card["Task"] == "paints photos in the manner of stripes.png"
    assert set(card["Metrics"]) == {"content, before", "content, after", "style, before", "style, after"}
    assert "/" not in card["Data"]["source"]


@pytest.mark.slow
def test_half_of_the_weights_size(stylizer_run, tmp_path):
    exportable = make_exportable(stylizer_run, half=True)
    differences = {}
    write_saved_model(exportable, tmp_path, finish=lambda model, card: differences.update(verify_signatures(model, exportable, HALF_TOLERANCE)))
    assert differences["tensor"] <= 24 and differences["serving_default"] <= 48


@pytest.mark.slow
def test_a_picture_that_differs_from_keras_is_found(stylizer_exportable, loaded):
    def reference(signature, inputs):
        outputs = stylizer_exportable.reference(signature, inputs)
        return {"pixels": outputs["pixels"] // 2} if signature == "tensor" else outputs

    with pytest.raises(ExportError, match="tensor differs from Keras by"):
        verify_signatures(loaded, dataclasses.replace(stylizer_exportable, reference=reference))


@pytest.mark.slow
def test_served_pictures_are_saved_by_predict(stylizer_export, tmp_path, monkeypatch, capsys):
    from pathlib import Path

    from tfvision.cli.main import main
    from tfvision.serving.server import running_server

    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jpg").write_bytes(_encoded(_pixels(0, 30, 44), "JPEG"))
    (tmp_path / "b.png").write_bytes(_encoded(_pixels(1, 24, 20), "PNG"))
    with running_server(Path(stylizer_export["path"]).parent.parent, rest_port=0, grpc_port=0) as server:
        for url, out in ((server.rest_url, "rest"), (f"grpc://{server.grpc_address}", "grpc")):
            main(["predict", "--server", url, "stripes", "a.jpg", "b.png", "--out", out, "--json"])
            answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
            assert [answer["image_bytes"] for answer in answers] == [f"{out}/a-stripes.jpg", f"{out}/b-stripes.png"]
            assert [Image.open(answer["image_bytes"]).size for answer in answers] == [(44, 30), (20, 24)]
