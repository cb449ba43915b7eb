"""An HTML page as the tests of pages look at it."""

from html.parser import HTMLParser

VOID = {"meta", "img", "input"}


class Document(HTMLParser):
    """Collects what a page holds, and complains about tags that do not balance."""

    def __init__(self, html):
        super().__init__()
        self.open, self.ids, self.addresses, self.tags, self.attributes, self.text = [], [], [], [], set(), ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value for name, value in attrs if name == "id"]
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes nothing at {self.getpos()}"

    def handle_data(self, data):
        self.text += "" if self.open and self.open[-1] in ("style", "script") else " " + data

    @property
    def words(self):
        return " ".join(self.text.split())
