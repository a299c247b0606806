import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from bench import gpu, gpu_clock, gpu_kernels, gpu_live, gpu_paper, gpu_text  # noqa: E402
from bench.timing import Tail  # noqa: E402
from tests.tiny_graphs import tiny_bundle  # noqa: E402

ROOT = Path(__file__).parent.parent
CPU = torch.device("cpu")


def test_all_of_it_on_a_processor(tmp_path: Path, capsys: Any) -> None:
    tiny_bundle(tmp_path / "tiny")
    given = ["--device", "cpu", "--tiny", "--bundle", str(tmp_path / "tiny"), "--json"]
    assert gpu.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    report = json.loads(lines[-1])
    assert {row["backend"]: row["why"] for row in report["one_stream"]} == {"ort": "", "torch": ""}
    assert [row["steps"] for row in report["paper"]] == [5, 10, 20]
    assert [row["streams"] for row in report["many_streams"]] == [1, 4]
    assert report["kernels"] and report["tiny"] is True
    text = "\n".join(lines)
    for head in (
        "fraction",
        "V100, published",
        "live bundle, one stream",
        "most in time: 4 streams",
    ):
        assert head in text
    assert "tiny sizes: these figures say nothing about speed" in text


def test_a_part_that_fails_does_not_cost_the_others(
    tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    def broken(*given: Any, **options: Any) -> Any:
        raise RuntimeError("ptxas\nfailed")

    monkeypatch.setattr(gpu_kernels, "measure", broken)
    monkeypatch.setattr(gpu_paper, "measure", broken)
    monkeypatch.setattr(gpu_live, "many_streams", lambda *given, **options: [row(4, 0.1)])
    tiny_bundle(tmp_path / "tiny")
    given = ["--device", "cpu", "--tiny", "--bundle", str(tmp_path / "tiny")]
    assert gpu.main(given) == 1
    text = capsys.readouterr().out
    assert "kernels: failed: RuntimeError: ptxas failed" in text
    assert "most in time: 4 streams" in text


def test_without_a_gpu_it_says_so_in_one_line(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main([]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1
    assert said.err.startswith("gpu: torch sees no GPU here")


def test_without_torch_it_says_which_python_to_name(monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpu.main([]) == 2
    assert "name a Python that has it, GPU_PYTHON=" in capsys.readouterr().err


def test_no_time_is_refused(capsys: Any) -> None:
    assert gpu.main(["--device", "cpu", "--minutes", "0"]) == 2
    assert "--minutes is 0, more than 0 is needed" in capsys.readouterr().err


def test_it_needs_no_more_than_torch_numpy_and_what_a_gpu_machine_has() -> None:
    """What is not on such a machine must not be imported: nothing can be downloaded there."""
    absent = ["soundfile", "sounddevice", "soxr", "websockets", "prometheus_client", "tqdm", "onnx",
              "onnx_ir", "onnxscript", "scipy", "mido", "av", "matplotlib", "triton"]  # fmt: skip
    code = (
        f"import sys\nfor name in {absent}: sys.modules[name] = None\n"
        "import bench.gpu, bench.gpu_live, bench.gpu_paper, bench.gpu_kernels, bench.gpu_text\n"
        "import bench.machine, bench.report, engine.backends.torch.tick, engine.backends.ort\n"
        "import engine.generator, engine.backends.trial"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def row(streams: int, p999: float) -> gpu_live.ManyStreams:
    tail = Tail(1000, p999, p999, p999, p999, p999, p999)
    return gpu_live.ManyStreams(streams, tail, tail, 0.32, 100, 2_000_000)


def searched(capacity: int, most: int = 8192) -> list[int]:
    found: list[gpu_live.ManyStreams] = []
    for streams in gpu_live._search(found, most):
        found.append(row(streams, 0.1 if streams <= capacity else 0.5))
    return [one.streams for one in found]


@pytest.mark.parametrize(
    ("capacity", "asked"),
    [
        (0, [1]),
        (1, [1, 4, 2]),
        (100, [1, 4, 16, 64, 256, 160, 112, 88]),
        (10**6, [1, 4, 16, 64, 256, 1024, 4096]),
    ],
)
def test_the_most_streams_are_found_by_halving(capacity: int, asked: list[int]) -> None:
    assert searched(capacity) == asked


def test_the_most_in_time_is_told() -> None:
    lines = gpu_text.many_streams([row(4, 0.1), row(16, 0.5), row(8, 0.2)])
    assert lines[-1].startswith("most in time: 8 streams")
    assert sum("late" in line for line in lines) == 1


def test_a_backend_that_did_not_play_is_told_with_its_reason() -> None:
    lines = gpu_text.one_stream([gpu_live.OneStream("tensorrt", why="TensorRT cannot be loaded")])
    assert lines[-1].split(None, 1) == ["tensorrt", "not run: TensorRT cannot be loaded"]


def test_speed_is_audio_over_work() -> None:
    speed = gpu_paper.Speed("float32", 10, pass_s=0.1, decode_s=0.2, window_s=12.0)
    assert speed.times_real_time == pytest.approx(10.0)


def test_a_kernel_is_measured_against_a_copy() -> None:
    assert gpu_kernels.Reached("sru", 100, 30.0, 40.0).fraction == 0.75
    assert gpu_kernels.copy_per_s(gpu_clock.Clock(CPU), 1 << 16) > 0


def test_patience_ends_a_measurement() -> None:
    calls: list[int] = []
    found = gpu_clock.Clock(CPU).seconds(lambda: calls.append(1), 1000, patience_s=0.0)
    assert len(found) == 1 and len(calls) == 2  # one to warm up


def test_the_target_of_make_runs_the_module() -> None:
    done = subprocess.run(
        ["make", "-n", "gpu", "GPU_PYTHON=some-python", "ARGS=--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "some-python -m bench.gpu --json" in done.stdout
    assert "pip" not in done.stdout
