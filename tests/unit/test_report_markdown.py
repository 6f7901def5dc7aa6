"""Foreign text in the comment is text: no markup, no link, no mention, no end of a table or a block."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from cohost.report.markdown import alert, code, details, fenced, table

FOREIGN = st.text(st.sampled_from("`|<>!&*_[]()#@-~\\\n\r\t\x00\u202e\u200b =:/.aé1 "), max_size=60) | st.text(
    max_size=60
)
GITHUB = MarkdownIt("gfm-like", {"html": True, "linkify": False})


def leaves(text: str) -> list[Token]:
    return [leaf for token in GITHUB.parse(text) for leaf in (token.children or [token])]


@given(FOREIGN)
@example("a`b``c")
@example("`")
@example("<!-- --> @someone #1 ![x](http://e.vil)")
def test_a_code_span_is_one_code_span_whatever_stands_in_it(text: str) -> None:
    kinds = [leaf.type for leaf in leaves(f"see {code(text)} there")]
    assert kinds == ["paragraph_open", "text", "code_inline", "text", "paragraph_close"]


@given(FOREIGN)
@example("```\n<img src=x onerror=y>")
@example("````")
def test_a_fenced_block_ends_where_it_should(text: str) -> None:
    tokens = GITHUB.parse(f"{fenced(text)}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@given(st.lists(st.tuples(FOREIGN, FOREIGN), min_size=1, max_size=3))
@example([("a|b", "c\\|d")])
@example([("\n| x | y |", "z")])
def test_a_table_keeps_its_rows_and_cells(rows: list[tuple[str, str]]) -> None:
    text = table(["one", "two"], rows, lambda row: [code(cell) for cell in row], limit=10)
    tokens = GITHUB.parse(text)
    assert [token.type for token in tokens].count("tr_open") == 1 + len(rows)
    assert [token.type for token in tokens].count("td_open") == 2 * len(rows)
    inlines = [token.children or [] for token in tokens if token.type == "inline"]
    assert {leaf.type for inline in inlines[2:] for leaf in inline} == {"code_inline"}


def test_text_reads_as_it_was_written() -> None:
    (span,) = [leaf for leaf in leaves(f"see {code('a `b` | c')}") if leaf.type == "code_inline"]
    assert span.content == "a `b` | c"
    assert code("model-1") == "`model-1`"
    assert code("x" * 200).count("x") < 160
    assert "…" in code("x" * 200)


def test_what_turns_the_direction_of_reading_is_taken_out() -> None:
    assert code("safe\u202egnp.exe") == "`safegnp.exe`"
    assert "\u2066" not in fenced("a\u2066b")


def test_long_text_says_how_much_is_left_out() -> None:
    assert "… 10 more characters" in fenced("x" * 20, limit=10)
    cut = table(["n"], range(5), lambda number: [str(number)], limit=2)
    assert cut.endswith("… and 3 more.")
    assert "| 4 |" not in cut


def test_boxes_and_parts_that_open_are_github_s() -> None:
    assert alert("NOTE", ["one", "two"]) == "> [!NOTE]\n> one\n> two"
    assert details("More", "body") == "<details><summary>More</summary>\n\nbody\n\n</details>"
