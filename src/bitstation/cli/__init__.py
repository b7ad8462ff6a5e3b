"""The command line: words, exit codes and displays. It composes the rooms and decides nothing."""
