from __future__ import annotations

import random
import threading
import time
from pathlib import Path

import pytest

from cohost.errors import CohostError
from cohost.local.ending import Ending, EndingError
from cohost.local.sagemaker.triton import MultiModelTriton
from cohost.local.triton import install, memory
from cohost.local.triton.launch import Launch, prepare
from cohost.local.vertex.triton import Container, VertexTriton

FLAGS = ["--allow-http=false", "--allow-grpc=false"]


@pytest.fixture
def docker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the wheel, and with docker."""
    monkeypatch.setattr(install, "wheel", lambda: None)
    monkeypatch.setattr(install, "docker", lambda: "/usr/bin/docker")


def launch(folder: Path, environment: dict[str, str], **more: list[Path]) -> Launch:
    return prepare(folder, mark="cohost-1-a", port=8123, flags=FLAGS, environment=environment, **more)


def option(command: list[str], name: str) -> list[str]:
    return [command[index + 1] for index, word in enumerate(command) if word == name]


@pytest.mark.usefixtures("docker_alone")
def test_without_the_wheel_triton_runs_in_a_container_that_answers_on_the_loopback_interface_alone(
    tmp_path: Path,
) -> None:
    found = launch(tmp_path, {"SAGEMAKER_MULTI_MODEL": "true"})
    command = list(found.command)
    assert command[:2] == ["/usr/bin/docker", "run"]
    assert option(command, "-p") == ["127.0.0.1:8123:8123"]
    assert found.container is not None
    assert found.container.startswith("cohost-1-a-")
    assert option(command, "--name") == [found.container]
    assert command[command.index(install.CONTAINER_IMAGE) :] == [install.CONTAINER_IMAGE, "tritonserver", *FLAGS]


@pytest.mark.usefixtures("docker_alone")
def test_two_containers_never_have_the_same_name(tmp_path: Path) -> None:
    assert launch(tmp_path, {}).container != launch(tmp_path, {}).container


@pytest.mark.usefixtures("docker_alone")
def test_in_the_mode_of_vertex_ai_the_image_puts_the_command_before_the_flags_itself(tmp_path: Path) -> None:
    command = list(launch(tmp_path, {"AIP_MODE": "PREDICTION"}).command)
    assert command[command.index(install.CONTAINER_IMAGE) :] == [install.CONTAINER_IMAGE, *FLAGS]


@pytest.mark.usefixtures("docker_alone")
def test_a_container_gets_every_variable_and_no_value_of_one_stands_on_its_command_line(tmp_path: Path) -> None:
    found = launch(tmp_path, {"TOKEN": "very-secret", "OTHER": "1"})
    assert option(list(found.command), "-e") == ["TOKEN", "OTHER"]
    assert found.environment == {"TOKEN": "very-secret", "OTHER": "1"}
    assert not any("very-secret" in word for word in found.command)


@pytest.mark.usefixtures("docker_alone")
def test_a_container_sees_its_folders_where_this_machine_has_them(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    command = list(launch(tmp_path / "instances", {}, repositories=[copies]).command)
    assert option(command, "-v") == [f"{path}:{path}" for path in (tmp_path / "instances", copies)]


def test_with_the_wheel_nothing_runs_in_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = install.Installation(("/bin/tritonserver",), tmp_path / "backends", {"LD_LIBRARY_PATH": "/libraries"})
    monkeypatch.setattr(install, "wheel", lambda: tmp_path)
    monkeypatch.setattr(install, "from_wheel", lambda server, folder: installed)
    found = launch(tmp_path, {"LD_LIBRARY_PATH": "/other", "A": "1"})
    assert found.container is None
    assert found.command[:3] == ["/bin/tritonserver", *FLAGS]
    assert f"--backend-directory={tmp_path / 'backends'}" in found.command
    assert found.environment == {"LD_LIBRARY_PATH": "/libraries", "A": "1"}


def test_a_machine_with_neither_is_told_both_remedies_by_either_cloud(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "wheel", lambda: None)
    monkeypatch.setattr(install, "docker", lambda: None)
    container = Container(
        artifacts=tmp_path, args=[], environment={}, predict_route="/p", health_route="/h", seconds=1.0
    )
    with pytest.raises(CohostError, match=r"nvidia-pytriton .* docker"):
        VertexTriton(tmp_path, mark="cohost-1-a", container=container)
    with pytest.raises(CohostError, match=r"nvidia-pytriton .* docker"):
        MultiModelTriton(tmp_path, mark="cohost-1-a", environment={})


def test_a_model_takes_its_files_and_what_every_loaded_model_takes(tmp_path: Path) -> None:
    (tmp_path / "b/1").mkdir(parents=True)
    (tmp_path / "b/1/model.onnx").write_bytes(b"x" * 1000)
    (tmp_path / "b/config.pbtxt").write_bytes(b"y" * 10)
    (tmp_path / "a").mkdir()
    (tmp_path / "repositories.json").write_bytes(b"no model")
    found = memory.of_repository(tmp_path)
    assert found == {"a": memory.MODEL_OVERHEAD_BYTES, "b": memory.MODEL_OVERHEAD_BYTES + 1010}


def test_the_first_model_without_room_is_the_first_whose_sum_exceeds_the_memory() -> None:
    chance = random.Random(1)
    for _ in range(200):
        sizes = {f"m{index}": chance.randrange(1, 50) for index in range(chance.randrange(1, 9))}
        limit = chance.randrange(0, 250)
        found = memory.first_without_room(sizes, limit)
        held = list(sizes)[: list(sizes).index(found)] if found else list(sizes)
        assert sum(sizes[name] for name in held) <= limit
        assert found is None or sum(sizes[name] for name in [*held, found]) > limit


def test_work_goes_on_until_the_end_begins_and_no_further() -> None:
    ending = Ending()
    ending.stay()
    ending.sleep(0)
    assert not ending.begun()
    ending.begin()
    assert ending.begun()
    with pytest.raises(EndingError):
        ending.stay()


def test_the_end_wakes_what_sleeps() -> None:
    ending, begun = Ending(), time.monotonic()
    threading.Timer(0.05, ending.begin).start()
    with pytest.raises(EndingError):
        ending.sleep(600)
    assert time.monotonic() - begun < 600
