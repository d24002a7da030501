import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tfvision.errors import DataError, RecipeError, UserError, WeightsError
from tfvision.features.clip_tokens import END, START, ClipTokenizer, read_tokenizer
from tfvision.features.extractor import open_extractor
from tfvision.features.recipe import FeatureRecipe
from tfvision.features.text_encoder import MOST_CHARACTERS, TextEncoder, checked_text, find_towers, open_text_encoder
from tfvision.models.towers import open_tower

VOCABULARY = {"r": 0, "e": 1, "d": 2, "d</w>": 3, "re": 4, "red</w>": 5, "s</w>": 6, "Ã": 7, "¼</w>": 8, "!</w>": 9, "1</w>": 10, START: 11, END: 12}
MERGES = [("r", "e"), ("re", "d</w>")]


def test_texts_become_byte_pairs_as_clip_makes_them(tmp_path):
    tokenizer = ClipTokenizer(VOCABULARY, MERGES)
    assert tokenizer.tokens("Red!", 77) == [11, 5, 9, 12]
    assert tokenizer.tokens("  red\n reds ", 77) == [11, 5, 4, 2, 6, 12]  # "reds" knows only its first pair
    assert tokenizer.tokens("ü 1", 77) == [11, 7, 8, 10, 12]  # of the bytes C3 BC
    assert tokenizer.tokens("red " * 100, 5) == [11, 5, 5, 5, 12]
    assert tokenizer.tokens(END, 77)[1:-1] != [12]  # what is typed is no command

    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in MERGES))
    assert read_tokenizer(tmp_path).tokens("red!", 77) == [11, 5, 9, 12]
    model = {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": VOCABULARY, "merges": [" ".join(pair) for pair in MERGES]}
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": model, "padding": {"pad_id": 0}}))
    assert read_tokenizer(tmp_path).tokens("red!", 77) == [11, 5, 9, 12] and read_tokenizer(tmp_path).padding == 0
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"type": "Unigram", "vocab": []}}))
    with pytest.raises(DataError, match="tokenizer.json is a tokenizer of the type 'Unigram'.*else give a SavedModel that takes strings"):
        read_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {**model, "vocab": {**VOCABULARY, "x": "1"}}}))
    with pytest.raises(DataError, match="is damaged, its vocabulary or its merges are of another kind"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("change", [{"padding": [1]}, {"added_tokens": 1}, {"model": {"merges": [1]}}, {"model": {"merges": [["a"]]}}])
def test_a_tokenizer_of_another_kind_is_told(tmp_path, change):
    model = {"type": "BPE", "end_of_word_suffix": "</w>", "vocab": VOCABULARY, "merges": [], **change.get("model", {})}
    (tmp_path / "tokenizer.json").write_text(json.dumps({**change, "model": model}))
    with pytest.raises(UserError, match="of another kind"):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize("text, plain", [("a\x00red\x1b[31m\nbird\udc80", "a red [31m bird"), ("  草 ", "草")])
def test_control_characters_are_spaces(text, plain):
    assert checked_text(text) == plain


@pytest.mark.parametrize(
    "text, message", [("\x00 \n", "is empty: type what the picture shows"), ("a" * 2**20, f"{MOST_CHARACTERS} characters at most, got 1,048,576")]
)
def test_texts_without_a_word_or_end_are_refused(text, message):
    with pytest.raises(DataError, match=message):
        checked_text(text)


def test_a_pair_of_saved_models_sees_texts_and_pictures_alike(colour_towers):
    encoder = open_text_encoder(colour_towers)
    assert encoder.dimension == 3 and encoder.encode("a RED bird") == pytest.approx([1, 0, 0])
    extractor = open_extractor(FeatureRecipe(model=str(colour_towers)))
    red = np.zeros((2, 8, 8, 3), np.uint8)
    red[0, ..., 0] = red[1, ..., 2] = 200
    assert extractor.features(red) == pytest.approx(np.float32([[1, 0, 0], [0, 0, 1]]), abs=1e-6)
    assert extractor.features(red) @ encoder.encode("something blue") == pytest.approx([0, 1], abs=1e-6)
    with pytest.raises(RecipeError, match="sees images of 8 px alone"):
        open_extractor(FeatureRecipe(model=str(colour_towers), image_size=64))


def test_towers_that_do_not_fit_together_are_told(colour_towers, tmp_path, save_text_tower):
    pair = shutil.copytree(colour_towers, tmp_path / "pair")
    shutil.rmtree(pair / "text")
    with pytest.raises(
        DataError, match=r"--text-model takes a folder with two towers \(text.onnx or text_model.onnx and image.onnx.*, which has no text tower"
    ):
        open_text_encoder(pair)
    save_text_tower(pair / "text", ("red", "green"))
    with pytest.raises(DataError, match="text makes vectors of 2 values, .*image of 3: give the two towers of one model"):
        open_text_encoder(pair)
    assert find_towers(tmp_path) is None and find_towers(tmp_path / "text.onnx") is None


def test_a_text_tower_of_tokens_gets_them_filled_up_and_a_mask(colour_towers, tmp_path):
    class Tokens(tf.Module):
        """Answers with the tokens themselves, masked."""

        @tf.function(input_signature=[tf.TensorSpec([None, 6], tf.int32, "input_ids"), tf.TensorSpec([None, 6], tf.int32, "attention_mask")], autograph=False)
        def __call__(self, input_ids, attention_mask):
            return {"text_embeds": tf.cast(input_ids * attention_mask, tf.float32)}

    pair = shutil.copytree(colour_towers, tmp_path / "pair")
    shutil.rmtree(pair / "text")
    module = Tokens()
    tf.saved_model.save(module, str(pair / "text"), {"serving_default": module.__call__})
    with pytest.raises(DataError, match="has neither tokenizer.json, nor vocab.json and merges.txt"):
        open_text_encoder(pair)
    (pair / "vocab.json").write_text(json.dumps(VOCABULARY))
    (pair / "merges.txt").write_text("r e\nre d</w>\n")
    with pytest.raises(DataError, match="text makes vectors of 6 values"):
        open_text_encoder(pair)
    vector = TextEncoder(find_towers(pair), open_tower(pair / "text")).encode("red")
    assert vector * np.linalg.norm([11, 5, 12]) == pytest.approx([11, 5, 12, 0, 0, 0], abs=1e-5)


def test_onnx_towers_answer_as_they_were_made(colour_towers, tmp_path):
    onnx = pytest.importorskip("onnx", reason="the extra tfvision[onnx] is not installed")
    pytest.importorskip("onnxruntime", reason="the extra tfvision[onnx] is not installed")
    helper, kind = onnx.helper, onnx.TensorProto
    (tmp_path / "onnx").mkdir()
    pixels = helper.make_tensor_value_info("pixel_values", kind.FLOAT, ["batch", 3, 8, 8])
    mean = helper.make_node("ReduceMean", ["pixel_values"], ["image_embeds"], axes=[2, 3], keepdims=0)
    graph = helper.make_graph([mean], "image", [pixels], [helper.make_tensor_value_info("image_embeds", kind.FLOAT, ["batch", 3])])
    opset = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "onnx" / "vision_model.onnx")
    ids = helper.make_tensor_value_info("input_ids", kind.INT64, ["batch", "length"])
    table = helper.make_tensor("table", kind.FLOAT, [len(VOCABULARY), 3], np.eye(len(VOCABULARY))[:, [5, 9, 10]].ravel().tolist())
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["rows"]), helper.make_node("ReduceMean", ["rows"], ["text_embeds"], axes=[1], keepdims=0)]
    graph = helper.make_graph(nodes, "text", [ids], [helper.make_tensor_value_info("text_embeds", kind.FLOAT, ["batch", 3])], [table])
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), tmp_path / "onnx" / "text_model.onnx")
    (tmp_path / "vocab.json").write_text(json.dumps(VOCABULARY))
    (tmp_path / "merges.txt").write_text("r e\nre d</w>\n")
    with pytest.raises(RecipeError, match="has no preprocessor_config.json, which says what goes into vision_model.onnx"):
        open_text_encoder(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 8}, "image_mean": [0, 0, 0], "image_std": [0.5, 0.5, 0.5]}))
    for named in (tmp_path, tmp_path / "onnx" / "text_model.onnx"):
        assert open_text_encoder(named).encode("red") == pytest.approx([1, 0, 0])
    assert find_towers(tmp_path / "onnx" / "text_model.onnx").folder == tmp_path
    green = np.zeros((1, 8, 8, 3), np.uint8)
    green[..., 1] = 255
    assert open_extractor(FeatureRecipe(model=str(tmp_path), is_normalised=False)).features(green) == pytest.approx(np.float32([[0, 2, 0]]))
    (tmp_path / "onnx" / "text_model.onnx").write_bytes(b"no model")
    with pytest.raises(WeightsError, match="text_model.onnx cannot be loaded as ONNX"):
        open_text_encoder(tmp_path)
