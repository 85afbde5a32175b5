"""Text from outside, made fit for a terminal, a log line or `STATUS=`.

What a server, a database, a file or systemd says may hold anything: an escape sequence would rewrite the administrator's
terminal, a line break would forge a second line (in sd_notify(3) a second assignment), and a text without end would bury
everything else. All such text goes through `plain` before anybody sees it.
"""

LONGEST = 500  # characters; four bytes each still fit into one datagram of sd_notify(3), which takes 4096 bytes


def plain(text: str, longest: int = LONGEST) -> str:
    """`text` as one line of at most `longest` characters (three or more), of printable ones alone.

    White space of any kind becomes a space. Every other character that cannot be printed becomes `?`: controls (C0, DEL, C1),
    marks that change the direction of writing, invisible ones, lone surrogates. E.g. `a\\n\\x1b[31mb` → `a ?[31mb`.
    """
    cut = text if len(text) <= longest else text[: longest - 3] + "..."
    if cut.isprintable():
        return cut
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in cut)
