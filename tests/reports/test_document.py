"""One tree, two writers: the same words in HTML and in Markdown, and nothing of them is markup."""

from __future__ import annotations

import re

import pytest

from anomalens.reports.parts import document as doc
from anomalens.reports.parts.as_html import as_html
from anomalens.reports.parts.as_markdown import as_markdown

HOSTILE = "<b>|`x`*_\n\u202e"
TREE: tuple[doc.Block, ...] = (
    doc.Heading(2, ("plates ", doc.Mark("good", "badge", "good"))),
    doc.Paragraph("a lead", "lead"),
    doc.Bullets(("first", ("run ", doc.Mark("make", "code")))),
    doc.Facts((("Data", "here"),)),
    doc.Table(("name", "value"), (("group",), ("one", ("1", doc.Mark("(0 to 2)", "under"))))),
    doc.Command("anomalens demo"),
    doc.Drawing("<svg></svg>", "a line that rises", "a curve"),
    doc.Entry("missed", "a.png", "flagged", (doc.Photo("a.jpg", "The picture", "as it is"),), ("score 1",)),
    doc.Fold((doc.Paragraph("more"),), (doc.Box((doc.Paragraph("inside"),), "box"),)),
    doc.Html("<hr>"),
)


def test_markdown_of_every_block() -> None:
    assert as_markdown(TREE).split("\n\n") == [
        "## plates **good**",
        "a lead",
        "- first\n- run `make`",
        "- Data: here",
        "| name | value |\n| --- | --- |\n| group |  |\n| one | 1 (0 to 2) |",
        "    anomalens demo",
        "a line that rises",
        "- **missed** a.png: score 1",
        "more",
        "inside\n",
    ]


def test_html_of_every_block() -> None:
    html = as_html(TREE)
    assert '<h2>plates <span class="badge good">good</span></h2><p class="lead">a lead</p>' in html
    assert "<li>run <code>make</code></li>" in html and "<dt>Data</dt><dd>here</dd>" in html
    assert '<div class="scroll"><table>' in html and '<th colspan="2" scope="rowgroup">group</th>' in html
    assert "<figure><svg></svg><figcaption>a curve</figcaption></figure>" in html
    assert '<article class="entry flagged"><h3><span class="badge">missed</span>' in html
    assert '<img src="a.jpg" alt="The picture"' in html
    assert html.endswith('<summary><p>more</p></summary><div class="box"><p>inside</p></div></details><hr>')


@pytest.mark.parametrize("kind", ["strong", "code", "link", "badge", "under"])
def test_no_text_is_markup(kind) -> None:
    words = (HOSTILE, doc.Mark(HOSTILE, kind))
    blocks = (
        doc.Heading(1, words), doc.Paragraph(words), doc.Bullets((words,)), doc.Facts(((HOSTILE, words),)),
        doc.Table((HOSTILE,) * 2, ((words, words), (words,))), doc.Entry(HOSTILE, HOSTILE, "flagged"),
    )  # fmt: skip
    html, markdown = as_html(blocks), as_markdown(blocks)
    assert "\u202e" not in html + markdown and "\\n" in html
    assert not re.search(r"<b>\|", html)
    if kind != "code":
        assert "<b>" not in markdown and not re.search(r"(?<!\\)`", markdown)


def test_commands_in_a_sentence_are_code() -> None:
    assert doc.with_code("run `a b`, then c") == ("run ", doc.Mark("a b", "code"), ", then c")


def test_a_wide_table_names_its_columns_in_every_cell_for_phones() -> None:
    html = as_html([doc.Table(("a", "b", "<c>", "d"), (("1", "2", "3", "4"),))])
    assert '<div class="scroll stacked"><table>' in html
    assert '<td data-head="&lt;c&gt;">3</td>' in html
    assert "data-head" not in as_html([doc.Table(("a", "b", "c"), (("1", "2", "3"),))])
