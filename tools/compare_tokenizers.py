#!/usr/bin/env python3
"""Compares this library's tokenizers with Hugging Face's `tokenizers` (tokenizer.json) and with
`sentencepiece` (tokenizer.model): ids and decoded text, over files and generated texts.

usage: compare_tokenizers.py LIBWENGERT.so TOKENIZER TEXT...
For development only: needs `tokenizers` or `sentencepiece`. What it reports as different are, with
other versions of Unicode, characters that one of the two does not know yet.
"""
import ctypes as c
import random
import sys


class Encode(c.Structure):  # wg_tokenizer_encode_args
    _fields_ = [("tokenizer", c.c_void_p), ("text", c.c_char_p), ("bytes", c.c_int64),
                ("ids", c.POINTER(c.POINTER(c.c_int64))), ("bos", c.c_bool), ("special", c.c_bool),
                ("end", c.c_char)]


class Decode(c.Structure):  # wg_tokenizer_decode_args
    _fields_ = [("tokenizer", c.c_void_p), ("ids", c.POINTER(c.c_int64)), ("n", c.c_int64),
                ("bytes", c.POINTER(c.c_int64)), ("skip_special", c.c_bool), ("end", c.c_char)]


class Tokenizer:
    def __init__(self, library, path):
        self.w = c.CDLL(library)
        self.free = c.CDLL(None).free
        self.free.argtypes = [c.c_void_p]
        self.w.wg_tokenizer_open.restype = c.c_void_p
        self.w.wg_tokenizer_encode_call.restype = c.c_int64
        self.w.wg_tokenizer_encode_call.argtypes = [Encode]
        self.w.wg_tokenizer_decode_call.restype = c.c_void_p
        self.w.wg_tokenizer_decode_call.argtypes = [Decode]
        self.t = self.w.wg_tokenizer_open(path.encode())
        if not self.t:
            sys.exit(f"{path} does not open")

    def encode(self, text, special):
        ids = c.POINTER(c.c_int64)()
        n = self.w.wg_tokenizer_encode_call(
            Encode(self.t, text, len(text), c.pointer(ids), False, special, b"\0"))
        result = ids[:n]
        self.free(ids)
        return result

    def decode(self, ids):
        n = c.c_int64()
        array = (c.c_int64 * len(ids))(*ids)
        text = self.w.wg_tokenizer_decode_call(
            Decode(self.t, array, len(ids), c.pointer(n), True, b"\0"))
        result = c.string_at(text, n.value)
        self.free(text)
        return result


def generated(specials):
    """Every character of the basic plane; white space and odd characters; special tokens."""
    r = random.Random(5)
    yield "".join(chr(k) for k in range(0x10000) if not 0xD800 <= k < 0xE000)
    parts = [" ", "  ", "\n", "\t", "\r\n", "a", "B", "'s", "'LL", "\u017f", "1", "22", "!", "\u00a0", "\u2003",
             "\u180e", "\u0085", "\u00e9", "e\u0301", "\u6f22\u5b57", "\U0001f680", "\u2581", ".", "\u200b", "\ufeff",
             "\ufb01", "\u00bd", "\u0663"]
    for k in range(4000):
        some = parts + specials if k % 2 else parts
        yield "".join(r.choice(some) for _ in range(r.randrange(14)))
    for k in range(1000):
        codes = (r.randrange(0x110000) if r.random() < 0.3 else r.randrange(0x20, 0x800)
                 for _ in range(r.randrange(60)))
        yield "".join(chr(k) for k in codes if not 0xD800 <= k < 0xE000)


def main():
    library, path, *files = sys.argv[1:]
    ours = Tokenizer(library, path)
    if path.endswith(".json"):
        import tokenizers
        theirs = tokenizers.Tokenizer.from_file(path)
        encode = lambda x: theirs.encode(x, add_special_tokens=False).ids
        decode = lambda ids: theirs.decode(ids, skip_special_tokens=True)
        specials = [t.content for t in theirs.get_added_tokens_decoder().values()]
    else:
        import sentencepiece
        theirs = sentencepiece.SentencePieceProcessor(path)
        encode, decode, specials = theirs.encode, theirs.decode, []
    texts = different = decoded = size = 0
    for text in [open(f, errors="ignore").read() for f in files] + list(generated(specials)):
        want, got = encode(text), ours.encode(text.encode(), path.endswith(".json"))
        texts, size = texts + 1, size + len(text.encode())
        different += want != got
        decoded += decode(want) != ours.decode(want).decode(errors="replace")
        if want != got and different < 4:
            at = next((k for k, (a, b) in enumerate(zip(want, got)) if a != b), -1)
            print(f"  {text[:40]!r}: token {at}: want {want[at:at + 4]}, got {got[at:at + 4]}")
    print(f"{path}: {texts} texts, {size} bytes: {different} with different ids, "
          f"{decoded} decoded to another text")


if __name__ == "__main__":
    main()
