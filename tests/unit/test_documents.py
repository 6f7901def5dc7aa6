from __future__ import annotations

import ast
import re
import subprocess
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cohost import artifact
from cohost.client.vertex import REDIRECT
from cohost.gcs import GcsStore
from cohost.release import for_sagemaker, for_vertex
from tests.documents import DOCUMENTS, ROOT, blocks, broken_links, python_blocks, rows
from tests.unit.gcs_process import local_gcs
from tests.unit.gcs_stores import BUCKET, a_bucket
from tests.unit.runtime_server import Answer, Request, inputs_of, prediction, running, use_environment
from tests.unit.vertex_server import ENDPOINT, on_vertex, service_account, vertex

# The only reasons a shown command may go without being run.
REASONS = {"it is what the tests of this page are part of", "needs an account", "needs the internet"}
SURE = {"executed", "source", "documentation", "report", "unverified"}
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
# docs/architecture.md, "Layers".
KNOW_PULUMI = {"engine", "local", "provider", "resources", "resources_vertex"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_a_command_goes_unrun_only_for_a_stated_reason(document: Path) -> None:
    assert {block.not_run for block in blocks(document) if block.not_run} <= REASONS


def test_the_readme_shows_commands_and_the_reader_of_blocks_finds_them() -> None:
    shown = [command for block in blocks(ROOT / "README.md") for command in block.commands]
    assert "make test     # lint, types and every test" in shown
    assert any(command.startswith("uv run cohost local up") for command in shown)


def test_the_readme_shows_what_the_demo_prints() -> None:
    assert "@@" not in (ROOT / "README.md").read_text()


def label(request: Request) -> Answer:
    """A model that answers which measurement is the largest."""
    return prediction({"label": inputs_of(request)["measurements"].argmax(axis=1, keepdims=True)})


def test_the_python_of_the_readme_works_as_written_on_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = {"platform": "aws", "region": "eu-west-1", "endpoint": "shared", "store": "s3://a-bucket"}
    known: dict[str, Any] = {"outputs": outputs, "rows": np.eye(3, 4, dtype=np.float32)}
    with running() as server:
        use_environment(monkeypatch, server.url)
        server.answer = label
        server.objects["/a-bucket/releases/current.json"] = for_sagemaker({"my-model": "a" * 64}, "shared").to_json()
        exec("\n".join(python_blocks(ROOT / "README.md")), known)
        known["predictor"].close()
    assert known["answer"]["label"].tolist() == [[0], [1], [2]]
    assert [request.target for request in server.invocations] == [f"my-model/{'a' * 64}.tar.gz"]


def test_the_python_of_the_readme_works_as_written_on_gcp(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    redirects: list[str] = []

    def vertex_ai(request: Request) -> Answer:
        if request.path == "/token":
            return Answer(200, {"Content-Type": "application/json"}, b'{"access_token": "any", "expires_in": 3600}')
        redirects.append(request.headers[REDIRECT])
        return on_vertex(request, label)

    with local_gcs(tmp_path / "gcs") as storage, a_bucket(storage, tmp_path), vertex(monkeypatch) as server:
        server.answer = vertex_ai
        key = service_account(tmp_path, f"{server.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
        store, active = GcsStore.open(f"gs://{BUCKET}"), for_vertex({"my-model": "a" * 64}, ENDPOINT)
        store.put_bytes("releases/current.json", active.to_json())
        outputs = {"platform": "gcp", "region": "europe-west4", "endpoint": ENDPOINT, "store": store.url}
        known: dict[str, Any] = {"outputs": outputs, "rows": np.eye(3, 4, dtype=np.float32)}
        exec("\n".join(python_blocks(ROOT / "README.md")), known)
        known["predictor"].close()
    assert known["answer"]["label"].tolist() == [[0], [1], [2]]
    assert redirects == ["v2/models/my-model/infer"]


def test_the_shown_sha256sum_gives_the_digest_of_an_artifact() -> None:
    [block] = blocks(ROOT / "docs" / "decisions" / "001-artifact-set.md")
    printed = subprocess.run(["bash", "-c", *block.commands], cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.split()[0] == artifact.digest(ROOT / "model_artifacts" / "iris")


def test_every_trap_says_where_it_is_from_when_it_was_looked_at_and_how_sure_it_is() -> None:
    traps = rows(ROOT / "docs" / "traps.md")
    assert len(traps) > 80
    for trap, done, source, day, sure in traps:
        assert trap
        assert done
        assert sure in SURE, trap
        assert source or sure == "unverified", trap
        assert date.fromisoformat(day) >= date(2026, 11, 1), trap


def test_the_decisions_are_numbered_without_a_gap_and_have_the_same_parts() -> None:
    titles = [document.read_text().splitlines()[0] for document in DECISIONS]
    numbers = [document.name[:3] for document in DECISIONS]
    assert numbers == [f"{number:03}" for number in range(1, len(DECISIONS) + 1)]
    assert [title[:6] for title in titles] == [f"# {number}." for number in numbers]
    for document in DECISIONS:
        parts = re.findall(r"^\*\*(\w+)\.?\*\*", document.read_text(), re.MULTILINE)
        assert parts == ["Context", "Decision", "Consequences", "Measured"], document.name


def test_only_the_layers_that_say_so_import_pulumi_and_the_engine_imports_nothing_of_ours() -> None:
    for file in (ROOT / "cohost").rglob("*.py"):
        layer = file.relative_to(ROOT / "cohost").parts[0].removesuffix(".py")
        imported = set(imports(file))
        if layer not in KNOW_PULUMI:
            assert not [name for name in imported if name.split(".")[0] == "pulumi"], file
        if layer == "engine":
            ours = {name for name in imported if name.split(".")[0] in ("cohost", "components", "stacks")}
            assert {name for name in ours if not name.startswith(("cohost.engine", "cohost.errors"))} == set(), file


def imports(file: Path) -> list[str]:
    """The modules that a file names in import statements, wherever they stand in it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found
