"""The control plane: one process with the API, the reconcilers and the conversations with heads.

app constructs; loop drives passes/; heads talks with clusters; handlers answer the API by the table
in wire/endpoints; gate says who may. Clouds, store and core are below it, and know nothing of it.
"""
