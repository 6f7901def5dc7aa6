"""The comment on a pull request: previews of stacks in, one Markdown document out; pure.

`read.read` takes what `pulumi preview --json` or `cohost local preview --json` printed, `comment.render` lays it out.
"""

from __future__ import annotations
