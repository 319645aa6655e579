"""The command line: the function and the callbacks that Hydra calls, the help, and messages about mistakes."""
