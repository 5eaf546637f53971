#!/usr/bin/env python3
"""Writes lib/chat/case_tables.inc: what Python's case mappings have beyond Unicode's simple ones (those are utf8proc's).

    make_case_tables.py >lib/chat/case_tables.inc
"""
import sys
import unicodedata


def ranges(characters):
    found = []
    for code in characters:
        if found and found[-1][1] == code - 1:
            found[-1][1] = code
        else:
            found.append([code, code])
    return found


def every():
    return (code for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)


def mapping(name, function):
    print(f"constexpr Mapping {name}[] = {{")
    for code in every():
        mapped = function(chr(code))
        if len(mapped) > 1:
            codes = ", ".join(f"0x{ord(c):X}" for c in mapped)
            print(f"    {{0x{code:X}, {{{codes}}}}},")
    print("};")


def table(name, holds):
    print(f"constexpr Range {name}[] = {{")
    for first, last in ranges([code for code in every() if holds(chr(code))]):
        print(f"    {{0x{first:X}, 0x{last:X}}},")
    print("};")


print(f"// Made by tests/chat/make_case_tables.py (Unicode {unicodedata.unidata_version}).")
mapping("kUpper", str.upper)
mapping("kTitle", str.title)
table("kOtherLowercase", lambda c: c.islower() and unicodedata.category(c) != "Ll")
table("kOtherUppercase", lambda c: c.isupper() and unicodedata.category(c) != "Lu")
table("kDigits", lambda c: c.isdigit() and unicodedata.category(c) != "Nd")
