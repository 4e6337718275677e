"""Commands with options of their own, a file each; ``cli.py`` has the others, shows progress and prints."""
