import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from two_sizes import two_sizes

from engine.backends import standin
from engine.bundle import MANIFEST, Bundle, canonical, default_bundle_path, seal
from engine.errors import BundleError

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def refused(folder: Path, words: str | None = None) -> None:
    with pytest.raises(BundleError, match=words) as caught:
        Bundle.open(folder)
    assert "\n" not in str(caught.value)


def test_a_sealed_bundle_opens(dummy_bundle: Path) -> None:
    bundle = Bundle.open(dummy_bundle)
    assert set(bundle.manifest.files) == {
        "encoder.onnx", "decoder.onnx", "velocity.onnx", "LICENSE",
    }  # fmt: skip
    assert bundle.file("encoder.onnx").read_bytes()
    assert len(bundle.hash) == 64


def test_sealing_twice_gives_the_same_manifest(dummy_bundle: Path) -> None:
    before = (dummy_bundle / MANIFEST).read_bytes()
    seal(dummy_bundle, json.loads(before))
    assert (dummy_bundle / MANIFEST).read_bytes() == before


def test_the_hash_changes_with_any_file(dummy_bundle: Path) -> None:
    before = Bundle.open(dummy_bundle)
    (dummy_bundle / "LICENSE").write_text("another\n")
    assert seal(dummy_bundle, before.manifest.to_json()).hash != before.hash


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@shared
@given(st.data())
def test_a_bundle_truncated_anywhere_is_refused(dummy_bundle: Path, data: st.DataObject) -> None:
    path = dummy_bundle / data.draw(st.sampled_from(names(dummy_bundle)))
    whole = path.read_bytes()
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    try:
        refused(dummy_bundle)
    finally:
        path.write_bytes(whole)
    Bundle.open(dummy_bundle)


@shared
@given(st.data())
def test_a_bundle_with_any_bit_flipped_is_refused(dummy_bundle: Path, data: st.DataObject) -> None:
    path = dummy_bundle / data.draw(st.sampled_from([MANIFEST, *names(dummy_bundle)]))
    whole = path.read_bytes()
    spoilt = bytearray(whole)
    spoilt[data.draw(st.integers(0, len(whole) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(spoilt)
    try:
        refused(dummy_bundle)
    finally:
        path.write_bytes(whole)


@shared
@given(st.binary(max_size=300))
def test_no_manifest_of_any_bytes_is_more_than_a_bundle_error(
    dummy_bundle: Path, content: bytes
) -> None:
    (dummy_bundle / MANIFEST).write_bytes(content)
    refused(dummy_bundle)


def test_every_bit_of_the_manifest_counts(dummy_bundle: Path) -> None:
    """Not even the same number in other letters passes: 1e-05 or 1E-05."""
    values = Bundle.open(dummy_bundle).manifest.to_json()
    seal(dummy_bundle, {**values, "measured": {"x": 1e-5}})
    text = (dummy_bundle / MANIFEST).read_text()
    assert "1e-05" in text
    (dummy_bundle / MANIFEST).write_text(text.replace("1e-05", "1E-05"))
    refused(dummy_bundle, "was changed")


def test_sizes_are_told(dummy_bundle: Path) -> None:
    path = dummy_bundle / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:200])
    refused(dummy_bundle, r"manifest says 500 bytes, decoder.onnx has 200.*fetch it again")


def resealed(folder: Path, **changes: object) -> None:
    """A manifest that vouches for itself, but not for sense."""
    values = json.loads((folder / MANIFEST).read_bytes())
    body = {key: value for key, value in values.items() if key != "self"} | changes
    body["self"] = hashlib.sha256(canonical(body)).hexdigest()
    (folder / MANIFEST).write_bytes(canonical(body))


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b.onnx", "..", ".hidden.onnx", "a\\b.onnx", "", "x\n"]
)
def test_a_path_that_climbs_out_is_refused(dummy_bundle: Path, name: str) -> None:
    files = json.loads((dummy_bundle / MANIFEST).read_bytes())["files"]
    resealed(dummy_bundle, files={**files, name: {"sha256": "0" * 64, "bytes": 1}})
    refused(dummy_bundle, "not a plain file name")


@pytest.mark.parametrize("name", ["model.pt", "weights.pkl", "op.so", "run.py", "engine.plan"])
def test_code_is_refused(dummy_bundle: Path, name: str) -> None:
    (dummy_bundle / name).write_bytes(b"x")
    refused(dummy_bundle, "not in the manifest")
    with pytest.raises(BundleError, match="never code"):
        seal(dummy_bundle, json.loads((dummy_bundle / MANIFEST).read_bytes()))


def test_links_are_refused(dummy_bundle: Path, tmp_path: Path) -> None:
    path = dummy_bundle / "encoder.onnx"
    outside = tmp_path / "elsewhere.onnx"
    path.rename(outside)
    path.symlink_to(outside)
    refused(dummy_bundle, "is a link")


def test_a_linked_manifest_is_refused(dummy_bundle: Path, tmp_path: Path) -> None:
    path = dummy_bundle / MANIFEST
    path.rename(tmp_path / "m.json")
    path.symlink_to(tmp_path / "m.json")
    refused(dummy_bundle, "is a link")


def test_a_missing_file_is_named(dummy_bundle: Path) -> None:
    (dummy_bundle / "velocity.onnx").unlink()
    refused(dummy_bundle, r"velocity\.onnx is missing")


