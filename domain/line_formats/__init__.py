"""Formats of lines that hold conversations, preference pairs, or prompts with completions; in and out.

Each format is converted from and to OpenAI's, which is what items store.
"""
