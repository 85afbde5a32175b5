"""What may be shown: of a URL, of a name that somebody wrote, and of any text once the secrets are known."""

from collections.abc import Collection, Iterable, Iterator
from urllib.parse import unquote, urlsplit

HIDDEN = "***"
SHORTEST_VALUE = 6  # of a query: `prod` or `true` is no secret, and stands in many a line
SHORTEST = 4  # what is shorter stands in every other word, and hides nothing


def redact_url(url: str) -> str:
    """`https://u:p@host:8443/path?token=x` → `https://host:8443/path`; "" stays "", other text that is no URL → `(not a URL)`."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "(not a URL)"
    if not parts.scheme or not host:
        return "(not a URL)"
    if ":" in host:
        host = f"[{host}]"
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "") + parts.path


def secrets_in(url: str) -> Iterator[str]:
    """What of a URL is secret, in each form it may turn up in: user info and query, and the values in them, encoded or not."""
    rest = url.partition("://")[2]
    user_info, at, _ = rest.partition("/")[0].rpartition("@")
    if at:
        from base64 import b64encode  # few have a password, and the others need not load it before they are ready

        pair = unquote(user_info)
        yield from (user_info, pair, b64encode(pair.encode()).decode())
        password = user_info.partition(":")[2]
        yield from (password, unquote(password))
    query = url.partition("?")[2]
    yield query
    for part in query.split("&"):
        value = part.partition("=")[2]
        if len(value) >= SHORTEST_VALUE:
            yield from (value, unquote(value))


class Redactor:
    """Replaces every secret that it was ever told of: the key of before a reload may still be in what is said after it."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets: list[str] = []
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Hide these, too, from now on; the longest first, for one may be a part of another."""
        new = [secret for secret in secrets if len(secret) >= SHORTEST]
        known = {*self._secrets, *new, *(repr(secret)[1:-1] for secret in new)}  # as an exception would quote it, too
        self._secrets = sorted(known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """`text` with `***` for each secret."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text


def shown_name(name: str, known: Collection[str]) -> str:
    """`name` if it can hold no secret, else "": it is made of the words of known names, or all but a letter or two of one.

    >>> shown_name("hostnme", ["hostname"]), shown_name("secret_file", ["secret_key_file"]), shown_name("hunter2", ["url"])
    ('hostnme', 'secret_file', '')
    """
    lower = name.lower()
    if not (name.isascii() and name.replace("_", "").replace("-", "").isalnum()):
        return ""
    words = {word for real in known for word in real.split("_")}
    if all(word in words for word in lower.split("_")):
        return name
    return name if any(_differs_little(lower, real) for real in known) else ""


def _differs_little(name: str, real: str) -> bool:
    allowed = 1 if len(real) < 8 else 2
    return abs(len(name) - len(real)) <= allowed and _edits(name, real) <= allowed


def _edits(one: str, other: str) -> int:
    """How many letters have to be put in, taken out, replaced or swapped with the next to get from one to the other.

    The distance of Damerau and Levenshtein (optimal string alignment).
    """
    rows = [list(range(len(other) + 1))]
    for at, letter in enumerate(one, 1):
        above, row = rows[-1], [at]
        for to, wanted in enumerate(other, 1):
            least = min(above[to] + 1, row[-1] + 1, above[to - 1] + (letter != wanted))
            if at > 1 and to > 1 and letter == other[to - 2] and wanted == one[at - 2]:
                least = min(least, rows[-2][to - 2] + 1)
            row.append(least)
        rows.append(row)
    return rows[-1][-1]
