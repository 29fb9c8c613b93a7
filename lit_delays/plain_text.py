"""Text of other people: shown, never obeyed. A terminal, a web page and a spreadsheet each obey something."""

import re

# control characters, halves of pairs, and what turns the direction of writing round
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
MEANS_NOTHING = re.compile(r"\w([\w %(),+'-]|\.(?=[\d ]|$))*")  # in Markdown; www.x.org is a link
FORMULA = re.compile(r"\s*[=+\-@]")


def printable(text: str) -> str:
    r"""One line that a terminal shows and does not obey: control characters are written out.

    Example:
        >>> printable("yes\x1b[2J\n")
        'yes\\x1b[2J\\n'
    """
    return UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def markdown(text: str) -> str:
    """Text in Markdown that is no HTML, link or heading: as it is, or as code where it might be one.

    Example:
        >>> markdown("yes, 95.1 %"), markdown("<b>[a](b)</b>"), markdown("a`b")
        ('yes, 95.1 %', '`<b>[a](b)</b>`', '`` a`b ``')
    """
    text = printable(text)
    if MEANS_NOTHING.fullmatch(text):
        return text
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {text} {fence}" if longest else f"{fence}{text}{fence}"


def cell(text: str) -> str:
    """A cell of a CSV file that a spreadsheet takes for text, not for a formula.

    Example:
        >>> cell("=1+2"), cell("yes")
        ("'=1+2", 'yes')
    """
    text = printable(text)
    return f"'{text}" if FORMULA.match(text) else text
