#!/usr/bin/env python3
"""Makes C++ for the host of a file of CUDA kernels: each launch becomes a call of emulation::launch.
usage: emulate.py KERNELS.cu OUT.cpp"""
import re
import sys


def start_of_callee(s, at):
    """Where the kernel's name, with its template arguments, begins before the launch at `at`."""
    while s[at - 1].isspace():
        at -= 1
    if s[at - 1] == '>':
        depth = 0
        while True:
            at -= 1
            depth += (s[at] == '>') - (s[at] == '<')
            if depth == 0:
                break
    while re.match(r'[\w:]', s[at - 1]):
        at -= 1
    return at


def end_of_call(s, at):
    """Behind the parenthesis that closes the one at `at`."""
    depth = 0
    while True:
        depth += (s[at] == '(') - (s[at] == ')')
        at += 1
        if depth == 0:
            return at


def parts_of(configuration):
    """The launch's configuration, cut at commas outside of parentheses."""
    parts, depth = [''], 0
    for c in configuration:
        depth += (c == '(') - (c == ')')
        if c == ',' and depth == 0:
            parts.append('')
        else:
            parts[-1] += c
    return parts


def emulated(s):
    out, done = '#include "emulation.h"\n', 0
    while (at := s.find('<<<', done)) >= 0:
        begin, close = start_of_callee(s, at), s.index('>>>', at)
        end = end_of_call(s, s.index('(', close))
        parts = parts_of(s[at + 3:close])
        grid, block, shared, stream = parts + ['0', 'nullptr'][len(parts) - 2:]
        kernel, arguments = s[begin:at].strip(), s[s.index('(', close) + 1:end - 1]
        call = f'[=](const auto &...a) {{ {kernel}(a...); }}'
        out += s[done:begin] + f'emulation::launch("{kernel}", {grid}, {block}, {shared}, {stream}, {call}' + (
            f', {arguments})' if arguments.strip() else ')')
        done = end
    return out + s[done:]


with open(sys.argv[1]) as source, open(sys.argv[2], 'w') as target:
    target.write(emulated(source.read()))
