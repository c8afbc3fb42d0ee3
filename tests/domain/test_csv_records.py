"""Records of delimited text: quotes that are missing, not doubled, escaped or letters cost one record at most."""

import csv
import io
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.files import csv_records
from domain.files.csv_dialects import detect_dialect
from domain.files.csv_records import Dialect, Quoting, Record, RecordTooLong, records
from domain.items import VALUE_LIMIT


def lines_of(text: str) -> list[str]:
    return list(io.StringIO(text, newline=""))


def read(text: str, dialect: Dialect | None = None) -> list[Record]:
    lines = lines_of(text)
    return list(records(lines, dialect or detect_dialect(lines)))


def cells(text: str, dialect: Dialect | None = None) -> list[list[str]]:
    """The cells of each record; those of one with a fault are left out."""
    return [record.cells for record in read(text, dialect) if record.fault is None]


def faulty(text: str) -> list[int]:
    """The lines of the records with a fault."""
    return [record.line for record in read(text) if record.fault is not None]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('q,a\nq0,"open and never closed\nr0,b0\nr1,b1\nlast,he said "hi"\nz,zz\n', [2]),
        ('q,a\nq0,"open\nr0,b0\nr1,b1\n', [2]),
        ('q,a\n"open,x\nr0,b0\n', [2]),
        ('q,a\nr0,b0\nq1,"open\n', [3]),
        ('q,a\nq0,"open\nr0,"closed"\nr1,b1\n', [2]),
        ('q,a\nq0,"one\nq1,"two\nr0,b0\n', [2, 3]),
        ('q;a\nq0;"open\nr0;b0\nr1;5,0\n', [2]),
        ('q|a\nq0|"open\nr0|b0\n', [2]),
        ('q,a\nsay,"Yes" he said\nb,c\n', [2]),
        ('q,a\n"He said "hi" ok",x\nb,c\n', [2]),
        ('q,a\n"a"b,c\nb,c\n', [2]),
        ('q,a\r\nq0,"open\r\nr0,b0\r\n', [2]),
        ('q,a\rq0,"open\rr0,b0\r', [2]),
    ],
)
def test_a_faulty_quote_costs_the_line_on_which_its_value_begins(text: str, lines: list[int]) -> None:
    found = read(text)
    assert [record.line for record in found if record.fault] == lines
    assert len(found) == len(text.splitlines())


@pytest.mark.parametrize(
    "text",
    [
        'q;a\nq0;"open\nr0;b0\nr1;b1\nx;TV 40"\n',
        'q;a\nq0;"open\nr0;TV 40"\n',
        'q,a,c\nq0,"Hello, world,c\n'
        + "".join(f"r{number},b,c\n" for number in range(12))
        + 'r13,TV 40",x\n',
        'q,a\nq0,"open\nr0,b0\n\nr1,b1\nr2\nr3,""\nr4,TV 40"\n',
        'q,a\r\nq0,"open\r\nr0,b0\r\nr1,TV 40"\r\n',
        's\tl\n"open\tx\nr0\tb0\nso "\tneg\nq "a\tb\tc\n',
    ],
)
def test_a_value_whose_lines_look_like_rows_is_in_doubt(text: str) -> None:
    found = read(text + f"last{text[1]}one\n")
    assert [record.line for record in found if record.fault] == [2]
    assert "look like rows" in (found[1].fault or "")
    assert found[-1].cells == ["last", "one"]


@pytest.mark.parametrize(
    "value",
    [
        "Dear Ann,\nthank you.",
        "first, second\nthird, fourth",
        "one\ntwo\nthree",
        "a, b\n\nc, d\ne, f",
        "It costs\n1,000 euros\nor 2,000",
        '{\n  ""a"": 1,\n  ""b"": 2\n}',
        'say ""hi"",then\nleave,now\ngo,away',
        "def f(a,b):\n    return a\n\nprint(f(1,2))\n",
    ],
)
@pytest.mark.parametrize("last", [True, False], ids=["in the last column", "in the first column"])
def test_a_text_over_several_lines_is_a_value(value: str, last: bool) -> None:
    row = f'q0,"{value}"' if last else f'"{value}",a0'
    plain = value.replace('""', '"')
    assert cells(f"q,a\n{row}\nq1,b\n") == [["q", "a"], ["q0", plain] if last else [plain, "a0"], ["q1", "b"]]


def test_lines_that_end_otherwise_than_records_are_a_value() -> None:
    assert cells('q,a\r\nx,"a,b\nc,d\ne,f"\r\n') == [["q", "a"], ["x", "a,b\nc,d\ne,f"]]


def test_tabs_and_hard_blanks_before_a_quote_are_none_of_it() -> None:
    assert cells('q,a\nx,\t"y, z"\nv,\xa0"w"\n') == [["q", "a"], ["x", "y, z"], ["v", "w"]]


def test_blanks_around_a_quoted_value_are_none_of_it() -> None:
    assert cells('q, a\nA, "b"\nC, "say ""x"""\nD, "e, f" \n "g" ,h\n') == [
        ["q", " a"], ["A", "b"], ["C", 'say "x"'], ["D", "e, f"], ["g", "h"],
    ]  # fmt: skip


