"""Grammars of custom tools: Lark, and what llama.cpp reads."""