def test_a_folder_in_place_of_a_file_is_refused(dummy_bundle: Path) -> None:
    (dummy_bundle / "velocity.onnx").unlink()
    (dummy_bundle / "velocity.onnx").mkdir()
    refused(dummy_bundle, "not a plain file")


def test_a_graph_must_be_listed(dummy_bundle: Path) -> None:
    files = json.loads((dummy_bundle / MANIFEST).read_bytes())["files"]
    del files["decoder.onnx"]
    (dummy_bundle / "decoder.onnx").unlink()
    resealed(dummy_bundle, files=files)
    refused(dummy_bundle, "used but not listed")


def test_variants_must_be_listed(dummy_bundle: Path) -> None:
    graphs = json.loads((dummy_bundle / MANIFEST).read_bytes())["graphs"]
    graphs["velocity"]["variants"] = {"accelerator": "velocity.unrolled.onnx"}
    resealed(dummy_bundle, graphs=graphs)
    refused(dummy_bundle, "velocity.unrolled.onnx' is used but not listed")


def test_another_version_is_refused(dummy_bundle: Path) -> None:
    resealed(dummy_bundle, format=2)
    refused(dummy_bundle, "format is 2")


@pytest.mark.parametrize("where", ["nowhere", "file", "empty"])
def test_what_is_no_bundle_is_refused(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / where)


def test_a_huge_manifest_is_not_read(dummy_bundle: Path) -> None:
    (dummy_bundle / MANIFEST).write_bytes(b" " * (2 << 20))
    refused(dummy_bundle, "at most 1,048,576")


def test_droppings_of_a_file_manager_do_no_harm(dummy_bundle: Path) -> None:
    (dummy_bundle / ".DS_Store").write_bytes(b"x")
    Bundle.open(dummy_bundle)


def test_golden_latents_are_read_without_pickle(dummy_bundle: Path) -> None:
    values = Bundle.open(dummy_bundle).manifest.to_json()
    golden = {"file": "golden.npz", "seed": 7, "steps": 4, "chunks": 2, "tolerance": 1e-3}
    np.savez(dummy_bundle / "golden.npz", latents=np.ones((32, 8), np.float32))
    latents = seal(dummy_bundle, {**values, "golden": golden}).golden()
    assert latents is not None
    assert latents.shape == (32, 8)
    np.savez(dummy_bundle / "golden.npz", latents=np.array([{}], object))
    with pytest.raises(BundleError, match=r"golden\.npz"):
        seal(dummy_bundle, {**values, "golden": golden}).golden()


def test_a_bundle_in_memory_has_no_files(bundle: Bundle) -> None:
    assert bundle.golden() is None
    with pytest.raises(BundleError, match="no file"):
        bundle.file("encoder.onnx")


def test_the_shipped_bundle_lies_in_the_package() -> None:
    assert default_bundle_path().parts[-3:] == ("engine", "bundles", "live")


# ---- words --------------------------------------------------------------------------------------


def worded(folder: Path, content: bytes) -> Bundle:
    """The stand-in with prompting, sealed with this list of words."""
    manifest = standin.bundle(prompting=True).manifest
    for graph in manifest.graphs.values():
        (folder / graph.file).write_bytes(graph.file.encode())
    (folder / "words.json").write_bytes(content)
    return seal(folder, manifest.to_json())


def test_a_bundle_knows_its_words(tmp_path: Path) -> None:
    assert worded(tmp_path, b'["no", "jazz", "drum and bass"]').words == (
        "no", "jazz", "drum and bass",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"jazz", "words.json is not JSON"),
        (b'{"jazz": 1}', "no list of words"),
        (b'["jazz", 7]', "no list of words"),
        (b'["jazz", ""]', "no list of words"),
        (b"[]", "has no words"),
        (b'["jazz", "jazz"]', "one twice"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    with pytest.raises(BundleError, match=words):
        worded(tmp_path, content)


def test_the_list_of_words_must_be_there(tmp_path: Path) -> None:
    worded(tmp_path, b'["jazz"]')
    (tmp_path / "words.json").unlink()
    with pytest.raises(BundleError, match=r"words.json"):
        seal(tmp_path, standin.bundle(prompting=True).manifest.to_json())


# ---- sizes of chunk -----------------------------------------------------------------------------


def with_sizes(folder: Path) -> Bundle:
    """The dummy bundle with graphs of its own for chunks of 8 frames."""
    wanted = two_sizes().manifest
    for graph in wanted.every_graph:
        (folder / graph.file).write_bytes(graph.file.encode())
    return seal(folder, wanted.to_json())


def test_another_size_is_the_same_bundle(dummy_bundle: Path) -> None:
    bundle = with_sizes(dummy_bundle)
    small = bundle.at(8)
    assert (small.path, small.hash) == (bundle.path, bundle.hash)
    assert small.manifest == bundle.manifest.at(8)
    assert small.file(small.manifest.graphs["velocity"].file).read_bytes() == b"velocity.8.onnx"
    assert bundle.at(16) == bundle
    assert Bundle.open(dummy_bundle).at(8) == small


@pytest.mark.parametrize("variant", [False, True])
def test_files_of_another_size_are_vouched_for_too(dummy_bundle: Path, variant: bool) -> None:
    values = with_sizes(dummy_bundle).manifest.to_json()
    graph = values["sized"]["8"]["graphs"]["velocity"]
    graph |= {"variants": {"cpu": "gone.onnx"}} if variant else {"file": "gone.onnx"}
    with pytest.raises(BundleError, match=r"'gone\.onnx' is used but not listed"):
        seal(dummy_bundle, values)
