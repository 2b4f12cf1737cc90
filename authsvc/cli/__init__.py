"""The command line: one file per command group.

Owns: arguments, secrets from standard input or a file, tables for a person, one JSON
document for a program, exit codes. Does not own any rule: each command asks the room
whose job it is, and each change is in the audit log as ``cli:`` and the account's name.
"""
