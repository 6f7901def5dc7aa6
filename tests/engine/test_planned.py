"""What a preview tells of every resource, before and after."""

from __future__ import annotations

from cohost.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, masked
from tests.engine.workspace import Workspace, thing


def test_a_preview_pairs_what_is_with_what_would_be_and_masks_secrets(workspace: Workspace) -> None:
    first = [thing("kept"), thing("changed"), thing("gone"), thing("hidden", value={"$secret": "hunter1"})]
    up = workspace.run("up", first)
    assert (up.error, up.planned) == (None, ())
    second = [thing("kept"), thing("changed", value="2"), thing("new"), thing("hidden", value={"$secret": "hunter2"})]
    preview = workspace.run("preview", second)
    assert preview.error is None
    found = {item.urn.rpartition("::")[2]: (item.before, item.after) for item in preview.planned}
    assert {name: found[name] for name in ("kept", "changed", "gone", "new", "hidden")} == {
        "kept": ({"value": "1"}, {"value": "1"}),
        "changed": ({"value": "1"}, {"value": "2"}),
        "gone": ({"value": "1"}, None),
        "new": (None, {"value": "1"}),
        "hidden": ({"value": "[secret]"}, {"value": "[secret]"}),
    }
    assert "hunter" not in repr(preview.planned)


def test_a_secret_is_masked_in_every_form_wherever_it_stands() -> None:
    encrypted = {SIGNATURE: SECRET_SIGNATURE, "ciphertext": "x"}
    assert masked({"a": [Secret("s"), {"b": encrypted}], "c": 1}) == {"a": ["[secret]", {"b": "[secret]"}], "c": 1}
