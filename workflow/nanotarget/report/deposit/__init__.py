"""A study as archives and data editors ask for it: one folder, and the same as a zip of fixed bytes.

`package` knows what belongs into it, `programs` which program made what, `readme` and `crate` describe it,
`scan` looks for what must not be in it, `checks` says what is still open, `writing` writes it.
"""
