import subprocess
from pathlib import Path

from engine.backends import gpu


def test_a_gpu_is_described_by_its_driver(monkeypatch) -> None:
    answer = "NVIDIA H200, 9.0, 580.159.03\nNVIDIA H200, 9.0, 580.159.03\n"

    def run(*args, **options):
        return subprocess.CompletedProcess(args, 0, answer)

    monkeypatch.setattr(subprocess, "run", run)
    assert gpu.first_gpu() == gpu.Gpu("NVIDIA H200", "9.0", "580.159.03")


def test_no_driver_no_description(monkeypatch) -> None:
    def run(*args, **options):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", run)
    assert gpu.first_gpu() is None
    assert gpu.parsed("") is None and gpu.parsed("no devices were found\n") is None


def test_a_sign_of_a_driver_is_enough_to_try(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gpu, "SIGNS", (str(tmp_path / "none"),))
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    assert "no NVIDIA GPU" in gpu.no_gpu()
    monkeypatch.setattr(gpu, "SIGNS", (str(tmp_path),))
    assert gpu.no_gpu() == ""
