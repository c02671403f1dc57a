"""The command line: a thin user of the public API. Only this floor prints, exits and reads the terminal."""
