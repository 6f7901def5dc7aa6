from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohost import release
from cohost.errors import CohostError
from cohost.release import ActiveRelease, ModelTarget, Release, for_sagemaker

A, B = "a" * 64, "b" * 64
MODELS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), st.sampled_from([A, B, "c" * 64]))


@given(MODELS, st.randoms())
def test_a_release_depends_on_its_models_and_not_on_their_order(models: dict[str, str], chance: Any) -> None:
    shuffled = sorted(models.items(), key=lambda _: chance.random())
    assert Release(dict(shuffled)).digest == Release(models).digest
    assert Release(dict(shuffled)).to_json() == Release(models).to_json()


@given(MODELS, MODELS)
def test_two_releases_have_one_digest_only_when_they_are_the_same(one: dict[str, str], other: dict[str, str]) -> None:
    assert (Release(one).digest == Release(other).digest) == (one == other)


def test_a_releases_digest_is_what_sha256sum_gives_of_its_lines() -> None:
    assert Release({"b": A, "a": B}).digest == hashlib.sha256(f"{B}  a\n{A}  b\n".encode()).hexdigest()


def test_keys_lie_below_the_prefixes_that_the_stacks_policies_name() -> None:
    assert release.archive_key("iris", A) == f"models/iris/{A}.tar.gz"
    assert release.target("iris", A) == f"iris/{A}.tar.gz"
    assert release.smoke_key("iris", A) == f"smoke/iris/{A}.json"
    assert release.release_key(B) == f"releases/{B}.json"
    assert release.CURRENT_KEY == "releases/current.json"


def test_the_active_release_comes_back_as_it_was_written() -> None:
    active = for_sagemaker({"iris": A, "wine": B}, "shared")
    assert active.models == {"iris": ModelTarget(A, f"iris/{A}.tar.gz"), "wine": ModelTarget(B, f"wine/{B}.tar.gz")}
    assert active.release == Release({"iris": A, "wine": B}).digest
    assert ActiveRelease.from_json(active.to_json()) == active
    assert ActiveRelease.from_json(active.to_json()).to_json() == active.to_json()


DOCUMENT = json.loads(for_sagemaker({"iris": A}, "shared").to_json())


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        {},
        {**DOCUMENT, "models": []},
        {**DOCUMENT, "models": {"iris": A}},
        {**DOCUMENT, "models": {"iris": {"digest": A}}},
        {**DOCUMENT, "models": {"iris": {"digest": A, "target": 3}}},
        {key: value for key, value in DOCUMENT.items() if key != "endpoint"},
        {**DOCUMENT, "release": None},
    ],
    ids=range(11),
)
def test_what_is_no_active_release_is_said_to_be_none(document: Any) -> None:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(CohostError, match=r"releases/current\.json is not an active release"):
        ActiveRelease.from_json(data)


def test_a_newer_document_says_which_version_is_needed() -> None:
    with pytest.raises(CohostError, match="has schema 2; this version of cohost reads schema 1: install"):
        ActiveRelease.from_json(json.dumps({**DOCUMENT, "schema": 2}).encode())