def test_a_quote_within_an_unquoted_value_is_a_letter() -> None:
    assert cells('q,a\n5" pipe,he said "no"\nTV 40",x\n') == [
        ["q", "a"],
        ['5" pipe', 'he said "no"'],
        ['TV 40"', "x"],
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (r'"He said \"hi\" ok","yes"', ['He said "hi" ok', "yes"]),
        (r'"json","{\"a\": 1}"', ["json", '{"a": 1}']),
        (r'"path","C:\new"', ["path", r"C:\new"]),
        (r'"end","a\\"', ["end", "a" + "\\"]),
        (r'"deep","{\"a\": \"\\\"b\\\"\"}"', ["deep", r'{"a": "\"b\""}']),
        ('"two\\"\nlines","x"', ['two"\nlines', "x"]),
    ],
)
def test_quotes_after_backslashes_are_read_as_spark_writes_them(line: str, expected: list[str]) -> None:
    text = f'question,answer\n"He said \\"hi\\" ok","yes"\n{line}\n'
    assert detect_dialect(lines_of(text)).quoting is Quoting.BACKSLASH
    assert cells(text)[2] == expected


def test_two_backslashes_that_may_be_one_or_two_are_in_doubt() -> None:
    text = 'q,a\n"say \\"hi\\" ok","y"\n"a\\\\b","c"\n"is \\"so\\" said","y"\n'
    assert faulty(text) == [3]


def test_a_value_that_ends_with_a_backslash_is_no_escape() -> None:
    assert cells('q,a\n"C:\\","x"\n"D:\\dir\\","y"\n') == [["q", "a"], ["C:\\", "x"], ["D:\\dir\\", "y"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            's\tl\n"It is good\tpos\nbad\tneg\nhe said "no"\tneg\nso-so "\tneg\n',
            ['"It is good', "bad", 'he said "no"', 'so-so "'],
        ),
        ('s\tl\n"Great movie"\tpos\nbad movie\tneg\n', ['"Great movie"', "bad movie"]),
        ('s\tl\n"\tpos\nb\tneg\n', ['"', "b"]),
    ],
)
def test_in_tab_separated_lines_a_quote_may_be_a_letter(text: str, expected: list[str]) -> None:
    assert [record[0] for record in cells(text)[1:]] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('s\tl\n"Great movie"\t"pos"\n"bad movie"\t"neg"\n', ["Great movie", "bad movie"]),
        ('s\tl\n"a ""b"""\tpos\nc\tneg\n', ['a "b"', "c"]),
        ('s\tl\n"two\nlines"\tpos\nc\tneg\n', ["two\nlines", "c"]),
        ('s\tl\n"a\tb"\tpos\nc\tneg\n', ["a\tb", "c"]),
        ('s\tl\n"Hello, you?"\tfine\nWho?\tme\n', ["Hello, you?", "Who?"]),
        ('s\tl\n"text"\t1\n"more"\t2\n', ["text", "more"]),
    ],
)
def test_in_tab_separated_lines_a_program_may_have_quoted(text: str, expected: list[str]) -> None:
    assert [record[0] for record in cells(text)[1:]] == expected


def test_a_value_that_is_closed_far_too_late_is_too_long() -> None:
    with pytest.raises(RecordTooLong) as refused:
        read('q,a\nx,y\nz,"' + "long\n" * (VALUE_LIMIT // 4) + '"\n')
    assert refused.value.line == 3


def test_a_value_that_is_never_closed_is_given_up_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_records, "SCAN_LIMIT", 100)
    found = read('q,a\nz,"open\n' + "x,y\n" * 100_000, Dialect(","))
    assert (len(found), [record.line for record in found if record.fault]) == (100_002, [2])


def test_many_values_that_are_never_closed_take_no_longer_than_the_file() -> None:
    text = "q,a\n" + 'z,"""open\n' * 20_000
    assert len(read(text, Dialect(","))) == 20_001


@pytest.mark.parametrize(
    "line", ["\t" * 200_000 + '"', " " * 200_000 + '"x', '"a"b' + "\t" * 200_000, ',"' * 100_000]
)
def test_a_hostile_line_takes_no_longer_than_its_length(line: str) -> None:
    assert len(read(f"q\ta\n{line}\nx\ty\n", Dialect("\t"))) == 3


def test_the_line_that_names_the_delimiter_decides() -> None:
    assert cells("sep=|\nq,b|a\n1,2|3\n") == [["q,b", "a"], ["1,2", "3"]]
    assert cells("sep=\t\nq,b\ta\n") == [["q,b", "a"]]
    assert cells("\ufeffsep=|\nq,a|b\na, b|x\n") == [["q,a", "b"], ["a, b", "x"]]


def test_the_delimiter_of_an_empty_text_is_a_comma() -> None:
    assert detect_dialect([]) == Dialect(",")


CELL = st.text(st.sampled_from('ab ,;"\n\\=1'), max_size=10)


@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    ending=st.sampled_from(["\n", "\r\n"]),
)
def test_records_are_those_of_the_standard_library_where_nothing_is_wrong(
    rows: list[list[str]], quoting: Literal[0, 1], ending: str
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=ending).writerows([["x", "y", "z"], *rows])
    found = read(text.getvalue(), Dialect(","))
    expected = list(csv.reader(lines_of(text.getvalue())))
    assert [record.cells for record in found if record.fault is None] == [
        cells for record, cells in zip(found, expected, strict=True) if record.fault is None
    ]


@given(
    rows=st.lists(
        st.tuples(st.text("abc ", min_size=1), st.text("abc ", min_size=1)), min_size=3, max_size=12
    ),
    place=st.integers(0, 11),
    column=st.integers(0, 1),
)
def test_one_quote_too_many_never_hides_another_row(
    rows: list[tuple[str, str]], place: int, column: int
) -> None:
    broken = [list(row) for row in rows]
    broken[place % len(rows)][column] = '"' + broken[place % len(rows)][column]
    text = "\n".join(
        ",".join(["x" + cell if '"' not in cell else cell for cell in row]) for row in [["q", "a"], *broken]
    )
    found = read(text, Dialect(","))
    assert len(found) == len(rows) + 1
    assert sum(record.fault is not None for record in found) == 1
