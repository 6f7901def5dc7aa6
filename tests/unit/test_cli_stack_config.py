from __future__ import annotations

import json
from pathlib import Path

import pytest

from cohost.errors import InputError
from cohost.local import stack_config

PROJECT = """
name: shop
runtime: python
config:
  platform: {default: aws}
  count: {type: integer, default: 2}
  aws:region: {value: eu-west-1}
"""
STACK = """
config:
  shop:count: 3
  big: true
  shop:text: '007'
  shop:models: [b, {k: 0.5}]
  aws:profile: dev
"""


def write(root: Path, project: str, stack: str) -> Path:
    (root / "Pulumi.yaml").write_text(project)
    (root / "Pulumi.dev.yaml").write_text(stack)
    return root


def test_values_arrive_as_the_real_engine_hands_them_over(tmp_path: Path) -> None:
    root = write(tmp_path, PROJECT, STACK)
    config = stack_config.load(root, "dev")
    assert config.project == "shop"
    assert config.platform == "aws"
    assert config.values == {
        "shop:platform": "aws",
        "shop:count": "3",
        "shop:big": "true",
        "shop:text": "007",
        "shop:models": json.dumps(["b", {"k": 0.5}], separators=(",", ":")),
        "aws:region": "eu-west-1",
        "aws:profile": "dev",
    }
    assert config.secret_keys == frozenset()


def test_a_default_declared_secret_stays_secret(tmp_path: Path) -> None:
    root = write(tmp_path, "name: p\nconfig:\n  token: {default: t, secret: true}\n", "config: {}\n")
    assert stack_config.load(root, "dev").secret_keys == {"p:token"}


def test_every_encrypted_value_is_named_at_once(tmp_path: Path) -> None:
    root = write(tmp_path, "name: p\n", "config:\n  p:a: {secure: v1:x}\n  p:b: {in: [{secure: v1:y}]}\n")
    with pytest.raises(InputError) as raised:
        stack_config.load(root, "dev")
    assert [(problem.file, problem.key) for problem in raised.value.problems] == [
        ("Pulumi.dev.yaml", "p:a"),
        ("Pulumi.dev.yaml", "p:b"),
    ]


def test_an_unknown_stack_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    root = write(tmp_path, "name: p\n", "config: {}\n")
    with pytest.raises(InputError, match="stacks of this project: dev"):
        stack_config.load(root, "prod")


@pytest.mark.parametrize("name", ["emulators", "cache", "demo", "../x", "", "a b"])
def test_a_name_that_would_leave_the_stacks_own_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="cannot name a stack"):
        stack_config.load(write(tmp_path, "name: p\n", ""), name)


def test_broken_yaml_is_one_line_that_names_the_file(tmp_path: Path) -> None:
    root = write(tmp_path, "name: p\n", "config: [\n")
    with pytest.raises(InputError) as raised:
        stack_config.load(root, "dev")
    (problem,) = raised.value.problems
    assert problem.file == "Pulumi.dev.yaml"
    assert "\n" not in problem.message


def test_the_project_is_found_from_a_folder_inside_it(tmp_path: Path) -> None:
    root = write(tmp_path, "name: p\n", "")
    (root / "a/b").mkdir(parents=True)
    assert stack_config.find_root(root / "a/b") == root
