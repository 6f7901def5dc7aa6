"""Where in a bucket the stacks' state lies: what of it workflows may touch.

The bootstrap's own state lies beside it, and an administrator believes what it says: whoever could write that could
have anything done. Source: pulumi/pulumi 3.260, pkg/backend/diy/{store,lock}.go.
"""

from __future__ import annotations

from typing import Final

from cohost import tokens

# Tells how the rest is laid out.
META: Final = ".pulumi/meta.yaml"
STACKS: Final = (
    f".pulumi/stacks/{tokens.PROJECT}/",
    f".pulumi/history/{tokens.PROJECT}/",
    f".pulumi/backups/{tokens.PROJECT}/",
    f".pulumi/locks/organization/{tokens.PROJECT}/",
)
