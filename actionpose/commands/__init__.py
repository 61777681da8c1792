"""What the command line can do: a module per group, a function per command.

A command parses, calls one function of the library, and prints. Its imports are inside it, so that
`actionpose --help` needs no torch.
"""
