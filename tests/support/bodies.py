"""Bodies that cost a reader of JSON the most for their size, and those of honest clients that are as large."""

from __future__ import annotations

import json

KIB, MIB = 2**10, 2**20
_HEAD = b'{"model":"MoM","messages":['
_TEXT = _HEAD + b'{"role":"user","content":"'
_IMAGE = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"iVBORw0KGgo" * 30_000 + b'"}},'
_TURN = b'{"role":"user","content":"What is a tort?"},{"role":"assistant","content":"A civil wrong."},'


def _filled(size: int, unit: bytes, head: bytes = _HEAD, tail: bytes = b"0]}") -> bytes:
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def _messages(size: int, first: int, unit: str, chars: int, head: str = "", tail: str = "") -> bytes:
    """Messages of a person, each another and full of the same, at most as many as are read."""
    text = unit * max(1, min(chars, size // 2) // len(unit))
    many = (size - 64) // (len(json.dumps(head + text + tail)) + 40)
    numbers = range(first, first + min(max(many, 1), 4_000))
    sent = [{"role": "user", "content": f"{head}{text}{number}{tail}"} for number in numbers]
    return json.dumps({"model": "MoM", "messages": sent}).encode()


def worst(size: int, first: int = 0) -> dict[str, bytes]:
    """Bodies of about this size, for the automatic model, by what they are full of.

    Messages that are known are not read again: where they are full of marks, they are numbered from the `first` on.
    """
    parts = _HEAD + b'{"role":"user","content":['
    question = b'{"type":"text","text":"What is a tort?"}]}]}'
    tools = (
        json.dumps({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}).encode() + b","
    )
    return {
        "numbers as messages": _filled(size, b"0,"),
        "empty messages": _filled(size, b"{},"),
        "empty strings as messages": _filled(size, b'"",'),
        "empty lists as messages": _filled(size, b"[],"),
        "turns": _filled(size, _TURN, tail=b"{}]}"),
        "empty parts": _filled(size, b'"",', parts, b'""]}]}'),
        "text parts": _filled(size, b'{"type":"text","text":""},', parts, question),
        "images and a question": _filled(size, _IMAGE, parts, question),
        "lists 5 deep": _filled(size, b"[[[[[0]]]]],"),
        "lists 900 deep": _filled(size, b"[" * 900 + b"]" * 900 + b","),
        "objects 9 deep": _filled(size, b'{"":' * 9 + b"0" + b"}" * 9 + b","),
        "keys": _filled(size, b'"a":0,', b'{"model":"MoM",', b'"b":0}'),
        "escaped keys": _filled(size, b'"\\u0061":0,', b'{"model":"MoM",', b'"b":0}'),
        "models": _filled(size, b'"model":"",', b"{", b'"model":"MoM"}'),
        "settings": _filled(size, b'"a":0,', b'{"chat_template_kwargs":{', b'"b":0}}'),
        "tools": _filled(size, tools, b'{"model":"MoM","messages":[],"tools":[', b"{}]}"),
        "plain text": _filled(size, b"The landlord keeps the deposit. ", _TEXT, b'"}]}'),
        "fences in HTML": _messages(size, first, "<p>```a* ", 64 * KIB, tail="</zz>"),
        "headings in HTML": _messages(size, first, "<p># x", 64 * KIB, tail="</zz>"),
        "fences without an end": _messages(size, first, "```a* \n", 1_800),
        "fences in material": _messages(size, first, "```a* \n", 1_800, head="Context:\n"),
        "labels in material": _messages(size, first, "a: b\n", 8 * KIB, head="Context:\n"),
        "line ends": _filled(size, b"\\n", _TEXT, b'"}]}'),
        "quotes": _filled(size, b'\\"', _TEXT, b'"}]}'),
        "escaped Chinese": _filled(size, b"\\u4e2d", _TEXT, b'"}]}'),
        "raw Chinese": _filled(size, "中".encode(), _TEXT, b'"}]}'),
        "UTF-16": _filled(size // 2, b"The landlord keeps the deposit. ", _TEXT, b'"}]}').decode().encode("utf-16"),
        "token ids": _filled(size, b"12345,", b'{"prompt":[', b"0]}"),
        "white space": _filled(size, b" ", b'{"model":"MoM","messages":', b"[]}"),
        "a number": _filled(size, b"1", tail=b"]}"),
        "a long model": _filled(size, b"m", b'{"messages":[],"model":"', b'"}'),
        "brackets that never close": _filled(size, b"[", b'{"model":"MoM","messages":', b"["),
        "a string that never ends": _filled(size, b"a", _TEXT, b"a"),
    }
