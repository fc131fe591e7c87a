"""Attachments: picked, pasted, dropped; what is refused; how they are sent and shown."""

from __future__ import annotations

import json
from pathlib import Path

from tests.page.browser import Page
from tests.page.steps import act, listen, sent
from tests.page.test_hosted import DOT

FILES = f"""
window.bytes = Uint8Array.from(atob('{DOT}'), (one) => one.charCodeAt(0));
window.transfer = (name, type, content) => {{
  const made = new DataTransfer();
  made.items.add(new File([content], name, {{type}}));
  return made;
}}; 1
"""


def names(page: Page) -> list[str]:
    return list(page.js("[...document.querySelectorAll('#attached li > span:not(.note)')].map((one) => one.innerText)"))


def attach(page: Page, tmp_path: Path) -> None:
    """Pick a PDF, paste a picture, drop a sound."""
    (tmp_path / "paper.pdf").write_bytes(b"%PDF-1.4 x")
    node = page.send("Runtime.evaluate", expression="document.querySelector('#files')")["result"]["objectId"]
    page.send("DOM.setFileInputFiles", files=[str(tmp_path / "paper.pdf")], objectId=node)
    page.wait("document.querySelectorAll('#attached li').length === 1")
    page.js(FILES)
    page.js(
        "document.querySelector('#input').dispatchEvent(new ClipboardEvent('paste',"
        " {clipboardData: transfer('dot.png', 'image/png', bytes), bubbles: true, cancelable: true}))"
    )
    page.wait("document.querySelectorAll('#attached li').length === 2")
    page.js(
        "document.querySelector('#stage').dispatchEvent(new DragEvent('drop',"
        " {dataTransfer: transfer('word.wav', 'audio/wav', 'RIFF'), bubbles: true, cancelable: true}))"
    )
    page.wait("document.querySelectorAll('#attached li').length === 3")


def test_a_picture_a_pdf_and_a_sound_are_sent(page: Page, tmp_path: Path) -> None:
    attach(page, tmp_path)
    assert names(page) == ["paper.pdf", "dot.png", "word.wav"]
    listen(page)
    page.type("#input", "What is this?")
    page.press("Enter")
    page.wait("sent.length === 1 && document.querySelector('.turn-actions')")
    (message,) = sent(page)[0]["input"]
    text, file, picture, sound = message["content"]
    assert text == {"type": "input_text", "text": "What is this?"}
    assert file["filename"] == "paper.pdf" and file["file_data"].startswith("data:application/pdf;base64,")
    assert picture == {"type": "input_image", "image_url": f"data:image/png;base64,{DOT}", "detail": "auto"}
    assert sound == {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    assert page.js("document.querySelector('.item.user img.picture').naturalWidth") == 1
    assert "paper.pdf" in page.text(".item.user")
    assert page.js("document.querySelector('#attached').hidden") is True
    act(page, 0, "Edit")
    assert len(names(page)) == 3 and page.js("document.querySelector('#input').value") == "What is this?"
    page.click("#attached button")
    assert len(names(page)) == 2
    page.problems.clear()  # the scripted PDF has no pages: the browser tells of the 400


def test_what_does_not_fit_is_told(page: Page) -> None:
    page.js(FILES)
    for name, kind, content, words in [
        ("film.mp4", "video/mp4", "'x'", "video/mp4 is not supported"),
        ("none.txt", "text/plain", "''", "is empty"),
        ("large.bin", "", "new Uint8Array(12_000_000)", "11.0 MB in total"),
    ]:
        page.js(
            "document.querySelector('#stage').dispatchEvent(new DragEvent('drop', {dataTransfer:"
            f" transfer({json.dumps(name)}, {json.dumps(kind)}, {content}), bubbles: true, cancelable: true}}))"
        )
        page.wait(f"document.querySelector('#attached-note').innerText.includes({json.dumps(words)})")
    assert names(page) == []
