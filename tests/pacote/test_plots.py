"""homellm.plots: cores, estilo, vírgula decimal e números por escrito."""

from __future__ import annotations

import math
import re
import sys
from fractions import Fraction

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from homellm.plots import COLORS, book_style, br, decimal_comma, pyplot


@pytest.fixture(autouse=True)
def clean_state():
    with matplotlib.rc_context():
        yield
    plt.close("all")


def tick_texts(axis):
    axis.axes.figure.canvas.draw()
    return [label.get_text() for label in axis.get_ticklabels()]


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_colors_are_distinct_and_ink_reads_on_paper():
    assert len(set(COLORS.values())) == len(COLORS) == 9
    assert (luminance(COLORS["paper"]) + 0.05) / (luminance(COLORS["ink"]) + 0.05) > 7


def test_without_matplotlib_the_error_says_how_to_install_it(monkeypatch):
    assert pyplot() is plt
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    for draws in (pyplot, book_style):
        with pytest.raises(ImportError, match="instale-o com: pip install matplotlib"):
            draws()


def test_book_style_sets_size_paper_and_letters():
    book_style()
    fig, ax = plt.subplots()
    assert tuple(fig.get_size_inches()) == (6.4, 3.6) and fig.dpi == 110
    assert to_rgb(fig.get_facecolor()) == to_rgb(ax.get_facecolor()) == to_rgb(COLORS["paper"])
    assert all(label.get_fontsize() >= 11 for label in ax.get_xticklabels())


def test_comma_on_both_axes_and_minus_kept():
    _, ax = plt.subplots()
    ax.plot([0, 0.5, 1], [-1.5, 0, 1.5])
    decimal_comma(ax)
    for axis in (ax.xaxis, ax.yaxis):
        texts = tick_texts(axis)
        assert any("," in text for text in texts) and not any("." in text for text in texts)
    assert any(text.startswith("\N{MINUS SIGN}") for text in tick_texts(ax.yaxis))


def test_several_axes_each_with_its_own_scale():
    _, (left, right) = plt.subplots(1, 2)
    left.plot([0, 1], [0, 0.001])
    right.plot([0, 1], [0, 0.5])
    decimal_comma(left, right)
    assert "0,0002" in tick_texts(left.yaxis) and "0,1" in tick_texts(right.yaxis)


def test_categories_fixed_labels_and_log_stay():
    _, ax = plt.subplots()
    ax.bar(["v. 1.0", "v. 2.0"], [1, 2])
    ax.set_yscale("log")
    before = tick_texts(ax.xaxis), tick_texts(ax.yaxis)
    decimal_comma(ax)
    assert (tick_texts(ax.xaxis), tick_texts(ax.yaxis)) == before
    _, fixed = plt.subplots()
    fixed.set_xticks([0, 1], ["0.5 s", "1.5 s"])
    decimal_comma(fixed)
    assert tick_texts(fixed.xaxis) == ["0.5 s", "1.5 s"]


@pytest.mark.parametrize(
    "number, digits, text",
    [
        (0, 0, "0"),
        (999, 0, "999"),
        (1000, 0, "1.000"),
        (1234.5, 1, "1.234,5"),
        (-1234567.891, 2, "-1.234.567,89"),
        (12345, 2, "12.345,00"),
        (10**18 + 1, 0, "1.000.000.000.000.000.001"),  # não cabe num float
        (True, 0, "1"),
        (-0.4, 0, "0"),
        (-0.004, 2, "0,00"),
        (-0.05, 2, "-0,05"),
        (math.inf, 3, "∞"),
        (-math.inf, 0, "-∞"),
        (math.nan, 2, "nan"),
        (Fraction(1, 3), 2, "0,33"),
        (np.float32(1.5), 2, "1,50"),
        (np.int64(12345), 0, "12.345"),
        (np.array([[2.5]]), 1, "2,5"),
        (torch.tensor(7), 0, "7"),
        (torch.tensor([3.5], requires_grad=True), 2, "3,50"),
        (torch.tensor(1.5, dtype=torch.bfloat16), 1, "1,5"),
    ],
)
def test_numbers_as_brazil_writes_them(number, digits, text):
    assert br(number, digits) == text
    assert re.fullmatch(r"-?(\d{1,3}(\.\d{3})*(,\d+)?|∞)|nan", text)


@pytest.mark.parametrize("number", ["3", None, 1j, [1]])
def test_what_is_not_a_number_is_refused(number):
    with pytest.raises(TypeError, match=f"e veio {re.escape(repr(number))}"):
        br(number)


def test_one_number_at_a_time_and_no_negative_digits():
    for several in (torch.ones(2), torch.ones(0), np.ones((2, 3))):
        with pytest.raises(ValueError, match=re.escape(f"a forma {tuple(several.shape)}")):
            br(several)
    with pytest.raises(ValueError, match="digits é o número de casas, zero ou mais, e veio -1"):
        br(1.5, digits=-1)
